"""The mesh as a picture in SVG: this node in the middle, a ring for each hop, a colour for each large subnet.

Nodes of a ring stand in as many rows as keep their dots apart, the dots being the smaller the more there are. The same
view gives the same picture, and it brings its own background, so that it can be read in light and dark viewers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final, NamedTuple

from zmqchat.cli import output, ways
from zmqchat.cli.client import Fields

WIDTH: Final = 960
HEAD: Final = 40
LEGEND_ROW: Final = 20
EDGE: Final = 24
LABEL: Final = 120
"""Space for names around the outermost ring."""

LABELS_MAX: Final = 60
"""Nodes that a picture names beside their dots; with more, names would hide each other and show on pointing only."""

LABEL_CELLS: Final = 16
CELL_WIDTH: Final = 6.6
SPACING_MOST: Final = 26.0
SPACING_LEAST: Final = 4.0
LINKS_FAINT: Final = 600
"""With more links than these each is drawn fainter, as they cover each other."""

COLOURS: Final = ("#2f7fd1", "#d9730d", "#2a9d5c", "#9b5fc0", "#1a9aa0", "#d2568c", "#8f8a1c", "#a5683a")
"""Of the largest subnets: told apart by most eyes, on white and on near-black."""

OTHER_COLOUR: Final = "#7a8794"
STYLE: Final = (
    "<style>text{font:12px sans-serif;fill:#1c2126}.page{fill:#fff}.link{stroke:#66717d}.own{stroke:#1c2126}"
    ".ring{fill:none;stroke:#d5dae0}.halo{stroke:#fff;stroke-width:3px;paint-order:stroke}.off{fill:#fff;stroke:#7a8794}"
    ".self{stroke:#1c2126}.slow{stroke:#d62839}"
    "@media(prefers-color-scheme:dark){text{fill:#e8ebee}.page{fill:#15181c}.link{stroke:#97a3af}.own{stroke:#e8ebee}"
    ".ring{stroke:#343b43}.halo{stroke:#15181c}.off{fill:#15181c}.self{stroke:#e8ebee}}</style>"
)


class Place(NamedTuple):
    """Where a node stands, and in which direction from the middle."""

    x: float
    y: float
    angle: float


class Layout(NamedTuple):
    """Where all stand.

    rings  the radius of each ring, innermost first
    dot    the radius of a dot
    """

    places: Mapping[str, Place]
    rings: tuple[float, ...]
    dot: float


def svg_lines(view: Fields) -> list[str]:
    """The lines of the picture."""
    nodes = sorted(view["nodes"], key=lambda node: (_subnet(node), str(node["id"])))
    sizes = Counter(map(_subnet, nodes))
    ranked = sorted(sizes, key=lambda subnet: (-sizes[subnet], subnet))
    colours = dict(zip(ranked, COLOURS, strict=False))
    layout = _layout(nodes)
    links = sorted((str(one), str(other)) for one, other in view["links"])
    links = [pair for pair in links if pair[0] in layout.places and pair[1] in layout.places]
    kind = "partial mesh" if view.get("is_partial") else "full mesh"
    title = f"{output.counted(len(nodes), 'node')}, {output.counted(len(links), 'known link')}, {kind}"
    legend = _legend(ranked, sizes, colours)
    height = HEAD + WIDTH + LEGEND_ROW * len(legend)
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}">',
        STYLE,
        f'<rect class="page" width="{WIDTH}" height="{height}"/>',
        f'<text x="{EDGE}" y="{HEAD - 12}">{escape(title)}</text>',
        *(f'<circle class="ring" cx="{WIDTH / 2:.1f}" cy="{HEAD + WIDTH / 2:.1f}" r="{r:.1f}"/>' for r in layout.rings),
        *_link_lines(nodes, links, layout),
        *_node_lines(nodes, layout, colours),
        *_legend_lines(legend),
        "</svg>",
    ]


def _subnet(node: Fields) -> str:
    return output.on_one_line(node.get("subnet") or "unknown")


def _layout(nodes: Sequence[Fields]) -> Layout:
    """Rings by hops; those that no known way leads to are on a ring of their own, outermost."""
    beyond = 1 + max((int(node["hops"]) for node in nodes if node.get("hops") is not None), default=0)
    members: dict[int, list[str]] = {}
    for node in nodes:
        hops = node.get("hops")
        members.setdefault(beyond if hops is None else int(hops), []).append(str(node["id"]))
    rings = [members[hops] for hops in sorted(members) if hops]
    most = WIDTH / 2 - (LABEL if len(nodes) <= LABELS_MAX else EDGE)
    spacing = SPACING_MOST
    radii, rows = _radii(rings, spacing, most)
    while radii and radii[-1] + (rows[-1] - 1) * spacing > most and spacing > SPACING_LEAST:
        spacing *= 0.93
        radii, rows = _radii(rings, spacing, most)
    places = {key: Place(WIDTH / 2, HEAD + WIDTH / 2, 0.0) for key in members.get(0, ())}
    for ring, radius, count in zip(rings, radii, rows, strict=True):
        for index, key in enumerate(ring):
            # A little off the axes, so that names of few nodes do not all lie flat; with room where the end of the
            # rows meets their beginning.
            angle = 2 * math.pi * (index + 0.25) / (len(ring) + count - 1)
            away = radius + spacing * (index % count)
            places[key] = Place(WIDTH / 2 + away * math.cos(angle), HEAD + WIDTH / 2 + away * math.sin(angle), angle)
    return Layout(places, tuple(radii), max(1.5, min(7.0, 0.36 * spacing)))


def _radii(rings: Sequence[Sequence[str]], spacing: float, most: float) -> tuple[list[float], list[int]]:
    """The innermost radius of each ring and its rows, each node having its spacing to all sides."""
    even = most / max(1, len(rings))
    radii: list[float] = []
    rows: list[int] = []
    edge = 0.0
    for index, ring in enumerate(rings):
        # As far out as an even distance allows, unless the rings inside need more; the outermost grows inwards.
        needed = 1
        radius = max(edge + 2.5 * spacing, even * (index + 1) if len(rings) < 4 else edge + 2.5 * spacing)
        while 2 * math.pi * radius * needed < (len(ring) + needed - 1) * spacing * 1.1:
            needed += 1
            radius = max(edge + 2.5 * spacing, radius - spacing)
        radii.append(radius)
        rows.append(needed)
        edge = radius + (needed - 1) * spacing
    # What is left over widens all: distances only grow.
    if radii and edge < most:
        factor = (most - (rows[-1] - 1) * spacing) / radii[-1]
        radii = [radius * factor for radius in radii] if factor > 1 else radii
    return radii, rows


def _link_lines(nodes: Sequence[Fields], links: Sequence[tuple[str, str]], layout: Layout) -> list[str]:
    """Those of others first, so that this node's own lie above them."""
    me = {str(node["id"]) for node in nodes if node.get("is_self")}
    faint = 0.7 if len(links) <= LINKS_FAINT else max(0.08, 0.7 * LINKS_FAINT / len(links))
    others = [pair for pair in links if not me & set(pair)]
    own = [pair for pair in links if me & set(pair)]
    lines = [f'<g class="link" stroke-width="0.8" stroke-opacity="{faint:.2f}">']
    lines += [_line(layout.places[one], layout.places[other]) for one, other in others]
    lines += ["</g>", '<g class="own" stroke-width="1" stroke-opacity="0.6">']
    lines += [_line(layout.places[one], layout.places[other]) for one, other in own]
    return [*lines, "</g>"]


