"""Shuffles under way: an answer finds its way back, and only from whom it is expected."""

from __future__ import annotations

from random import Random

from tests.support.fakelink import peer_of
from zmqchat.model.limits import SHUFFLES_UNDER_WAY_MAX
from zmqchat.protocol.shuffles import ROUTE_S, Shuffles

ANN, BOB, CARL = peer_of("ann"), peer_of("bob"), peer_of("carl")


def test_an_answer_goes_back_to_whom_the_shuffle_came_from() -> None:
    """Once, and only from the neighbour that the shuffle went to."""
    shuffles = Shuffles(Random(1))
    shuffles.passed_on(7, ANN, BOB, 0.0)
    assert shuffles.is_known(7)
    assert shuffles.answered(7, CARL) is None
    assert shuffles.answered(7, BOB) == (ANN, ())
    assert shuffles.answered(7, BOB) is None


def test_the_answer_to_our_own_comes_with_what_was_sent() -> None:
    """What we sent is what may give way to the answer."""
    shuffles = Shuffles(Random(1))
    token = shuffles.begin(BOB, (CARL,), 0.0)
    assert shuffles.answered(token, BOB) == (None, (CARL,))


def test_ways_back_are_bounded_in_number_and_time() -> None:
    """A flood keeps the newest; what nobody answered within half a minute is forgotten."""
    shuffles = Shuffles(Random(1))
    for token in range(2 * SHUFFLES_UNDER_WAY_MAX):
        shuffles.passed_on(token, ANN, BOB, 0.0)
    assert len(shuffles) == SHUFFLES_UNDER_WAY_MAX
    assert shuffles.answered(0, BOB) is None
    shuffles.passed_on(9_999_999, ANN, BOB, ROUTE_S + 1)
    assert len(shuffles) == 1
