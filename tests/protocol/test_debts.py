"""What a peer owes: held against it only once what it has sent must have come."""

from __future__ import annotations

from zmqchat.model.limits import TREE_MISSING_PER_PEER_MAX, TREE_UNANSWERED_MAX
from zmqchat.protocol.debts import BROKEN_S, EXCUSED_MAX, PING_AGAIN_S, TRIAL_S, WITHHELD_BYTES, Debts

MOST = TREE_UNANSWERED_MAX + 1
"""So many broken words are a fault."""


def owing(count: int) -> Debts:
    """A peer that owes so many batches."""
    debts = Debts()
    for number in range(count):
        debts.add(number.to_bytes(16, "big"))
    return debts


def test_too_many_broken_words_in_a_minute_are_a_fault() -> None:
    """One less is none, and a minute later the count begins anew."""
    debts = owing(TREE_UNANSWERED_MAX)
    assert debts.is_ping_due(0.0) and len(debts.judge(0.1)) == 0
    debts.add(b"one more")
    assert debts.is_ping_due(BROKEN_S - 1.0) and len(debts.judge(BROKEN_S - 1.0)) == 1
    for at_s in (BROKEN_S, 3 * BROKEN_S):
        for number in range(TREE_UNANSWERED_MAX):
            debts.add(bytes((number,)))
        assert debts.is_ping_due(at_s) and len(debts.judge(at_s)) == 0


def test_many_at_once_are_several_faults() -> None:
    """Each share counts, and what is left of one begins the next."""
    debts = owing(2 * MOST + 1)
    assert debts.is_ping_due(0.0) and len(debts.judge(0.0)) == 2
    for number in range(MOST - 1):
        debts.add(bytes((number,)))
    assert debts.is_ping_due(1.0) and len(debts.judge(1.0)) == 1


def test_what_is_answered_late_is_paid() -> None:
    """Before the ping leaves or while it is under way; what was never asked for changes nothing."""
    debts = owing(MOST)
    debts.relayed(bytes(16), 0)
    assert debts.is_ping_due(0.0)
    assert not debts.withheld((1).to_bytes(16, "big"), 0.0)
    debts.relayed(b"unknown", 0)
    assert len(debts) == MOST - 2
    assert len(debts.judge(1.0)) == 0 and len(debts) == 0


def test_what_is_late_after_the_ping_left_waits_for_the_next() -> None:
    """The answer to that ping says nothing of it."""
    debts = owing(1)
    assert debts.is_ping_due(0.0)
    for number in range(MOST):
        debts.add(bytes((number,)))
    assert not debts.is_ping_due(0.5)
    assert len(debts.judge(1.0)) == 0 and len(debts) == MOST
    assert debts.is_ping_due(1.0) and len(debts.judge(1.1)) == 1
    assert not debts.is_ping_due(2.0), "nothing is owed"


def test_a_ping_that_gets_lost_is_sent_again_and_silence_ends() -> None:
    """After some time each, and who answers none is judged all the same."""
    debts = owing(MOST)
    assert debts.is_ping_due(0.0)
    assert not debts.is_ping_due(PING_AGAIN_S - 0.1) and debts.is_ping_due(PING_AGAIN_S)
    assert not debts.is_overdue(TRIAL_S - 0.1) and debts.is_overdue(TRIAL_S)
    assert len(debts.judge(TRIAL_S)) == 1 and not debts.is_overdue(2 * TRIAL_S)


def test_debts_are_bounded() -> None:
    """Who owes more than can be kept is held to account for that much."""
    debts = owing(3 * TREE_MISSING_PER_PEER_MAX)
    assert len(debts) == TREE_MISSING_PER_PEER_MAX


def test_who_withholds_all_that_it_announces_is_blamed() -> None:
    """To say so is an answer, but no better than silence where that goes on."""
    debts = Debts()
    faults = [fault for number in range(2 * MOST) for fault in debts.withheld(bytes((number,)), 1.0)]
    assert len(faults) == 2


def test_who_has_relayed_much_may_withhold_in_proportion() -> None:
    """As an honest one does to a slow peer, behind megabytes; but no more than so much, whatever was sent."""
    debts = Debts()
    debts.relayed(b"large", 100 * WITHHELD_BYTES)
    assert not any(debts.withheld(bytes((number,)), 1.0) for number in range(100))
    assert sum(len(debts.withheld(bytes((number,)), 1.0)) for number in range(MOST)) == 1
    debts.relayed(b"huge", 2 * EXCUSED_MAX * WITHHELD_BYTES)
    for number in range(EXCUSED_MAX):
        assert not debts.withheld(number.to_bytes(16, "big"), 1.0)
    assert sum(len(debts.withheld(bytes((number,)), 1.0)) for number in range(MOST)) == 1
