"""Pace: a second's worth at once, then as much as time brings, each peer by itself, bounded."""

from __future__ import annotations

import pytest

from tests.support.fakelink import peer_of
from zmqchat.protocol import pace
from zmqchat.protocol.pace import Pace

ANN, BOB, EVE = map(peer_of, ("ann", "bob", "eve"))


def test_a_second_s_worth_and_then_what_time_brings() -> None:
    """What does not fit costs nothing, so a smaller one behind it may."""
    made = Pace(100)
    assert [made.allows(BOB, 60, 1.0), made.allows(BOB, 60, 1.0), made.allows(BOB, 40, 1.0)] == [True, False, True]
    assert [made.allows(BOB, 60, 1.5), made.allows(BOB, 60, 1.7)] == [False, True]
    assert made.dropped == 2


def test_nothing_is_saved_up() -> None:
    """An hour of silence buys one second."""
    made = Pace(100)
    made.allows(BOB, 1, 0.0)
    assert [made.allows(BOB, 100, 3_600.0), made.allows(BOB, 1, 3_600.0)] == [True, False]


def test_one_peer_is_no_other() -> None:
    """A flood costs its sender alone."""
    made = Pace(100)
    made.allows(EVE, 100, 0.0)
    assert not made.allows(EVE, 1, 0.0)
    assert made.allows(BOB, 100, 0.0)


def test_buckets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least recently used goes."""
    monkeypatch.setattr(pace, "PEERS_LIVE_MAX", 2)
    made = Pace(100)
    for peer in (ANN, BOB, ANN, EVE):
        made.allows(peer, 50, 0.0)
    assert [made.allows(peer, 51, 0.0) for peer in (ANN, EVE, BOB)] == [False, False, True]
