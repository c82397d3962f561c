"""The mesh as a picture: SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from zmqchat.cli import output
from zmqchat.cli.client import Fields
from zmqchat.model.text import clean

PICTURE = 960
"""Width and height of a picture."""

LABELS_MAX = 60
"""Nodes that a picture names beside their dots; with more, names would hide each other and show on pointing only."""


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