def _line(start: Place, end: Place) -> str:
    return f'<line x1="{start.x:.1f}" y1="{start.y:.1f}" x2="{end.x:.1f}" y2="{end.y:.1f}"/>'


def _node_lines(nodes: Sequence[Fields], layout: Layout, colours: Mapping[str, str]) -> list[str]:
    names = {str(node["id"]): output.shown_name(node) for node in nodes}
    is_named = len(nodes) <= LABELS_MAX
    gap = min([b - a for a, b in zip((0.0, *layout.rings), layout.rings, strict=False)], default=float(LABEL))
    cells = max(
        4, min(LABEL_CELLS, int((gap - 2 * layout.dot - 8) / CELL_WIDTH) if len(layout.rings) > 1 else LABEL_CELLS)
    )
    lines = []
    for node in nodes:
        key = str(node["id"])
        place = layout.places[key]
        about = f"{names[key]}, {_subnet(node)}, {ways.way_and_notes(node, names)}"
        lines.append(_dot(node, place, layout.dot, colours.get(_subnet(node), OTHER_COLOUR), escape(about)))
        if is_named:
            lines.append(
                _label(place, layout.dot, escape(ways.cut(names[key], cells)), is_self=bool(node.get("is_self")))
            )
    return lines


def _dot(node: Fields, place: Place, radius: float, colour: str, about: str) -> str:
    """Hollow where it is gone, with an edge where it is slow or this node, square where it keeps rooms of ours."""
    shade = 'class="off"' if not node.get("online") else f'fill="{colour}"'
    if node.get("is_self"):
        shade, radius = f'class="self" fill="{colour}" stroke-width="2"', radius * 1.5
    elif node.get("slow"):
        shade = f'class="slow" fill="{colour}" stroke-width="{max(1.5, radius / 3):.1f}"'
    if node.get("keeps"):
        corner = f'x="{place.x - radius:.1f}" y="{place.y - radius:.1f}"'
        return (
            f'<rect {corner} width="{2 * radius:.1f}" height="{2 * radius:.1f}" {shade}><title>{about}</title></rect>'
        )
    return f'<circle cx="{place.x:.1f}" cy="{place.y:.1f}" r="{radius:.1f}" {shade}><title>{about}</title></circle>'


