"""`join`, `leave` and `rooms`."""

from __future__ import annotations

import click

from zmqchat.cli import output
from zmqchat.cli.options import StartOptions
from zmqchat.cli.session import open_session
from zmqchat.model.ids import room_name_checked
from zmqchat.model.text import clean


@click.command()
@click.argument("room")
@click.pass_obj
def join(options: StartOptions, room: str) -> None:
    """Be in ROOM from now on: its messages are kept here. A room is there once somebody joins it."""
    room_name_checked(room)
    with open_session(options) as session:
        session.client.ask("join", room=room)


@click.command()
@click.argument("room")
@click.pass_obj
def leave(options: StartOptions, room: str) -> None:
    """Be in ROOM no more. What is stored stays; joining again brings what was said meanwhile."""
    room_name_checked(room)
    with open_session(options) as session:
        if not session.client.ask("leave", room=room).get("was_in"):
            output.note(f"this node was not in {room}: nothing has changed")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def rooms(options: StartOptions, as_json: bool) -> None:
    """List the rooms that this node is in, their members, and how many of these are there now."""
    with open_session(options) as session:
        found = [item["room"] for item in session.client.items("rooms")]
    if as_json:
        for room in found:
            output.print_json(room)
        return
    rows = [
        (
            clean(str(room["room"])),
            output.counted(room["members"], "member"),
            f"{room['online']} online",
            f"{room['unread']} unread",
        )
        for room in found
    ]
    for line in output.table(rows):
        output.print_line(line)
