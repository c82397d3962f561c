"""`python -m zmqchat.sim.experiments NAME [--size N] [--seed S]`: measure, and write NAME.csv and NAME.svg."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from zmqchat.sim.experiments.catchup import catch_up
from zmqchat.sim.experiments.chart import chart
from zmqchat.sim.experiments.latency import latency
from zmqchat.sim.experiments.load import load
from zmqchat.sim.experiments.overlays import failures, shape
from zmqchat.sim.experiments.switch import switch
from zmqchat.sim.experiments.table import Table, csv
from zmqchat.sim.experiments.trees import broadcast


class Experiment(NamedTuple):
    """What measures, and the size that the tables of docs/explanation/scale.md were made with."""

    measure: Callable[[int, int], Table]
    size: int


EXPERIMENTS: Final[dict[str, Experiment]] = {
    "broadcast": Experiment(broadcast, 10_000),
    "catch-up": Experiment(catch_up, 1_000_000),
    "failures": Experiment(failures, 10_000),
    "latency": Experiment(latency, 10_000),
    "load": Experiment(load, 3_000),
    "shape": Experiment(shape, 10_000),
    "switch": Experiment(switch, 128),
}

FIGURES: Final = Path("docs/explanation/figures")


def main(words: Sequence[str] | None = None) -> None:
    """Run one experiment; the table is printed too."""
    parser = argparse.ArgumentParser(prog="python -m zmqchat.sim.experiments", description=__doc__)
    parser.add_argument("name", choices=sorted(EXPERIMENTS))
    parser.add_argument("--size", type=int, help="how many nodes at most; of catch-up, how many messages")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=FIGURES, help="the folder for the files")
    options = parser.parse_args(words)
    experiment = EXPERIMENTS[options.name]
    table = experiment.measure(options.size or experiment.size, options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    for kind, text in (("csv", csv(table)), ("svg", chart(table))):
        (options.out / f"{options.name}.{kind}").write_text(text, encoding="utf-8", newline="\n")
    sys.stdout.write(f"{table.title}\n{csv(table)}")


if __name__ == "__main__":
    main()
