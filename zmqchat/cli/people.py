"""`peers` and `whoami`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from zmqchat.cli import output
from zmqchat.cli.client import Fields
from zmqchat.cli.options import StartOptions
from zmqchat.cli.session import Session, open_session
from zmqchat.cli.waiting import Waiting
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
    """List the other nodes in touch now; where no node runs, look around for 3 seconds first."""
    with open_session(options) as session:
        if session.is_local or options.peers:
            wait_for_peers(session)
        found = _peers(session, everybody)
        nobody = None if found else session.client.ask("nobody_found").get("text")
    if as_json:
        for peer in found:
            output.print_json(peer)
    else:
        for line in output.table([_row(peer) for peer in found]):
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


def _row(peer: Fields) -> tuple[str, ...]:
    rtt_s = peer.get("rtt_s")
    return (
        output.shown_name({"name": peer.get("name"), "author": peer.get("id")}),
        output.short_id(str(peer.get("id"))),
        "online" if peer.get("online") else "offline",
        str(peer.get("address") or "-"),
        str(peer.get("found_by") or "-"),
        f"{rtt_s * 1000:.1f} ms" if isinstance(rtt_s, int | float) else "",
    )
