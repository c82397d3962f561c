"""`peers` and `whoami`."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from zmqchat.cli import output, ways
from zmqchat.cli.client import Fields
from zmqchat.cli.options import StartOptions
from zmqchat.cli.session import Session, open_session
from zmqchat.cli.waiting import Waiting
from zmqchat.model.limits import NAME_CELLS_MAX
from zmqchat.model.text import clean

FIND_S = 3.0
"""Nodes on one network have found each other within this; a command of its own waits no longer."""

_SETTLE_S = 0.5
_STEP_S = 0.1


@click.command()
@click.option("--all", "everybody", is_flag=True, help="Known ones that are out of touch too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def peers(options: StartOptions, everybody: bool, as_json: bool) -> None:
    """List the other nodes in touch now; where no node runs, look around for 3 seconds first.

    LINK is "direct", or "via" the peer that leads there; LACKS is how many of your messages it is not known to hold.
    """
    with open_session(options) as session:
        if session.is_local or options.peers:
            wait_for_peers(session)
        found = _peers(session, everybody)
        nobody = None if found else session.client.ask("nobody_found").get("text")
    if as_json:
        for peer in found:
            output.print_json(peer)
    else:
        for line in peer_lines(found, ways.terminal_columns()):
            output.print_line(line)
    if nobody:
        output.note(str(nobody))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def whoami(options: StartOptions, as_json: bool) -> None:
    """Print this node's peer id, name, home and address."""
    with open_session(options) as session:
        status = session.status()
    record = {name: status.get(name) for name in ("id", "short", "name", "home", "address")}
    record["mesh"] = status.get("settings", {}).get("mesh")
    record["key"] = _key_kept(Path(str(status.get("home"))))
    record["version"] = status.get("version")
    if as_json:
        output.print_json(record)
        return
    for line in output.table([(name, clean(str(value))) for name, value in record.items()]):
        output.print_line(line)


def _key_kept(home: Path) -> str:
    """How this node's key is kept."""
    path = home / "identity.key"
    try:
        mode = path.stat().st_mode & 0o777
    except OSError:
        return "in memory"
    return f"a file, {path} (mode {mode:o}), not encrypted: who can read it can be you"


def wait_for_peers(session: Session) -> None:
    """Look around for 3 seconds at most: what a node of our own has found by then."""
    deadline_s = time.monotonic() + FIND_S
    with Waiting("looking for others"):
        while time.monotonic() < deadline_s and not _peers(session, False):
            time.sleep(_STEP_S)
    if time.monotonic() < deadline_s:
        # those who answer first are rarely all
        time.sleep(_SETTLE_S)


def _peers(session: Session, everybody: bool) -> list[Fields]:
    return [item["peer"] for item in session.client.items("peers", all=everybody)]


def peer_lines(peers: Sequence[Fields], columns: int | None) -> list[str]:
    """A line a peer below a line of titles; where these columns have no room for all, two lines a peer.

    columns  of the terminal, None for no bound
    """
    if not peers:
        return []
    columns = sys.maxsize if columns is None else columns
    places = [_place(peer) for peer in peers]
    for name_cells in _NAME_CELLS:
        rows = [row + place for row, place in zip(_rows(peers, name_cells), places, strict=True)]
        lines = output.table([_TITLES + _PLACE_TITLES, *rows])
        if max(map(output.cells, lines)) <= columns:
            return lines
    tables = [output.table([_TITLES, *_rows(peers, name_cells)]) for name_cells in _NAME_CELLS_NARROW]
    titles, *heads = next((lines for lines in tables if max(map(output.cells, lines)) <= columns), tables[-1])
    seconds = [f"  found by {found_by}, {address}" for found_by, address in places]
    return [titles, *itertools.chain.from_iterable(zip(heads, seconds, strict=True))]


_TITLES = ("NAME", "ID", "LINK", "HOPS", "RTT", "LACKS")
_PLACE_TITLES = ("FOUND BY", "ADDRESS")
_NAME_CELLS = (NAME_CELLS_MAX, 20, 14)
_NAME_CELLS_NARROW = (20, 14, 10)


def _rows(peers: Sequence[Fields], name_cells: int) -> list[tuple[str, ...]]:
    names = {str(peer["id"]): ways.name_cut(peer, name_cells) for peer in peers}
    return [_row(peer, names) for peer in peers]


def _row(peer: Fields, names: Mapping[str, str]) -> tuple[str, ...]:
    return (
        names[str(peer["id"])],
        output.short_id(str(peer["id"])),
        ways.way_and_notes(peer, names),
        ways.hops_text(peer),
        ways.rtt_text(peer) or "-",
        ways.lacks_text(peer),
    )


def _place(peer: Fields) -> tuple[str, ...]:
    return (output.on_one_line(peer.get("found_by") or "-"), output.on_one_line(peer.get("address") or "-"))
