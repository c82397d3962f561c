"""The experiments at tiny sizes: they run, give the same for the same seed, and their files can be read."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from zmqchat.sim.experiments.__main__ import EXPERIMENTS, main

SMALL = {"catch-up": 10_000}


@pytest.mark.parametrize("name", sorted(EXPERIMENTS))
def test_an_experiment_gives_the_same_table_and_picture_again(name: str, tmp_path: Path) -> None:
    """Two runs of one seed write the same bytes, a table with rows of its columns and a picture."""
    files = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        main([name, "--size", str(SMALL.get(name, 30)), "--seed", "3", "--out", str(folder)])
        files.append([(folder / f"{name}.{kind}").read_bytes() for kind in ("csv", "svg")])
    assert files[0] == files[1]
    rows = [line.split(",") for line in files[0][0].decode().splitlines()]
    assert len(rows) > 1
    assert {len(row) for row in rows} == {len(rows[0])}
    ElementTree.fromstring(files[0][1])


def test_broadcast_reaches_everybody_without_a_copy_too_many(tmp_path: Path) -> None:
    """A hundred and twenty nodes with few links: once the tree stands, a copy for each receiver."""
    main(["broadcast", "--size", "120", "--out", str(tmp_path)])
    names, *rows = [line.split(",") for line in (tmp_path / "broadcast.csv").read_text(encoding="utf-8").splitlines()]
    last = dict(zip(names, rows[-1], strict=True))
    assert (last["receivers"], last["payloads"], last["redundancy"]) == ("119", "119", "0")
