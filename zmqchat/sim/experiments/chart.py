"""A table as a picture: lines through its shown columns, axes, and names beside."""

from __future__ import annotations

from html import escape
from typing import Final, NamedTuple

from zmqchat.sim.experiments.table import Table, number

WIDTH: Final = 760
HEIGHT: Final = 400
LEFT: Final = 70
TOP: Final = 60
RIGHT: Final = 210
BOTTOM: Final = 60
NAME_ROW: Final = 22
TICKS_MAX: Final = 6
COLOURS: Final = ("navy", "darkorange", "seagreen", "crimson", "purple", "teal")


class _Place(NamedTuple):
    x: float
    y: float


def chart(table: Table) -> str:
    """The picture as SVG."""
    places = [table.columns.index(name) for name in table.shown]
    most = max((row[place] or 0.0 for row in table.rows for place in places), default=0.0)
    step = _step(most)
    top = step * max(1, -int(-most // step))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12">',
        f"<title>{escape(table.title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT - 50}" y="28" font-size="16">{escape(table.title)}</text>',
        f'<text x="{LEFT - 50}" y="{TOP - 12}" fill="dimgray">{escape(table.unit)}</text>',
    ]
    parts += _axes(table, step, top)
    for place, colour, row in zip(places, COLOURS, range(len(places)), strict=False):
        parts += _line(table, place, colour, top)
        y = TOP + NAME_ROW * row
        x = WIDTH - RIGHT + 20
        parts.append(f'<line x1="{x}" y1="{y}" x2="{x + 20}" y2="{y}" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{x + 26}" y="{y + 4}">{escape(table.columns[place])}</text>')
    return "\n".join((*parts, "</svg>\n"))


def _axes(table: Table, step: float, top: float) -> list[str]:
    parts = []
    for tick in range(round(top / step) + 1):
        y = _y(tick * step, top)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="gainsboro"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number(tick * step)}</text>')
    for index, row in enumerate(table.rows):
        x, y = _x(table, index), HEIGHT - BOTTOM
        parts.append(f'<line x1="{x:.1f}" y1="{y}" x2="{x:.1f}" y2="{y + 5}" stroke="gray"/>')
        parts.append(f'<text x="{x:.1f}" y="{y + 20}" text-anchor="middle">{number(row[0] or 0.0)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{HEIGHT - 15}" text-anchor="middle">{escape(table.columns[0])}</text>')
    return parts


def _line(table: Table, place: int, colour: str, top: float) -> list[str]:
    dots = []
    for index, row in enumerate(table.rows):
        value = row[place]
        if value is not None:
            dots.append(_Place(_x(table, index), _y(value, top)))
    points = " ".join(f"{dot.x:.1f},{dot.y:.1f}" for dot in dots)
    parts = [f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>']
    return parts + [f'<circle cx="{dot.x:.1f}" cy="{dot.y:.1f}" r="3.5" fill="{colour}"/>' for dot in dots]


def _x(table: Table, index: int) -> float:
    first, last = table.rows[0][0] or 0.0, table.rows[-1][0] or 0.0
    if table.evenly or first == last:
        along = index / max(1, len(table.rows) - 1)
    else:
        along = ((table.rows[index][0] or 0.0) - first) / (last - first)
    return LEFT + (WIDTH - LEFT - RIGHT) * (0.03 + 0.94 * along)


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top


def _step(most: float) -> float:
    """The distance of ticks: 1, 2 or 5 of some power of ten."""
    for exponent in range(-6, 16):
        for factor in (1.0, 2.0, 5.0):
            step = factor * 10.0**exponent
            if step * TICKS_MAX >= most:
                return step
    raise ValueError(f"no axis goes up to {most}")
