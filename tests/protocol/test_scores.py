"""Scores: faults add up, time heals, penalties double, and strangers are forgotten."""

from __future__ import annotations

import pytest

from tests.support.fakelink import peer_of
from zmqchat.history.batch import SIGNATURE_SCORE
from zmqchat.model.faults import Fault
from zmqchat.protocol import scores
from zmqchat.protocol.scores import Scores

BOB = peer_of("bob")
FAULT = Fault(reason="malformed", detail="Ping: fields")
FORGERY = Fault(reason="signature", detail="wrong", score=SIGNATURE_SCORE)


def blame_until_floor(made: Scores, fault: Fault, every_s: float, most: int = 1_000) -> int:
    """How many faults, so far apart, bring bob to the floor; 0 where none do."""
    return next((number + 1 for number in range(most) if made.blame(BOB, fault, number * every_s)), 0)


def test_five_faults_at_once_are_too_many() -> None:
    """A fault costs 20 of the 100 that a peer has."""
    assert blame_until_floor(Scores(600.0), FAULT, 0.0) == 5


@pytest.mark.parametrize("every_s", [0.0, 1.0, 29.9])
def test_three_wrong_signatures_within_a_minute_are_too_many(every_s: float) -> None:
    """However they are spread; two are not."""
    assert blame_until_floor(Scores(600.0), FORGERY, every_s) == 3


def test_a_forger_is_left_alone_for_the_longest_time_at_once() -> None:
    """Ten minutes after wrong signatures; what was forgiven before counts no more."""
    made = Scores(600.0)
    blame_until_floor(made, FORGERY, 0.0)
    assert made.penalise(BOB, 0.0) == 600.0
    blame_until_floor(made, FAULT, 0.0)
    assert made.penalise(BOB, 0.0) == 60.0, "the second one, of faults of another kind"
    made.blame(BOB, FORGERY, 0.0)
    made.blame(BOB, FAULT, 3600.0)
    assert made.penalise(BOB, 3600.0) == 3600.0 + 120.0


@pytest.mark.parametrize("every_s", [0.001, 1.0, 14.9])
def test_five_faults_within_a_minute_are_too_many(every_s: float) -> None:
    """However they are spread: no fraction of a point that has come back lets a sixth one through."""
    assert blame_until_floor(Scores(600.0), FAULT, every_s) == 5


def test_a_fault_now_and_then_takes_no_minute_back() -> None:
    """Ten points come back with each full minute since the first fault, whatever happens in between."""
    made = Scores(600.0)
    moments_s = [0.0, 50.0, 59.0, 61.0, 119.0]  # 20, 40, 60, 80 - 10, 90
    assert [made.blame(BOB, FAULT, moment_s) for moment_s in moments_s] == [False] * 5
    assert not made.blame(BOB, Fault(reason="small", score=-9), 119.5)
    assert made.blame(BOB, Fault(reason="small", score=-1), 119.6)


def test_scores_recover_ten_a_minute() -> None:
    """One malformed frame every two minutes is forgiven for ever; one a minute is not."""
    assert blame_until_floor(Scores(600.0), FAULT, 120.0) == 0
    assert blame_until_floor(Scores(600.0), FAULT, 60.0) == 9


def test_no_score_rises_above_zero() -> None:
    """Years of good behaviour buy no extra faults."""
    made = Scores(600.0)
    made.blame(BOB, FAULT, 0.0)
    assert [made.blame(BOB, FAULT, 1e6) for _ in range(5)] == [False] * 4 + [True]


def test_what_is_nobody_s_fault_costs_nothing() -> None:
    """A batch of a newer version is told and not blamed."""
    assert blame_until_floor(Scores(600.0), Fault(reason="version", score=0), 0.0) == 0


def test_penalties_double_to_a_bound() -> None:
    """30 s, a minute, two minutes … ten minutes."""
    made = Scores(600.0)
    assert [made.penalise(BOB, 0.0) for _ in range(7)] == [30, 60, 120, 240, 480, 600, 600]
    assert not made.blame(BOB, FAULT, 0.0), "a penalty begins with a clean score"


def test_the_last_fault_is_for_people() -> None:
    """It says what was wrong, and keeps it when the penalty begins for that."""
    made = Scores(600.0)
    assert made.last_fault(BOB) == ""
    made.blame(BOB, FAULT, 0.0)
    made.penalise(BOB, 0.0)
    assert made.last_fault(BOB) == "malformed: Ping: fields"
    made.penalise(BOB, 0.0, "topics")
    assert made.last_fault(BOB) == "topics"


def test_the_least_recently_blamed_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """New identities cost nothing, so their faults must not fill the memory."""
    monkeypatch.setattr(scores, "PEERS_REMEMBERED_MAX", 2)
    made = Scores(600.0)
    for name in ("ann", "bob", "ann", "eve"):
        made.blame(peer_of(name), FAULT, 0.0)
    assert [bool(made.last_fault(peer_of(name))) for name in ("ann", "bob", "eve")] == [True, False, True]
