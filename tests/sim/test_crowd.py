"""Crowds in small: the commands for a thousand nodes stand in docs/internals/simulator.md."""

from __future__ import annotations

from zmqchat.sim.draw import draw
from zmqchat.sim.running import run_checked


def test_nobody_is_shown_offline_in_a_lossy_crowd() -> None:
    """Each watched node sees everybody, and goes on doing so while packets get lost."""
    outcome = run_checked(draw(1, scenario="crowd-loss", nodes=40, duration_s=20.0, faults=()))
    assert outcome.failed == ()
    assert outcome.notes == ("40 watched nodes saw everybody; longest shown offline: 0 s",)


def test_halves_of_a_crowd_are_equal_soon_after_the_network_heals() -> None:
    """What was said in the other half comes within a minute, no node carries it for all, and the numbers are told."""
    outcome = run_checked(draw(1, scenario="crowd-heal", nodes=40, duration_s=26.0, faults=()))
    assert outcome.failed == ()
    assert outcome.notes[0].startswith("equal ")
