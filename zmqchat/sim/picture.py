"""Pictures of a run as SVG: the network at a moment, or the way of one message from its author to all others.

Both are drawn with simple sums and fixed decimals, so that the same run gives the same file. They grow with what they
show, so that dots and names never hide each other, and bring their own background.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

from zmqchat.model.ids import MessageId
from zmqchat.protocol.effects import Deliver, Effect
from zmqchat.protocol.facts import Fact, FeedReceived, FrameReceived
from zmqchat.sim.describe import batches_of, carries
from zmqchat.sim.trace import MessageSearch
from zmqchat.sim.world import World

WIDTH: Final = 960
MARGIN: Final = 60
ROW: Final = 28
COLUMN: Final = 150
DOT: Final = 6
SPACING: Final = 14
"""Between two dots of a ring, which grows for it."""

LABEL_SPACING: Final = 30
"""The same where each has its number beside it; up to LABELS_MAX nodes."""

LABELS_MAX: Final = 120

LINES_FAINT: Final = 800
"""With more lines than these each is drawn fainter, as they cover each other."""


class Dot(NamedTuple):
    """A node in a picture."""

    x: float
    y: float
    label: str
    colour: str


class Line(NamedTuple):
    """A line between two nodes, by their places in the list."""

    start: int
    end: int
    colour: str


def network_picture(world: World) -> str:
    """The nodes on a ring, a line for each link; grey nodes are down, red ones stand still."""
    count = len(world.nodes)
    is_named = count <= LABELS_MAX
    side = max(WIDTH - 2 * MARGIN, count * (LABEL_SPACING if is_named else SPACING) // 4)
    places = _ring(count, side)
    dots, lines = [], []
    for node, (x, y) in zip(world.nodes, places, strict=True):
        colour = "grey" if not node.is_up else "seagreen" if node.is_responsive else "crimson"
        dots.append(Dot(x, y, str(node.number), colour))
        peers = node.process.machines.peers.linked if node.process is not None else frozenset()
        others = sorted(number for peer in peers if (number := world.number_of(peer)) is not None)
        lines += [Line(node.number, other, "darkgrey") for other in others if node.number < other]
    title = f"{len(world.nodes)} nodes, {len(lines)} links at {world.now_s:.1f} s"
    return _svg(side + 2 * MARGIN, side + 2 * MARGIN, title, dots, lines, is_named=is_named)


class Way:
    """A sink that notes how one message reaches each node: by whom first, and when it is shown there."""

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted
        self._search: MessageSearch | None = None
        self._came: dict[int, tuple[int, float, str]] = {}
        self._shown_s: dict[int, float] = {}
        self._world: World | None = None

    def join(self, world: World) -> None:
        """From now on, look for the message in this world."""
        self._world = world
        self._search = MessageSearch(world, self._wanted)

    def at(self, now_s: float, node: int, what: Fact | Effect) -> None:
        """Note the first time that it comes, and that it is shown."""
        if self._search is None or self._world is None:
            return
        message = self._search.look(what)
        if message is None or not any(carries(raw, message) for raw in batches_of(what)):
            return
        if isinstance(what, FrameReceived | FeedReceived) and node not in self._came:
            sender = self._world.number_of(what.peer)
            how = "feed" if isinstance(what, FeedReceived) else "link"
            self._came[node] = (-1 if sender is None else sender, now_s, how)
        elif isinstance(what, Deliver):
            self._shown_s.setdefault(node, now_s)

    @property
    def message(self) -> MessageId | None:
        """The message, where anything has carried it."""
        return None if self._search is None else self._search.found

    def picture(self) -> str:
        """The tree: a column a hop, each node with the milliseconds from the author's disk to its own."""
        world, message = self._world, self.message
        if world is None or message is None:
            return _svg(WIDTH, 2 * MARGIN, f"nothing like {self._wanted!r} was said", [], [])
        author = world.number_of(message.author)
        begun_s = self._shown_s.get(-1 if author is None else author, 0.0)
        columns: dict[int, int] = {}
        dots: list[Dot] = []
        lines: list[Line] = []
        place: dict[int, int] = {}
        for node in sorted(self._shown_s, key=lambda number: (self._shown_s[number], number)):
            sender, _at_s, how = self._came.get(node, (-1, 0.0, ""))
            hop = 0 if node == author else self._hops(node)
            row = columns[hop] = columns.get(hop, 0) + 1
            place[node] = len(dots)
            label = f"node {node}, {1000 * (self._shown_s[node] - begun_s):.1f} ms"
            dots.append(Dot(MARGIN + hop * COLUMN, MARGIN + row * ROW, label, "seagreen" if hop else "navy"))
            if sender in place and node != author:
                lines.append(Line(place[sender], place[node], "darkorange" if how == "feed" else "darkgrey"))
        height = 2 * MARGIN + ROW * (1 + max(columns.values(), default=0))
        width = max(WIDTH, MARGIN + COLUMN * (1 + max(columns, default=0)))
        return _svg(width, height, f"the way of {self._wanted!r} to {len(dots)} nodes", dots, lines)

    def _hops(self, node: int) -> int:
        hops, seen = 0, {node}
        while node in self._came:
            node = self._came[node][0]
            hops += 1
            if node in seen:
                break
            seen.add(node)
        return hops


def _ring(count: int, side: int) -> list[tuple[float, float]]:
    """Places on a square ring, evenly: no sines, which differ from platform to platform in the last digit."""
    places = []
    for index in range(count):
        way = 4.0 * side * index / count
        edge, rest = int(way // side), way % side
        x, y = ((rest, 0.0), (side, rest), (side - rest, side), (0.0, side - rest))[edge]
        places.append((MARGIN + x, MARGIN + y))
    return places


def _svg(
    width: float, height: float, title: str, dots: Sequence[Dot], lines: Sequence[Line], *, is_named: bool = True
) -> str:
    faint = f"{max(0.1, min(1.0, LINES_FAINT / max(1, len(lines)))):.2f}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="white"/>',
        f'<text x="{MARGIN}" y="30" font-size="16">{escape(title)}</text>',
    ]
    parts.append(f'<g stroke-opacity="{faint}">')
    for line in lines:
        start, end = dots[line.start], dots[line.end]
        parts.append(
            f'<line x1="{start.x:.1f}" y1="{start.y:.1f}" x2="{end.x:.1f}" y2="{end.y:.1f}" stroke="{line.colour}"/>'
        )
    parts.append("</g>")
    for dot in dots:
        about = f"<title>{escape(dot.label)}</title>"
        parts.append(f'<circle cx="{dot.x:.1f}" cy="{dot.y:.1f}" r="{DOT}" fill="{dot.colour}">{about}</circle>')
        if is_named:
            parts.append(f'<text x="{dot.x + 9:.1f}" y="{dot.y + 4:.1f}" font-size="11">{escape(dot.label)}</text>')
    parts.append("</svg>\n")
    return "\n".join(parts)
