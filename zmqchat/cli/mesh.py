"""`mesh`: the whole mesh as one node knows it, as lines, JSON, a graph for Graphviz or a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import click

from zmqchat.cli import output
from zmqchat.cli.client import Fields
from zmqchat.cli.options import StartOptions
from zmqchat.cli.people import wait_for_peers
from zmqchat.cli.session import Session, open_session
from zmqchat.model.text import cell_width, clean

NAME_CELLS = 20
"""Columns of the terminal that a name may take, so that a line fits in 80."""

PICTURE = 960
"""Width and height of a picture."""

LABELS_MAX = 60
"""Nodes that a picture names beside their dots; with more, names would hide each other and show on pointing only."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--dot", "as_dot", is_flag=True, help="Print a graph for Graphviz.")
@click.option("--svg", "as_svg", is_flag=True, help="Print a picture.")
@click.pass_obj
def mesh(options: StartOptions, as_json: bool, as_dot: bool, as_svg: bool) -> None:
    """Show the whole mesh as this node knows it; where no node runs, look around for 3 seconds first."""
    if as_json + as_dot + as_svg > 1:
        raise click.UsageError("--json, --dot and --svg exclude each other")
    with open_session(options) as session:
        if session.is_local or options.peers:
            wait_for_peers(session)
        view = _view(session)
    if as_json:
        output.print_json(view)
        return
    for line in dot_lines(view) if as_dot else svg_lines(view) if as_svg else text_lines(view):
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


def svg_lines(view: Fields) -> list[str]:
    """A picture: this node in the middle, a ring for each hop; the same view gives the same lines."""
    places = _places(view["nodes"])
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {PICTURE} {PICTURE}" font-family="sans-serif">']
    for one, other in sorted(view["links"]):
        if one in places and other in places:
            (x1, y1), (x2, y2) = places[one], places[other]
            lines.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="silver"/>')
    for node in sorted(view["nodes"], key=lambda node: str(node["id"])):
        x, y = places[node["id"]]
        name = escape(" ".join(clean(output.shown_name(node)).split()))
        colour = "grey" if not node.get("online") else "crimson" if node.get("slow") else "seagreen"
        lines.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{colour}"><title>{name}</title></circle>')
        if len(places) <= LABELS_MAX:
            lines.append(f'<text x="{x:.1f}" y="{y - 10:.1f}" font-size="12" text-anchor="middle">{name}</text>')
    return [*lines, "</svg>"]


def _places(nodes: Sequence[Fields]) -> dict[str, tuple[float, float]]:
    """Where each node stands; those that no known way leads to are on a ring of their own, outermost."""
    beyond = 1 + max((node["hops"] for node in nodes if node.get("hops") is not None), default=0)
    rings: dict[int, list[str]] = {}
    for node in sorted(nodes, key=lambda node: str(node["id"])):
        hops = node.get("hops")
        rings.setdefault(beyond if hops is None else int(hops), []).append(str(node["id"]))
    step = (PICTURE / 2 - 60) / max(1, *rings)
    places = {}
    for ring, members in rings.items():
        for index, member in enumerate(members):
            angle = 2 * math.pi * index / len(members)
            places[member] = (
                PICTURE / 2 + ring * step * math.cos(angle),
                PICTURE / 2 + ring * step * math.sin(angle),
            )
    return places


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