def _label(place: Place, dot: float, name: str, *, is_self: bool) -> str:
    """A name that leads away from the middle, never upside down."""
    if is_self:
        return (
            f'<text class="halo" x="{place.x:.1f}" y="{place.y + 2 * dot + 12:.1f}" text-anchor="middle">{name}</text>'
        )
    degrees = math.degrees(place.angle)
    is_left = 90 < degrees % 360 < 270
    turned = degrees + 180 if is_left else degrees
    offset, anchor = (-dot - 5, "end") if is_left else (dot + 5, "start")
    where = f'transform="translate({place.x:.1f} {place.y:.1f}) rotate({turned % 360:.1f})"'
    return f'<text class="halo" {where} x="{offset:.1f}" y="4" text-anchor="{anchor}">{name}</text>'


def _legend(ranked: Sequence[str], sizes: Mapping[str, int], colours: Mapping[str, str]) -> list[tuple[str, str]]:
    """Colour and text of each line."""
    shown = [
        (colours[subnet], f"{subnet}: {output.counted(sizes[subnet], 'node')}")
        for subnet in ranked
        if subnet in colours
    ]
    rest = [subnet for subnet in ranked if subnet not in colours]
    if rest:
        count = sum(sizes[subnet] for subnet in rest)
        text = f"{output.counted(len(rest), 'other subnet')}: {output.counted(count, 'node')}"
        shown.append((OTHER_COLOUR, text))
    return [*shown, ("", "rings: links away; hollow: offline; red edge: slow; square: keeps rooms of this node")]


def _legend_lines(legend: Sequence[tuple[str, str]]) -> list[str]:
    lines = []
    for index, (colour, text) in enumerate(legend):
        y = HEAD + WIDTH + LEGEND_ROW * index
        if colour:
            lines.append(f'<circle cx="{EDGE + 5}" cy="{y}" r="5" fill="{colour}"/>')
        lines.append(f'<text x="{EDGE + (16 if colour else 0)}" y="{y + 4}">{escape(text)}</text>')
    return lines
