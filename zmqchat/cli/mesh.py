"""`mesh`: the whole mesh as one node knows it, as lines, JSON, a graph for Graphviz or a picture."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence

import click
from rich.text import Text

from zmqchat.cli import output, terminals, ways
from zmqchat.cli.client import Fields
from zmqchat.cli.mesh_drawing import drawing
from zmqchat.cli.mesh_picture import svg_lines
from zmqchat.cli.options import StartOptions
from zmqchat.cli.people import wait_for_peers
from zmqchat.cli.session import Session, open_session

NAME_CELLS = 20
"""Columns of the terminal that a name may take, so that a line fits in 80."""

LOOK_S = 1.0
"""How often the node is looked at while it is watched; that costs nobody else anything."""

SURVEY_S = 10.0
"""How often its neighbours are asked meanwhile."""

STEP_S = 0.2
"""How soon a change of the terminal's size is followed."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--dot", "as_dot", is_flag=True, help="Print a graph for Graphviz.")
@click.option("--svg", "as_svg", is_flag=True, help="Print a picture.")
@click.option("--all", "everybody", is_flag=True, help="Print a line a node on a terminal too, however many.")
@click.option("--watch", "watched", is_flag=True, help="Draw it again whenever it changes, until Ctrl-C.")
@click.pass_obj
def mesh(options: StartOptions, as_json: bool, as_dot: bool, as_svg: bool, everybody: bool, watched: bool) -> None:
    """Show the whole mesh as this node knows it; where no node runs, look around for 3 seconds first.

    On a terminal a drawing, in which many nodes are a sign each; elsewhere a line a node, the nearest first.
    """
    if as_json + as_dot + as_svg + everybody + watched > 1:
        raise click.UsageError("--json, --dot, --svg, --all and --watch exclude each other")
    if watched and not terminals.is_drawable():
        raise click.UsageError("--watch needs a terminal to draw on; for a program, run mesh --json again and again")
    with open_session(options) as session:
        if watched:
            watch(session)
            return
        if session.is_local or options.peers:
            wait_for_peers(session)
        view = read_view(session)
    if as_json:
        output.print_json(view)
    elif as_dot or as_svg or everybody or not sys.stdout.isatty():
        for line in dot_lines(view) if as_dot else svg_lines(view) if as_svg else text_lines(view):
            output.print_line(line)
    else:
        console = terminals.console()
        for text in drawing(view, ways.terminal_columns() or ways.COLUMNS_UNKNOWN):
            console.print(text, soft_wrap=True)


def watch(session: Session) -> None:
    """Draw the mesh again whenever it has changed, until Ctrl-C, which is how it is meant to end."""
    session.leave_at_once()
    asked_s = surveyed_s = float("-inf")
    view: Fields = {"nodes": [], "links": []}
    with contextlib.suppress(KeyboardInterrupt), terminals.silent_input(), terminals.FullScreen() as screen:
        while True:
            now_s = time.monotonic()
            if now_s - asked_s >= LOOK_S:
                asked_s = now_s
                surveyed_s = now_s if now_s - surveyed_s >= SURVEY_S else surveyed_s
                view = read_view(session, survey=surveyed_s == now_s)
            columns, rows = screen.size
            lines = drawing(view, columns, max(1, rows - 2))
            screen.show([*lines, Text(""), Text("Ctrl-C ends", style="dim")] if rows > 2 else lines)
            time.sleep(STEP_S)


def read_view(session: Session, *, survey: bool = True) -> Fields:
    """The mesh as the node knows it; with a survey its neighbours are asked which links they know of."""
    nodes, links, rest = [], [], {}
    for item in session.client.items("mesh", survey=survey):
        if "node" in item:
            nodes.append(item["node"])
        elif "link" in item:
            links.append(item["link"])
        else:
            rest = item.get("mesh", {})
    return {"nodes": nodes, "links": links, **rest}


def text_lines(view: Fields) -> list[str]:
    """The mesh for people: how large it is, its subnets, then a line a node, the nearest first."""
    nodes: Sequence[Fields] = sorted(view["nodes"], key=_nearest_first)
    names = {node["id"]: ways.name_cut(node, NAME_CELLS) for node in nodes}
    kind = "partial mesh" if view.get("is_partial") else "full mesh"
    subnets = [
        f"{subnet or 'unknown'}: {output.counted(count, 'node')}" for subnet, count in view.get("subnets", {}).items()
    ]
    rows = [_row(node, names) for node in nodes]
    return [
        f"{output.counted(len(nodes), 'node')}, {output.counted(len(view['links']), 'known link')}, {kind}",
        *(f"  {output.on_one_line(subnet)}" for subnet in subnets),
        "",
        *output.table(rows),
    ]


def dot_lines(view: Fields) -> list[str]:
    """The mesh as an undirected graph; the same view gives the same lines."""
    lines = ["graph zmqchat {", "  overlap=false;", "  node [shape=box];"]
    for node in sorted(view["nodes"], key=lambda node: str(node["id"])):
        style = ", style=bold" if node.get("is_self") else "" if node.get("online") else ", color=grey"
        label = _quoted(output.shown_name(node))
        lines.append(f"  {_quoted(str(node['id']))} [label={label}{style}];")
    lines += [f"  {_quoted(str(one))} -- {_quoted(str(other))};" for one, other in sorted(view["links"])]
    return [*lines, "}"]


def _quoted(text: str) -> str:
    """A quoted DOT string: others' names can't end it nor give Graphviz an escape."""
    return '"' + output.on_one_line(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _nearest_first(node: Fields) -> tuple[float, str, str]:
    hops = node.get("hops")
    return (float("inf") if hops is None else float(hops), str(node.get("name")), str(node.get("id")))


def _row(node: Fields, names: dict[str, str]) -> tuple[str, ...]:
    return (
        names[node["id"]],
        output.short_id(str(node["id"])),
        ways.hops_text(node),
        ways.rtt_text(node),
        ways.way_and_notes(node, names),
    )
