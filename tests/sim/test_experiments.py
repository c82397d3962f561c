"""The experiments at tiny sizes: they run, give the same for the same seed, and their files can be read."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from zmqchat.sim.experiments import latency, load
from zmqchat.sim.experiments.__main__ import EXPERIMENTS, main
from zmqchat.sim.experiments.chart import chart
from zmqchat.sim.experiments.table import Table, csv

SMALL = {"catch-up": 10_000, "failures": 12, "latency": 12, "load": 12, "switch": 8}


def _run(name: str, size: int, folder: Path) -> list[list[str]]:
    """The rows of the CSV that an experiment writes, names first."""
    main([name, "--size", str(size), "--seed", "3", "--out", str(folder)])
    return [line.split(",") for line in (folder / f"{name}.csv").read_text(encoding="utf-8").splitlines()]


def _columns(name: str, size: int, folder: Path) -> dict[str, list[str]]:
    names, *rows = _run(name, size, folder)
    return {column: [row[place] for row in rows] for place, column in enumerate(names)}


@pytest.mark.parametrize("name", sorted(EXPERIMENTS))
def test_an_experiment_gives_the_same_table_and_picture_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs of one seed measure the same, processor times excepted, and draw the same picture."""
    monkeypatch.setattr(latency, "TREES_LEAST", 12)
    monkeypatch.setattr(load, "TREES_LEAST", 12)
    size = SMALL.get(name, 20)
    tables = [_columns(name, size, tmp_path / folder) for folder in ("one", "two")]
    kept = [{column: cells for column, cells in table.items() if not column.startswith("cpu")} for table in tables]
    assert kept[0] == kept[1]
    assert next(iter(kept[0].values())), "no rows"
    pictures = [(tmp_path / folder / f"{name}.svg").read_bytes() for folder in ("one", "two")]
    assert pictures[0] == pictures[1]
    ElementTree.fromstring(pictures[0])


def test_broadcast_reaches_everybody_without_a_copy_too_many(tmp_path: Path) -> None:
    """A hundred and twenty nodes with few links: once the tree stands, a copy for each receiver, whoever speaks."""
    seen = _columns("broadcast", 120, tmp_path)
    assert set(seen["receivers"]) == {"119"}
    assert set(seen["payloads"][1:]) == {"119"}
    assert set(seen["redundancy"][1:]) == {"0"}


def test_survivors_of_a_massive_failure_find_together_without_any_cycle(tmp_path: Path) -> None:
    """Of eighty nodes four in five fail: the thousandth message reaches all others, though nobody has shuffled."""
    seen = _columns("failures", 80, tmp_path)
    at = seen["failed %"].index("80")
    assert float(seen["message 1"][at]) < 100
    assert seen["message 1000"][at] == "100"


def test_a_newcomer_catches_up_faster_from_more_holders_and_gets_nothing_twice(tmp_path: Path) -> None:
    """Ten thousand messages: two holders take less time than one, and hardly anything comes from both."""
    seen = _columns("catch-up", 10_000, tmp_path)
    assert float(seen["seconds"][1]) < float(seen["seconds"][0])
    assert max(map(float, seen["twice %"])) <= 2


def test_an_author_in_a_partial_mesh_sends_few_copies(tmp_path: Path) -> None:
    """Beside the full mesh, in which he sends one to each of the thirteen others."""
    seen = _columns("switch", 14, tmp_path)
    assert seen["full author copies"] == ["13"]
    assert float(seen["partial author copies"][0]) < 13


def test_a_picture_leaves_out_what_was_not_measured() -> None:
    """A line has a dot for each value that is there, and a CSV a blank where there is none."""
    table = Table(
        "A & B", ("n", "a", "b"), [(1.0, 0.00012345, None), (10.0, 1234.5, 2.0)], ("a", "b"), "m", evenly=True
    )
    assert csv(table) == "n,a,b\n1,0.0001234,\n10,1234,2\n"
    root = ElementTree.fromstring(chart(table))
    kinds = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert (kinds.count("polyline"), kinds.count("circle")) == (2, 3)
