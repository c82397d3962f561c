"""Who comes when the author has gone reads everything from nodes outside the room, whatever the seed."""

from __future__ import annotations

import pytest

from zmqchat.sim.draw import draw
from zmqchat.sim.running import run_checked

TROUBLES = (
    ("cut", "loss", "pause"),
    ("kill", "latency", "slow-disk"),
    ("partition", "power", "stop"),
    ("broken-disk", "full-disk", "unreadable-disk"),
    ("clock-jumps", "drift", "skew"),
    ("backup", "fork", "one-way"),
)


@pytest.mark.parametrize("seed", range(1, 7))
def test_a_reader_gets_all_of_it_from_keepers(seed: int) -> None:
    """The scenario itself compares, before the author is back; all checkers look on."""
    outcome = run_checked(draw(seed, scenario="keepers", faults=()))
    assert outcome.failed == (), outcome.options.command()


@pytest.mark.parametrize("troubles", TROUBLES, ids="-".join)
def test_keepers_break_nothing_in_trouble(troubles: tuple[str, ...]) -> None:
    """Custody is taken up, lost and taken up again; no checker finds anything."""
    for seed in range(1, 4):
        outcome = run_checked(draw(seed, scenario="keepers", faults=troubles))
        assert outcome.failed == (), outcome.options.command()
