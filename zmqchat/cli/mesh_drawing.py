"""The mesh as a drawing for a terminal: a line a node while there are few, a sign a node when there are many.

Few nodes make a table, grouped by subnet. Many make a map: a line a subnet, in it a sign for each node, which says how
far away it is; below it by name who matters, that is those with a link of ours, slow ones, keepers, and who joins the
subnets. What is too much for either is counted, so that the drawing has a bounded number of lines whatever the mesh.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from rich.text import Text

from zmqchat.cli import output, ways
from zmqchat.cli.client import Fields

FEW: Final = 24
"""Nodes that have a line each."""

NAME_CELLS: Final = 16
SUBNET_CELLS: Final = 20
MAP_CELLS_LEAST: Final = 16

SELF, FAR, UNKNOWN, SLOW, KEEPER, OFFLINE = "@", "+", "?", "!", "k", "x"
LEGEND: Final = "@ this node  1 2 … links away  ? way unknown  ! slow  k keeper  x offline"
STYLES: Final = {SELF: "bold", "1": "green", SLOW: "bold red", KEEPER: "magenta", OFFLINE: "red", UNKNOWN: "yellow"}


class Extent(NamedTuple):
    """How much of a large mesh is drawn: subnets, lines of signs a subnet, and lines of names a group."""

    subnets: int
    map_lines: int
    name_lines: int


EXTENTS: Final = (Extent(12, 4, 3), Extent(8, 2, 2), Extent(4, 1, 1), Extent(2, 1, 1))
"""The largest that a terminal has room for is taken."""


def drawing(view: Fields, columns: int, rows: int | None = None) -> list[Text]:
    """The lines of the drawing, each at most so many columns; at most `rows` lines where that is not None."""
    look = _Look(view, columns)
    lines: list[Text] = []
    for extent in EXTENTS:
        lines = [*_head(look), Text(""), *(_table(look) if len(look.nodes) <= FEW else _map(look, extent))]
        if rows is None or len(lines) <= rows:
            break
    if rows is not None and len(lines) > rows:
        hidden = len(lines) - max(1, rows - 1)
        lines = [*lines[: max(1, rows - 1)], Text(f"… {output.counted(hidden, 'line')} more: make the window taller")]
        del lines[max(1, rows) :]
    for line in lines:
        line.truncate(columns, overflow="ellipsis")
    return lines


class _Look:
    """What all parts of a drawing look things up in."""

    def __init__(self, view: Fields, columns: int) -> None:
        self.columns = columns
        self.nodes: list[Fields] = sorted(view["nodes"], key=_nearest_first)
        self.by_id: dict[str, Fields] = {str(node["id"]): node for node in self.nodes}
        self.names = {key: ways.name_cut(node, NAME_CELLS) for key, node in self.by_id.items()}
        self.links = [(str(a), str(b)) for a, b in view["links"] if str(a) in self.by_id and str(b) in self.by_id]
        self.beside: dict[str, list[str]] = {key: [] for key in self.by_id}
        for one, other in self.links:
            self.beside[one].append(other)
            self.beside[other].append(one)
        self.kind = "partial mesh" if view.get("is_partial") else "full mesh"
        groups: dict[str, list[Fields]] = {}
        for node in self.nodes:
            groups.setdefault(subnet_name(node), []).append(node)
        own = next((subnet_name(node) for node in self.nodes if node.get("is_self")), "")
        self.subnets = dict(
            sorted(groups.items(), key=lambda item: (item[0] != own, -len(item[1]), *_natural(item[0])))
        )


def subnet_name(node: Fields) -> str:
    """The subnet that a node is in, as a terminal may show it."""
    return output.on_one_line(node.get("subnet") or "unknown")


def _natural(subnet: str) -> tuple[int, int, str]:
    """Subnets in the order of their numbers, those without one last."""
    try:
        network = ipaddress.ip_network(subnet)
    except ValueError:
        return (9, 0, subnet)
    return (network.version, int(network.network_address), subnet)


def sign_of(node: Fields) -> str:
    """The one character that stands for a node."""
    if node.get("is_self"):
        return SELF
    if not node.get("online"):
        return OFFLINE
    if node.get("slow"):
        return SLOW
    if node.get("keeps"):
        return KEEPER
    hops = node.get("hops")
    return UNKNOWN if hops is None else str(hops) if int(hops) < 10 else FAR


def _nearest_first(node: Fields) -> tuple[float, str, str]:
    hops = node.get("hops")
    return (float("inf") if hops is None else float(hops), str(node.get("name")), str(node.get("id")))


def _head(look: _Look) -> list[Text]:
    """How large it is, and how far all are."""
    parts = [output.counted(len(look.nodes), "node"), output.counted(len(look.links), "known link"), look.kind]
    if len(look.subnets) > 1:
        parts.append(f"{len(look.subnets):,} subnets")
    lines = [", ".join(parts)]
    online = [node for node in look.nodes if node.get("online") and not node.get("is_self")]
    away = Counter(node.get("hops") for node in online)
    far = [f"{count:,} at {output.counted(hops, 'hop')}" for hops, count in sorted(away.items(), key=_by_hops) if hops]
    far += [f"{away[None]:,} by an unknown way"] if away[None] else []
    counts = {
        "gapped": sum(bool(node.get("gapped")) for node in look.nodes),
        "slow": sum(bool(node.get("slow")) for node in look.nodes),
        "keeping rooms of ours": sum(bool(node.get("keeps")) for node in look.nodes if not node.get("is_self")),
        "offline": len(look.nodes) - len(online) - 1,
    }
    far += [f"{count:,} {what}" for what, count in counts.items() if count > 0]
    if len(look.nodes) > FEW or len(away) > 1 or any(count > 0 for count in counts.values()):
        lines += _wrapped(far, look.columns, "", 2)
    return [Text(line) for line in lines]


def _by_hops(item: tuple[int | None, int]) -> float:
    return float("inf") if item[0] is None else item[0]


# Few nodes ---------------------------------------------------------------------------------------------


def _table(look: _Look) -> list[Text]:
    """A line a node: sign, name, how it is reached, round trip, and whom it has links to."""
    is_one = len(look.subnets) == 1
    rows: list[tuple[str, ...]] = []
    for subnet, nodes in look.subnets.items():
        for index, node in enumerate(nodes):
            key = str(node["id"])
            way = ways.way_and_notes(node, look.names)
            row: tuple[str, ...] = (sign_of(node), look.names[key], way, ways.rtt_text(node))
            rows.append(row if is_one else (*row, "" if index else ways.cut(subnet, SUBNET_CELLS)))
    order = [str(node["id"]) for nodes in look.subnets.values() for node in nodes]
    widths = [max(output.cells(row[column]) for row in rows) for column in range(len(rows[0]))]
    left = look.columns - sum(widths) - 2 * len(widths)
    lines = []
    for cells_of, key in zip(rows, order, strict=True):
        padded = [cell + " " * (width - output.cells(cell)) for cell, width in zip(cells_of, widths, strict=True)]
        ends = _ends(look, key, left)
        line = Text(cells_of[0], style=STYLES.get(cells_of[0], "")).append(
            "  ".join(["", *padded[1:], ends]).rstrip(), "default"
        )
        lines.append(line)
    return [*(Text(subnet, style="bold") for subnet in look.subnets if is_one), *lines]


def _ends(look: _Look, key: str, cells_max: int) -> str:
    """Whom a node has links to, as far as known and as there is room."""
    others = sorted(look.beside[key], key=lambda other: _nearest_first(look.by_id[other]))
    if not others:
        return ""
    if len(others) == len(look.nodes) - 1 > 1:
        return _first_that_fits(["linked to all", "all"], cells_max)
    texts = []
    for count in range(len(others), -1, -1):
        names = ", ".join(look.names[other] for other in others[:count])
        more = f"+{len(others) - count}" if count < len(others) else ""
        texts.append("linked to " + " ".join(filter(None, [names, more])) if names else f"{len(others)} links")
    return _first_that_fits(texts, cells_max)


def _first_that_fits(texts: Iterable[str], cells_max: int) -> str:
    return next((text for text in texts if output.cells(text) <= cells_max), "")


# Many nodes --------------------------------------------------------------------------------------------


def _map(look: _Look, extent: Extent) -> list[Text]:
    """A line a subnet, then by name those who matter."""
    shown = dict(itertools.islice(look.subnets.items(), extent.subnets))
    cells = min(SUBNET_CELLS, max(map(output.cells, shown)), max(6, look.columns - MAP_CELLS_LEAST - 10))
    lines = []
    for subnet, nodes in shown.items():
        lines += _map_lines(look, subnet, nodes, cells, extent.map_lines)
    hidden = [node for subnet, nodes in look.subnets.items() if subnet not in shown for node in nodes]
    if hidden:
        count = len(look.subnets) - len(shown)
        lines.append(Text(f"and {output.counted(count, 'more subnet')} with {output.counted(len(hidden), 'node')}"))
    groups = {
        "direct": [_with_rtt(look, node) for node in look.nodes if node.get("linked")],
        "slow": [look.names[str(node["id"])] for node in look.nodes if node.get("slow")],
        "keepers": [
            look.names[str(node["id"])] for node in look.nodes if node.get("keeps") and not node.get("is_self")
        ],
    }
    if len(look.subnets) > 1:
        groups["between"] = _joints(look)
    lines.append(Text(""))
    for title, names in groups.items():
        texts = _wrapped(names, look.columns - 10, "", extent.name_lines)
        lines += [Text(f"{'' if index else title:<10}{text}") for index, text in enumerate(texts)]
    legend = _wrapped(LEGEND.split("  "), look.columns, "  ", 2)
    return [*lines, Text(""), *(Text(line, style="dim") for line in legend)]


def _map_lines(look: _Look, subnet: str, nodes: Sequence[Fields], cells: int, lines_max: int) -> list[Text]:
    room = look.columns - cells - 8
    signs = sorted(map(sign_of, nodes), key=lambda sign: (sign != SELF, sign not in (SLOW, KEEPER), sign))
    name = ways.cut(subnet, cells)
    starts = range(0, len(signs), room)
    if len(starts) > lines_max:
        # By counts, where there are too many for signs.
        counted = [f"{sign}×{count:,}" for sign, count in Counter(signs).items()]
        return [Text(f"{name:<{cells}}{len(nodes):>6}  ").append(_wrapped(counted, room, " ", 1)[0], "default")]
    lines = []
    for start in starts:
        line = Text(" " * (cells + 8) if start else f"{name:<{cells}}{len(nodes):>6}  ")
        for sign, run in itertools.groupby(signs[start : start + room]):
            line.append("".join(run), STYLES.get(sign, ""))
        lines.append(line)
    return lines


def _with_rtt(look: _Look, node: Fields) -> str:
    return f"{look.names[str(node['id'])]} {ways.rtt_text(node)}".rstrip()


def _joints(look: _Look) -> list[str]:
    """Pairs of subnets with known links between them, those with the most first."""
    pairs: Counter[tuple[str, str]] = Counter()
    place: Mapping[str, str] = {key: subnet_name(node) for key, node in look.by_id.items()}
    for one, other in look.links:
        if place[one] != place[other]:
            first, second = sorted((place[one], place[other]), key=_natural)
            pairs[first, second] += 1
    ranked = sorted(pairs.items(), key=lambda item: (-item[1], *map(_natural, item[0])))
    return [f"{one} – {other}: {output.counted(count, 'link')}" for (one, other), count in ranked]


def _wrapped(items: Sequence[str], columns: int, between: str, lines_max: int) -> list[str]:
    """Items one after the other on at most so many lines; how many found no room is told at the end."""
    glue = between or ", "
    lines: list[str] = []
    for index, item in enumerate(items):
        joined = f"{lines[-1]}{glue}{item}" if lines else item
        more = f"{glue}+{len(items) - index - 1:,}" if index < len(items) - 1 else ""
        is_last = len(lines) == lines_max
        if lines and output.cells(joined) + (output.cells(more) if is_last else 1) <= columns:
            lines[-1] = joined
        elif len(lines) < lines_max:
            lines = [*lines[:-1], lines[-1] + glue.rstrip(), item] if lines else [item]
        else:
            lines[-1] += f"{glue}+{len(items) - index:,}"
            break
    return lines
