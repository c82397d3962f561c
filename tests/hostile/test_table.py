"""The table of hostile inputs names tests that exist, and each of its items once."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.support.sources import REPO

TABLE = Path(__file__).with_name("README.md")
ITEMS = {*range(1, 6), *range(7, 11), *range(13, 29), 32, 33, *range(37, 43), *range(50, 55)}


def _rows() -> dict[int, list[tuple[str, str]]]:
    """The tests of each item, as file and name."""
    rows = re.findall(r"^\| (\d+) \|.*\|(.*)\|$", TABLE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == len({number for number, _tests in rows})
    return {int(number): re.findall(r"`([\w/.]+)::(\w+)`", tests) for number, tests in rows}


def test_every_item_has_a_row() -> None:
    """No item is left out, and each names a test."""
    rows = _rows()
    assert set(rows) == ITEMS
    assert all(rows.values())


def test_every_test_that_is_named_exists() -> None:
    """A renamed test is found here."""
    missing = []
    for file, name in {test for tests in _rows().values() for test in tests}:
        path = REPO / file
        tree = ast.parse(path.read_text(encoding="utf-8")) if path.exists() else ast.Module([], [])
        if name not in {
            node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }:
            missing.append(f"{file}::{name}")
    assert not missing, "\n".join(sorted(missing))
