"""`doctor`: what this node sees of itself and its network, and for each problem the thing to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from zmqchat.cli import output, ways
from zmqchat.cli.client import Fields
from zmqchat.cli.options import StartOptions
from zmqchat.cli.people import wait_for_peers
from zmqchat.cli.session import open_session
from zmqchat.cli.waiting import Waiting
from zmqchat.model.text import clean

Report = Mapping[str, Any]

NAME_CELLS = 20
"""Columns that the name of who leads to a peer may take."""


@click.command()
@click.argument("peer", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def doctor(options: StartOptions, peer: str | None, as_json: bool) -> None:
    """Say what this node sees of its network, and for each problem the thing to do.

    With PEER (a name or an id) also what the two nodes think of each other.
    """
    with open_session(options) as session:
        if session.is_local:
            wait_for_peers(session)
        with Waiting("looking"):
            report = session.client.ask("doctor", peer=peer).get("report", {})
    if as_json:
        output.print_json(report)
        return
    for line in report_lines(report):
        output.print_line(line)


def report_lines(report: Report) -> list[str]:
    """The report for people: a part an empty line, problems last, where they are read."""
    lines = output.table([(name, _shown(report.get(key))) for name, key in _HEAD if report.get(key) is not None])
    lines += output.table([("ports", _pairs(report.get("ports")))])
    lines += _interfaces(report)
    peers = _list(report.get("peers"))
    names = {str(peer.get("id")): ways.name_cut(peer, NAME_CELLS) for peer in peers}
    lines += _part("peers", [_peer_row(peer, names) for peer in peers])
    for name in ("peer", "mesh_links", "store", "counters", "refusals", "faults", "firewall"):
        value = report.get(name)
        if isinstance(value, Mapping) and value:
            lines += _part(name, [(str(key), _shown(item, str(key))) for key, item in value.items()])
    notices = [clean(str(notice)) for notice in _list(report.get("notices"))]
    lines += ["", "notices", *(f"  {notice}" for notice in notices)] if notices else []
    problems = [_problem_text(problem) for problem in _list(report.get("problems"))]
    lines += ["", "problems" if problems else "no problems found", *(f"  {problem}" for problem in problems)]
    return lines


_HEAD = (("name", "name"), ("id", "id"), ("home", "home"), ("mesh", "mesh"), ("address", "address"), ("hosts", "hosts"))


def _interfaces(report: Report) -> list[str]:
    rows = [
        (clean(str(interface.get("name"))), _shown(interface.get("addresses")))
        for interface in _list(report.get("interfaces"))
    ]
    lines = _part("interfaces", rows)
    discovery = report.get("discovery")
    if isinstance(discovery, Mapping):
        multicast = [
            (
                f"{clean(str(probe.get('interface')))} {clean(str(probe.get('address')))}",
                "sent and heard back" if probe.get("heard") else "sent, not heard" if probe.get("sent") else "not sent",
            )
            for probe in _list(discovery.get("multicast"))
        ]
        plain = [(str(k), _shown(v, str(k))) for k, v in discovery.items() if not isinstance(v, list | Mapping)]
        lines += _part("discovery", [*plain, *multicast])
    return lines


def _way(peer: Fields, names: Mapping[str, str]) -> str:
    """How it is reached; a node of an older version says only whether it is in touch."""
    if "linked" in peer:
        return ways.way_and_notes(peer, names)
    return "online" if peer.get("online") else "offline"


def _peer_row(peer: Fields, names: Mapping[str, str]) -> tuple[str, ...]:
    rtt_s, clock_s = peer.get("rtt_s"), peer.get("clock_difference_s")
    return (
        output.shown_name({"name": peer.get("name"), "author": peer.get("id")}),
        output.short_id(str(peer.get("id"))),
        _way(peer, names),
        clean(str(peer.get("address") or "-")),
        f"found by {clean(str(peer.get('found_by') or '-'))}",
        f"{rtt_s * 1000:.1f} ms" if isinstance(rtt_s, int | float) else "-",
        f"clock {clock_s:+.1f} s" if isinstance(clock_s, int | float) else "-",
        clean(str(peer.get("last_error") or "")),
    )


def _part(title: str, rows: Sequence[Sequence[str]]) -> list[str]:
    return ["", title, *(f"  {line}" for line in output.table(rows) or ["none"])]


def _problem_text(problem: object) -> str:
    if isinstance(problem, Mapping):
        return clean(": ".join(str(problem[key]) for key in problem))
    return clean(str(problem))


def _pairs(value: object) -> str:
    return ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, Mapping) else _shown(value)


def _shown(value: object, key: str = "") -> str:
    """A value as a person reads it; sizes by what their name ends in."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "-"
    if isinstance(value, int | float) and key.endswith("bytes"):
        return f"{value / 1024**2:,.1f} MiB"
    if isinstance(value, int | float) and key.endswith(("_s", "_s_ago")):
        return f"{value:.3g} s"
    if isinstance(value, list):
        return ", ".join(_shown(item) for item in value) or "none"
    if isinstance(value, Mapping):
        return _pairs(value)
    return clean(str(value)).replace("\n", " ")


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
