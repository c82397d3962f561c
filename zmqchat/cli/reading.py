"""`tail` and `history`: what a room says, as lines for people or one JSON object each."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import sys
import threading
from collections.abc import Callable

import click

from zmqchat.cli import output
from zmqchat.cli.catching_up import CatchUpWatch
from zmqchat.cli.client import Disconnected, Fields
from zmqchat.cli.notices import NoticeWatch
from zmqchat.cli.options import StartOptions
from zmqchat.cli.session import open_session
from zmqchat.cli.waiting import Waiting
from zmqchat.model.ids import room_name_checked

LAST_MAX = 1_000_000


@click.command()
@click.argument("room")
@click.option(
    "--last",
    type=click.IntRange(0, LAST_MAX),
    default=10,
    show_default=True,
    metavar="N",
    help="Messages to begin with.",
)
@click.option("--no-follow", is_flag=True, help="Stop after these; wait for nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def tail(options: StartOptions, room: str, last: int, no_follow: bool, as_json: bool) -> None:
    """Print the last messages of ROOM, then each as it arrives, until Ctrl-C."""
    # Ctrl-C is how it is meant to end
    with contextlib.suppress(KeyboardInterrupt):
        _print_room(options, room, last, follow=not no_follow, as_json=as_json)


@click.command()
@click.argument("room")
@click.option("--last", type=click.IntRange(0, LAST_MAX), default=50, show_default=True, metavar="N", help="How many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def history(options: StartOptions, room: str, last: int, as_json: bool) -> None:
    """Print the last messages of ROOM, oldest first, in the order that every node shows them in.

    Answers from this node's store at once.
    """
    _print_room(options, room, last, follow=False, as_json=as_json)


def _print_room(options: StartOptions, room: str, last: int, *, follow: bool, as_json: bool) -> None:
    room_name_checked(room)
    is_colourful = output.is_colourful()
    with open_session(options) as session, Waiting("reading the store") as waiting:
        reader = watch_reader(session.client.close)
        watch = CatchUpWatch(session, output.note) if follow else contextlib.nullcontext()
        try:
            with watch, NoticeWatch(session, output.note):
                for item in session.client.items("tail", room=room, last=last, follow=follow):
                    waiting.stop()
                    _print_item(item, as_json, is_colourful)
        except Disconnected:
            if reader.is_set():
                raise BrokenPipeError from None
            raise


def watch_reader(gone: Callable[[], None]) -> threading.Event:
    """Calls `gone` when who reads our standard output has left, as `| head` does; the event says that it has.

    Without it a tail would only notice when the next message comes, which may be tomorrow.
    """
    has_left = threading.Event()
    try:
        descriptor = sys.stdout.fileno()
        is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except (OSError, ValueError):  # no stream of the system's
        return has_left
    if sys.platform == "win32" or not is_pipe:
        return has_left

    def watch() -> None:
        poller = select.poll()
        poller.register(descriptor, 0)
        poller.poll()
        has_left.set()
        gone()

    threading.Thread(target=watch, name="zmqchat reader", daemon=True).start()
    return has_left


def _print_item(item: Fields, as_json: bool, is_colourful: bool) -> None:
    record, gap = item.get("record"), item.get("gap")
    if isinstance(record, dict):
        if as_json:
            output.print_json(record)
        else:
            output.print_line(output.message_line(record, colour=is_colourful))
    elif isinstance(gap, dict):
        # no message: it would not have the fields that each record has
        count = gap.get("end", 0) - gap.get("first", 0)
        output.note(
            f"{count} messages of {output.shown_name(gap)} are missing here; they follow once somebody has them"
        )
