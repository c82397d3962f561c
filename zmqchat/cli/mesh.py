"""`mesh`: the whole mesh as one node knows it, as lines, JSON or a graph for Graphviz."""

from __future__ import annotations

from collections.abc import Sequence

import click

from zmqchat.cli import output
from zmqchat.cli.client import Fields
from zmqchat.cli.options import StartOptions
from zmqchat.cli.people import wait_for_peers
from zmqchat.cli.session import Session, open_session
from zmqchat.model.text import cell_width, clean

NAME_CELLS = 20
"""Columns of the terminal that a name may take, so that a line fits in 80."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--dot", "as_dot", is_flag=True, help="Print a graph for Graphviz.")
@click.pass_obj
def mesh(options: StartOptions, as_json: bool, as_dot: bool) -> None:
    """Show the whole mesh as this node knows it; where no node runs, look around for 3 seconds first."""
    if as_json and as_dot:
        raise click.UsageError("--json and --dot exclude each other")
    with open_session(options) as session:
        if session.is_local or options.peers:
            wait_for_peers(session)
        view = _view(session)
    if as_json:
        output.print_json(view)
        return
    for line in dot_lines(view) if as_dot else text_lines(view):
        output.print_line(line)


def _view(session: Session) -> Fields:
    nodes, links, rest = [], [], {}
    for item in session.client.items("mesh"):
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
    names = {node["id"]: _name(node) for node in nodes}
    kind = "partial mesh" if view.get("is_partial") else "full mesh"
    subnets = [
        f"{subnet or 'unknown'}: {output.counted(count, 'node')}" for subnet, count in view.get("subnets", {}).items()
    ]
    rows = [_row(node, names) for node in nodes]
    return [
        f"{output.counted(len(nodes), 'node')}, {output.counted(len(view['links']), 'known link')}, {kind}",
        *(f"  {clean(subnet)}" for subnet in subnets),
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
    return '"' + " ".join(clean(text).split()).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _nearest_first(node: Fields) -> tuple[float, str, str]:
    hops = node.get("hops")
    return (float("inf") if hops is None else float(hops), str(node.get("name")), str(node.get("id")))


def _name(node: Fields) -> str:
    name = output.shown_name(node)
    while sum(map(cell_width, name)) > NAME_CELLS:
        name = name[:-1]
    return name


def _row(node: Fields, names: dict[str, str]) -> tuple[str, ...]:
    rtt_s = node.get("rtt_s")
    if node.get("is_self"):
        way = "this node"
    elif node.get("linked"):
        way = "link"
    else:
        way = f"via {names.get(str(node.get('via')), 'others')}"
    state = "" if node.get("online") else "offline"
    return (
        names[node["id"]],
        output.short_id(str(node["id"])),
        "?" if node.get("hops") is None else str(node["hops"]),
        f"{rtt_s * 1000:.1f} ms" if isinstance(rtt_s, int | float) else "",
        "slow" if node.get("slow") else state,
        way,
    )
