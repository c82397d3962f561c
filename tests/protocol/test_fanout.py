"""Live batches: by feed or push, lazy peers, and the offer to whoever keeps silent."""

from __future__ import annotations

import pytest

from tests.support.authors import Stranger
from tests.support.fakelink import FakeNet, FakeNode, lobby, quick
from zmqchat.protocol.facts import FeedReceived, LinkBlocked, PeerSubscribed
from zmqchat.wire.frames import Have, HaveEntry, Push


@pytest.fixture
def net() -> FakeNet:
    """A network without periodic exchanges, so that only the live path repairs."""
    return FakeNet(config=quick(sync_interval_s=10_000.0))


def pair(net: FakeNet, feed: bool = True) -> tuple[FakeNode, FakeNode]:
    """Two linked nodes in the lobby."""
    nodes = net.node("ann"), net.node("bob")
    for node in nodes:
        node.join()
    net.run(0.1)
    net.link(*nodes, feed=feed)
    net.run(1.0)
    return nodes


def pushes(node: FakeNode) -> int:
    """How many pushes a node has sent over links."""
    return sum(payload[:1] == b"\x20" for _peer, payload in node.sent)


def have(stranger: Stranger, node: FakeNode, end: int) -> None:
    """The stranger says how much of the node's log it holds."""
    entry = HaveEntry(node.peer, node.data.ledger.own_log, bytes(8), end)
    stranger.send(Have(room=lobby(), holder=stranger.peer, entries=(entry,)))


def test_subscribed_peers_get_one_feed_frame(net: FakeNet) -> None:
    """A batch goes once to all whose subscription is known."""
    ann, bob = pair(net)
    ann.say("hello")
    net.run(0.1)
    assert bob.texts() == ["hello"] and len(ann.published) == 1 and pushes(ann) == 0


def test_without_a_feed_batches_are_pushed_both_ways(net: FakeNet) -> None:
    """A peer behind a firewall lives on the one link, within a moment."""
    ann, bob = pair(net, feed=False)
    ann.say("hello")
    bob.say("hello too")
    net.run(0.1)
    assert bob.texts() == ann.texts()[::-1] or set(bob.texts()) == set(ann.texts()) == {"hello", "hello too"}
    assert not ann.published and pushes(ann) == pushes(bob) == 1


def test_only_members_of_the_room_are_sent_to(net: FakeNet) -> None:
    """A peer that did not say it is in the room gets neither batch nor HAVE."""
    ann, _bob = pair(net)
    eve = Stranger(net, ann, rooms=(lobby("elsewhere"),))
    ann.say("hello")
    net.run(2.0)
    assert not eve.frames(Push) and not eve.frames(Have)


def test_nothing_leaves_before_it_is_durable(net: FakeNet) -> None:
    """Store before send."""
    ann, bob = pair(net)
    ann.store.delay_s = 1.0
    ann.say("hello")
    net.run(0.9)
    assert not ann.published and not bob.texts()
    net.run(0.2)
    assert bob.texts() == ["hello"]


def test_lost_last_message_is_repaired_within_two_seconds(net: FakeNet) -> None:
    """The feed drops it; the silence of the receiver makes the author offer its frontier."""
    ann, bob = pair(net)
    net.lose = lambda _a, _b, _payload, feed: feed
    ann.say("hello")
    net.run(2.0)
    assert bob.texts() == ["hello"]


def test_lost_acknowledgement_is_asked_for_again(net: FakeNet) -> None:
    """A HAVE that is lost is repeated when the author offers; then all is quiet."""
    ann, bob = pair(net)
    losses = iter([True])
    net.lose = lambda a, _b, payload, _feed: a is bob and payload[0] == 33 and next(losses, False)
    (said,) = ann.say("hello")
    net.run(0.4)
    assert ann.data.receipts.state(lobby(), said.log, said.number).pending == (bob.peer,)
    net.run(2.0)
    assert ann.data.receipts.state(lobby(), said.log, said.number).pending == ()
    sent = len(ann.sent)
    net.run(60.0)
    assert len(ann.sent) == sent


