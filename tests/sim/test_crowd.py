"""Crowds in small: the commands for a thousand nodes stand in docs/internals/simulator.md."""

from __future__ import annotations

import pytest

from zmqchat.sim.draw import draw
from zmqchat.sim.running import run_checked


def test_nobody_is_shown_offline_in_a_lossy_crowd() -> None:
    """Each watched node sees everybody, and goes on doing so while packets get lost."""
    outcome = run_checked(draw(1, scenario="crowd-loss", nodes=40, duration_s=20.0, faults=()))
    assert outcome.failed == ()
    assert outcome.notes == ("40 watched nodes saw everybody; longest shown offline: 0 s",)


def test_halves_of_a_crowd_are_equal_soon_after_the_network_heals() -> None:
    """What was said in the other half comes within a minute, no node carries it for all, and the numbers are told."""
    outcome = run_checked(draw(2, scenario="crowd-heal", nodes=40, duration_s=26.0, faults=()))
    assert outcome.failed == ()
    assert outcome.notes[0].startswith("equal ")


TEN_THOUSAND = [("crowd-heal-much", 100), ("crowd-heal-much", 300), ("crowd-heal", 1_000)]


@pytest.mark.crowd
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize(("scenario", "nodes"), TEN_THOUSAND)
def test_ten_thousand_messages_a_side_are_everywhere_within_a_minute(scenario: str, nodes: int) -> None:
    """No node sends more than three times what it lacked, as the checker says, and nobody stays shown offline."""
    outcome = run_checked(draw(1, scenario=scenario, nodes=nodes, duration_s=45.0, faults=()))
    print(outcome.notes[0])
    assert outcome.failed == ()
    assert outcome.notes[0].startswith("equal ")
