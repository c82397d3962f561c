"""`node`: a node without a face, until it is told to stop."""

from __future__ import annotations

import click

from zmqchat.cli import output
from zmqchat.cli.alone import AloneWatch
from zmqchat.cli.catching_up import CatchUpWatch
from zmqchat.cli.client import Disconnected
from zmqchat.cli.options import StartOptions
from zmqchat.cli.presence import happenings, presence_line
from zmqchat.cli.session import Session, open_session
from zmqchat.model.text import clean


@click.command()
@click.pass_obj
def node(options: StartOptions) -> int:
    """Run a node without a face until Ctrl-C: it keeps its rooms, and others catch up from it.

    Other commands on the same home use it.
    """
    try:
        with open_session(options, own=True) as session:
            _serve(session)
    except KeyboardInterrupt:
        return output.DONE
    except Disconnected:
        output.note("the node has stopped by itself; `zmqchat doctor` looks for the reason")
        return output.FAILED
    return output.DONE


def _serve(session: Session) -> None:
    session.leave_at_once()
    status = session.status()
    where = f"listens at {status['address']}, home {status['home']}"
    output.print_line(clean(f"{output.shown_name(status)} ({status['short']}) {where}"))
    with AloneWatch(session, output.note), CatchUpWatch(session, output.note):
        _print_events(session)


def _print_events(session: Session) -> None:
    """Print what happens as it comes, until the node stops."""
    for event in happenings(session):
        if event.get("event") == "NoticeGiven":
            output.note(str(event.get("text")))
        elif (line := presence_line(event)) is not None:
            output.print_line(line)
    raise Disconnected("the node has stopped")
