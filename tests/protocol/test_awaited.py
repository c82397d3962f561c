"""Announced batches that have not come: who is asked when, who is held to account, and the bounds."""

from __future__ import annotations

from tests.support.fakelink import lobby, peer_of
from zmqchat.model.limits import TREE_MISSING_MAX, TREE_MISSING_PER_PEER_MAX
from zmqchat.protocol.awaited import ANNOUNCERS_MAX, AWAITED_S, AwaitedBatches

ANN, BOB, CAT = peer_of("ann"), peer_of("bob"), peer_of("cat")
NAME = bytes(15) + b"\x01"


def wait_s(_peer: object) -> float:
    """How long each has to answer."""
    return 0.1


def test_announcers_are_asked_one_after_another() -> None:
    """The first one when its wait is over, the next when that one has not sent it."""
    awaited = AwaitedBatches()
    awaited.announced(NAME, lobby(), ANN, 1, 0.1, 0.0)
    awaited.announced(NAME, lobby(), BOB, 2, 0.15, 0.05)
    assert awaited.next_due_s() == 0.1
    assert awaited.take_due(0.09, wait_s) == ([], [])
    assert awaited.take_due(0.1, wait_s) == ([(NAME, lobby(), ANN)], [])
    assert awaited.take_due(0.2, wait_s) == ([(NAME, lobby(), BOB)], [])
    assert awaited.take_due(0.3, wait_s) == ([], [])
    awaited.announced(NAME, lobby(), CAT, 1, 0.5, 0.4)
    assert awaited.take_due(0.5, wait_s) == ([(NAME, lobby(), CAT)], [])


def test_who_was_asked_and_did_not_send_is_named_at_the_end() -> None:
    """Once a batch; who was not asked, or has gone, is not to blame."""
    awaited = AwaitedBatches()
    for peer in (ANN, BOB):
        awaited.announced(NAME, lobby(), peer, 1, 0.1, 0.0)
    awaited.take_due(0.1, wait_s)
    awaited.take_due(0.2, wait_s)
    awaited.unlink(BOB)
    awaited.take_due(0.3, wait_s)
    assert awaited.take_due(AWAITED_S, wait_s) == ([], [(NAME, ANN)])
    assert not len(awaited) and awaited.next_due_s() is None


def test_the_next_one_is_asked_at_once_where_one_does_not_send() -> None:
    """Who said so owes nothing, and is not asked again; what was not asked for can't be withheld."""
    awaited = AwaitedBatches()
    for peer in (ANN, BOB):
        awaited.announced(NAME, lobby(), peer, 1, 0.1, 0.0)
    awaited.withheld(NAME, ANN, 0.05)
    assert awaited.next_due_s() == 0.1
    assert awaited.take_due(0.1, wait_s) == ([(NAME, lobby(), ANN)], [])
    awaited.withheld(NAME, CAT, 0.12)
    awaited.withheld(NAME, ANN, 0.12)
    awaited.withheld(bytes(16), ANN, 0.12)
    assert awaited.take_due(0.12, wait_s) == ([(NAME, lobby(), BOB)], [])
    awaited.withheld(NAME, BOB, 0.13)
    assert awaited.take_due(AWAITED_S, wait_s) == ([], [])
    assert not len(awaited) and not awaited._counts


def test_who_could_not_be_asked_yet_is_asked_later_and_owes_nothing() -> None:
    """A GRAFT that was one too many in its second is no GRAFT."""
    awaited = AwaitedBatches()
    awaited.announced(NAME, lobby(), ANN, 1, 0.1, 0.0)
    for now_s in (0.1, 0.2):
        assert awaited.take_due(now_s, wait_s) == ([(NAME, lobby(), ANN)], [])
        awaited.not_asked(NAME, ANN)
    awaited.not_asked(bytes(16), ANN)
    assert awaited.take_due(AWAITED_S, wait_s) == ([], [])


def test_what_has_come_is_told_once() -> None:
    """Who announced it, and over how many hops."""
    awaited = AwaitedBatches()
    awaited.announced(NAME, lobby(), ANN, 3, 0.1, 0.0)
    awaited.announced(NAME, lobby("other"), BOB, 1, 0.1, 0.0)
    came = awaited.arrived(NAME)
    assert came is not None and came.hops == {ANN: 3}, "an announcement for another room is another's mistake, or a lie"
    assert awaited.arrived(NAME) is None


def test_a_peer_has_its_share_and_all_have_a_bound() -> None:
    """Announcing without end fills one's own share; many peers together fill the table, and no more."""
    awaited = AwaitedBatches()
    for who in range(6):
        for index in range(TREE_MISSING_PER_PEER_MAX + 10):
            name = (who * 100_000 + index).to_bytes(16, "big")
            awaited.announced(name, lobby(), peer_of(str(who)), 1, 0.1, 0.0)
        for size in awaited.sizes():
            assert size.kept <= size.most, size
    assert len(awaited) == TREE_MISSING_MAX
    for who in range(ANNOUNCERS_MAX + 5):
        awaited.announced(bytes(16), lobby(), peer_of(f"again {who}"), 1, 0.1, 0.0)
    came = awaited.arrived(bytes(16))
    assert came is not None and len(came.hops) == ANNOUNCERS_MAX
