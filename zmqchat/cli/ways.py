"""Words for links and ways, the same in `peers`, `mesh` and `doctor`; and how much of a terminal's line they may take.

this node      oneself
direct         a link of its own
via NAME       no link: over others, by the link to NAME first
via others     no link, and nobody near says how
offline        out of touch

Notes stand behind: `gapped` where no link can be had, in a mesh in which all should have one; `slow`; `keeper`.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from typing import Final

from zmqchat.cli import output
from zmqchat.cli.client import Fields
from zmqchat.model.text import cut_to_cells

COLUMNS_UNKNOWN: Final = 80
"""The width of a terminal that does not tell its own."""


def terminal_columns() -> int | None:
    """The width of the terminal on standard output, None where that is none: then nothing is cut."""
    return shutil.get_terminal_size((COLUMNS_UNKNOWN, 24)).columns if sys.stdout.isatty() else None


def way_text(node: Fields, names: Mapping[str, str]) -> str:
    """How a node is reached; names by id, for those that lead there."""
    if node.get("is_self"):
        return "this node"
    if not node.get("online"):
        return "offline"
    return "direct" if node.get("linked") else f"via {names.get(str(node.get('via')), 'others')}"


def way_and_notes(node: Fields, names: Mapping[str, str]) -> str:
    """The same with what else matters: whether no link can be had, whether it is slow, or keeps rooms of ours."""
    marks = (("gapped", node.get("gapped")), ("slow", node.get("slow")), ("keeper", node.get("keeps")))
    notes = [word for word, on in marks if on]
    return ", ".join([way_text(node, names), *notes])


def rtt_text(node: Fields) -> str:
    """The round trip, "" where there is none."""
    rtt_s = node.get("rtt_s")
    if not isinstance(rtt_s, int | float):
        return ""
    return f"{rtt_s * 1000:.1f} ms" if rtt_s < 1 else f"{rtt_s:.1f} s"


def hops_text(node: Fields) -> str:
    """Links on the shortest known way, "?" where none is known."""
    return "?" if node.get("hops") is None else str(node["hops"])


def lacks_text(node: Fields) -> str:
    """How many of our messages it is not known to hold, "?" where that is not known."""
    lacks = node.get("lacks")
    return f"{lacks:,}" if isinstance(lacks, int) else "?"


def name_cut(node: Fields, cells_max: int) -> str:
    """A node's name as a terminal may show it."""
    return cut(output.shown_name(node), cells_max)


def cut(text: str, cells_max: int) -> str:
    """A cleaned text of one line, cut with a sign that it was where it takes more cells."""
    return text if output.cells(text) <= cells_max else cut_to_cells(text, cells_max - 1) + "…"
