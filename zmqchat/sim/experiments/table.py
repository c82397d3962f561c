"""What an experiment measured, and as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Value = float | None


class Table(NamedTuple):
    """Rows of numbers under names; None where nothing was measured.

    shown   the columns that the picture draws against the first
    unit    what these are, as the picture's title
    evenly  rows stand at even distances, as numbers that grow by factors do; else where the first column says
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Value, ...]]
    shown: tuple[str, ...]
    unit: str
    evenly: bool = False


def csv(table: Table) -> str:
    """A line of names, then a line a row."""
    lines = [",".join(table.columns)]
    lines += [",".join("" if value is None else number(value) for value in row) for row in table.rows]
    return "\n".join(lines) + "\n"


def number(value: float) -> str:
    """A number with as many digits as say something: four, or all before the point."""
    if abs(value) >= 1_000:
        return str(round(value))
    text = f"{value:.4g}"
    return f"{value:.6f}".rstrip("0").rstrip(".") if "e" in text else text
