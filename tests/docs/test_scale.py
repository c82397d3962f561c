"""docs/explanation/scale.md shows what `python -m zmqchat.sim.experiments` measured, number by number."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.sources import REPO
from zmqchat.sim.experiments.__main__ import EXPERIMENTS

PAGE = REPO / "docs" / "explanation" / "scale.md"
FIGURE = re.compile(r"!\[[^]]*\]\(figures/([a-z-]+)\.svg\)")


def _cells(line: str) -> list[str]:
    return [cell.strip().replace(" ", "") for cell in line.strip().strip("|").split("|")]


def _tables() -> dict[str, list[list[str]]]:
    """The table that follows each figure, by the figure's name: a row of names, then the numbers."""
    found: dict[str, list[list[str]]] = {}
    name = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        figure = FIGURE.search(line)
        if figure is not None:
            name = figure[1]
        elif name and line.startswith("|"):
            found.setdefault(name, []).append(_cells(line))
        elif found.get(name):
            name = ""
    return {name: [row for row in rows if set("".join(row)) != {"-"}] for name, rows in found.items()}


def _csv(path: Path) -> dict[str, dict[str, str]]:
    names, *rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    names = [name.replace(" ", "") for name in names]
    return {row[0]: dict(zip(names, row, strict=True)) for row in rows}


def test_the_page_shows_every_experiment() -> None:
    """Each has a figure there, and a table below it."""
    assert sorted(_tables()) == sorted(EXPERIMENTS)


@pytest.mark.parametrize("name", sorted(EXPERIMENTS))
def test_the_page_agrees_with_what_was_measured(name: str) -> None:
    """The names at the head of a table are columns of the CSV, its rows are rows of it, with the same numbers."""
    measured = _csv(PAGE.parent / "figures" / f"{name}.csv")
    names, *rows = _tables()[name]
    assert rows
    for row in rows:
        assert dict(zip(names, row, strict=True)).items() <= measured[row[0]].items(), row


@pytest.mark.parametrize("name", sorted(EXPERIMENTS))
def test_each_figure_can_be_read(name: str) -> None:
    """The picture is SVG with a title, and a line for each row of the CSV on its lower axis."""
    path = PAGE.parent / "figures" / f"{name}.svg"
    root = ElementTree.fromstring(path.read_bytes())
    title = root.find("{http://www.w3.org/2000/svg}title")
    assert title is not None and title.text
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert set(_csv(path.with_suffix(".csv"))) <= texts
