"""Who left a room is a member for nobody, however few were linked to anybody in it at that moment."""

from __future__ import annotations

import pytest

from zmqchat.sim.draw import draw
from zmqchat.sim.options import Options
from zmqchat.sim.running import run_checked

APART = ("cut", "partition", "stop")
"""Trouble in which a node may leave a room and be in touch with nobody of it."""


def test_who_leaves_a_room_that_none_of_its_links_leads_into_is_heard() -> None:
    """In a mesh of few links, without any trouble; it was shown as a member for ever."""
    outcome = run_checked(Options(seed=7_000_168, scenario="partial-rooms", nodes=9, duration_s=12.0))
    assert outcome.failed == ()


@pytest.mark.parametrize(("scenario", "seed"), [("rooms", 6), ("rooms", 23), ("partial-rooms", 11)])
def test_who_leaves_a_room_while_cut_off_is_heard(scenario: str, seed: int) -> None:
    """Seeds in which somebody leaves while it can tell nobody of the room."""
    outcome = run_checked(draw(seed, scenario=scenario, faults=APART))
    assert outcome.failed == (), outcome.options.command()
