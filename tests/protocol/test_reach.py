"""Who can dial whom: shown by connections, never assumed."""

from __future__ import annotations

from tests.support.fakelink import peer_of
from zmqchat.model.addresses import Endpoint
from zmqchat.model.ids import RoomId
from zmqchat.protocol.effects import SetTimer
from zmqchat.protocol.facts import (
    DirectClosed,
    EndpointsChanged,
    Fact,
    FeedClosed,
    FeedOpened,
    Instant,
    PeerSubscribed,
    TimerFired,
)
from zmqchat.protocol.machine import PeerLinked, PeerUnlinked, Welcomed
from zmqchat.protocol.reach import VERDICT_S, Reach

ANN = peer_of("ann")
HERE = Endpoint("10.0.0.1", 42100, 42101, 42102)


def welcomed(*, dialled: bool) -> Welcomed:
    """A session with Ann."""
    return Welcomed(
        peer=ANN,
        dialled=dialled,
        endpoint=HERE,
        told=(),
        instance=bytes(16),
        store=bytes(16),
        generation=1,
        version=1,
        features=(),
    )


LINKED = PeerLinked(peer=ANN, store=bytes(16), generation=1)
VERDICT = TimerFired(name=("reach", "verdict"))


def told(*facts: Fact, made: Reach | None = None, now_s: float = 0.0) -> Reach:
    """A machine that was told these, the verdict being asked for VERDICT_S later."""
    reach = made or Reach()
    for fact in facts:
        at_s = now_s + VERDICT_S if fact is VERDICT else now_s
        reach.facts[type(fact)](fact, Instant(at_s, 0))
    return reach


def test_nobody_reaches_us_when_none_of_our_links_came_in() -> None:
    """We dialled, and for a quarter of a minute the peer has opened nothing to us: a firewall."""
    reach = told(welcomed(dialled=True), LINKED)
    assert reach.outbox == [SetTimer(name=("reach", "verdict"), at_s=VERDICT_S)]
    assert not reach.nobody_reaches_us
    assert told(VERDICT, made=reach).nobody_reaches_us


def test_a_subscription_or_a_caller_shows_that_we_are_reached() -> None:
    """Either ends the verdict, before it and after it."""
    subscribed = PeerSubscribed(peer=ANN, room=RoomId(bytes(16)), on=True)
    assert not told(welcomed(dialled=True), LINKED, subscribed, VERDICT).nobody_reaches_us
    assert not told(welcomed(dialled=False), LINKED, VERDICT).nobody_reaches_us
    reach = told(welcomed(dialled=True), LINKED, VERDICT)
    assert not told(welcomed(dialled=False), made=reach).nobody_reaches_us


def test_without_a_link_there_is_no_verdict() -> None:
    """A lonely node, or one whose links are gone, does not know."""
    assert not told(VERDICT).nobody_reaches_us
    assert not told(welcomed(dialled=True), LINKED, PeerUnlinked(peer=ANN, reason="lost"), VERDICT).nobody_reaches_us


def test_new_addresses_begin_anew() -> None:
    """Links from before say nothing of the new addresses."""
    reach = told(welcomed(dialled=True), LINKED, VERDICT, EndpointsChanged(endpoints=(HERE,)))
    assert not reach.nobody_reaches_us
    assert not told(VERDICT, made=reach).nobody_reaches_us
    assert told(LINKED, VERDICT, made=reach).nobody_reaches_us


def test_a_peer_that_came_in_and_can_not_be_dialled_is_undiallable() -> None:
    """Its feed and direct socket were tried in vain; that is remembered beyond the link, until it is dialled."""
    for closed in (FeedClosed(peer=ANN, reason="timeout"), DirectClosed(peer=ANN, reason="refused")):
        reach = told(welcomed(dialled=False), LINKED, closed, PeerUnlinked(peer=ANN, reason="lost"))
        assert set(reach.undiallable) == {ANN}
        assert not told(welcomed(dialled=True), made=reach).undiallable


def test_a_peer_that_we_dialled_stays_diallable_whatever_breaks_later() -> None:
    """A feed that opened or a door that answered is proof enough."""
    closed = FeedClosed(peer=ANN, reason="lost")
    assert not told(welcomed(dialled=True), LINKED, closed).undiallable
    assert not told(welcomed(dialled=False), LINKED, FeedOpened(peer=ANN), closed).undiallable