def test_silent_peer_is_offered_less_and_less(net: FakeNet) -> None:
    """Eight offers, each after twice the wait; a new batch begins anew."""
    ann, _bob = pair(net)
    eve = Stranger(net, ann)
    ann.say("hello")
    net.run(1_000.0)
    assert len(eve.frames(Have)) == 8
    ann.say("still there?")
    net.run(0.6)
    assert len(eve.frames(Have)) == 1


def test_peer_over_its_budget_gets_no_pushes_until_it_holds_all(net: FakeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow peer is lazy: bounded bytes, others undisturbed, back when it has caught up."""
    monkeypatch.setattr("zmqchat.protocol.fanout.LINK_UNACKNOWLEDGED_BYTES_MAX", 10_000)
    ann, bob = pair(net)
    eve = Stranger(net, ann)
    for _ in range(100):
        ann.say("x" * 500)
        net.run(0.01)
    assert ann.data.fanout.is_lazy(eve.peer) and not ann.data.fanout.is_lazy(bob.peer)
    assert ann.data.fanout.unacknowledged_bytes(eve.peer) <= 10_000
    assert len(eve.frames(Push)) < 30 and len(bob.texts()) == 100
    have(eve, ann, ann.end(ann) - 10)
    ann.say("not yet")
    net.run(0.1)
    assert not eve.frames(Push) and ann.data.fanout.is_lazy(eve.peer)
    have(eve, ann, ann.end(ann))
    ann.say("now")
    net.run(0.1)
    assert len(eve.frames(Push)) == 1 and not ann.data.fanout.is_lazy(eve.peer)


def test_acknowledged_bytes_are_free_again(net: FakeNet) -> None:
    """A HAVE in the middle frees what it covers."""
    ann, _bob = pair(net)
    eve = Stranger(net, ann)
    for _ in range(4):
        ann.say("x" * 500)
        net.run(0.1)
    before = ann.data.fanout.unacknowledged_bytes(eve.peer)
    have(eve, ann, ann.end(ann) - 2)
    assert 0 < ann.data.fanout.unacknowledged_bytes(eve.peer) < before
    have(eve, ann, ann.end(ann))
    assert ann.data.fanout.unacknowledged_bytes(eve.peer) == 0


def test_dropped_frame_makes_a_peer_lazy(net: FakeNet) -> None:
    """libzmq says that it dropped a frame: no more pushes until the peer has caught up."""
    ann, _bob = pair(net)
    eve = Stranger(net, ann)
    ann.handle(LinkBlocked(peer=eve.peer))
    assert not ann.data.fanout.is_lazy(eve.peer)
    ann.say("hello")
    net.run(0.1)
    ann.handle(LinkBlocked(peer=eve.peer))
    assert ann.data.fanout.is_lazy(eve.peer)


def test_subscriptions_come_and_go_around_a_link(net: FakeNet) -> None:
    """A subscription that is there before the link counts; one that ends turns feed into pushes."""
    ann, bob = pair(net)
    net.unlink(ann, bob)
    ann.handle(PeerSubscribed(peer=bob.peer, room=lobby(), on=False))
    ann.handle(PeerSubscribed(peer=bob.peer, room=lobby(), on=True))
    net.link(ann, bob, feed=False)
    net.run(0.5)
    ann.say("by feed")
    net.run(0.1)
    assert len(ann.published) == 1
    ann.handle(PeerSubscribed(peer=bob.peer, room=lobby(), on=False))
    ann.say("by push")
    net.run(2.0)
    assert pushes(ann) == 1 and bob.texts() == ["by feed", "by push"]
    net.unlink(ann, bob)
    ann.handle(LinkBlocked(peer=bob.peer))
    assert ann.data.fanout.unacknowledged_bytes(bob.peer) == 0


def test_foreign_kinds_of_feed_frames_are_ignored(net: FakeNet) -> None:
    """What a later version publishes is skipped."""
    ann, bob = pair(net)
    ann.handle(FeedReceived(peer=bob.peer, room=lobby(), payload=b"\xf0later"))
    ann.handle(FeedReceived(peer=bob.peer, room=lobby(), payload=b""))
    assert not ann.faults
