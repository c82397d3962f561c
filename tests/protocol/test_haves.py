"""HAVE: at once to whom waits, coalesced, within bounds; and asking for what one lacks."""

from __future__ import annotations

import pytest

from tests.support.authors import Stranger
from tests.support.fakelink import RTT_S, FakeNet, FakeNode, lobby, peer_of, quick
from zmqchat.protocol.haves import PACE
from zmqchat.wire.frames import Have, HaveEntry, Page, Want


@pytest.fixture
def net() -> FakeNet:
    """A network without periodic exchanges."""
    return FakeNet(config=quick(sync_interval_s=10_000.0))


def mesh(net: FakeNet, *names: str) -> list[FakeNode]:
    """Nodes in the lobby."""
    nodes = [net.node(name) for name in names]
    for node in nodes:
        node.join()
    net.run(0.1)
    return nodes


def haves(node: FakeNode, to: FakeNode | None = None) -> int:
    """How many HAVEs a node has sent."""
    return sum(payload[0] == 33 and (to is None or peer == to.peer) for peer, payload in node.sent)


def test_author_hears_at_once_and_others_within_a_second(net: FakeNet) -> None:
    """The tick of a single message takes no artificial wait; who need not know waits for more."""
    ann, bob = mesh(net, "ann", "bob")
    eve = Stranger(net, bob)
    net.link(ann, bob)
    net.run(3.0)
    eve.frames(Have)
    (said,) = ann.say("hello")
    net.run(0.01)
    assert ann.data.receipts.state(lobby(), said.log, said.number).held == (bob.peer,)
    assert not eve.frames(Have)
    net.run(1.0)
    assert len(eve.frames(Have)) == 1


def test_over_a_lazy_link_of_a_partial_mesh_names_go_and_no_haves(net: FakeNet) -> None:
    """Three in a circle draw a tree: who got a batch over it tells whom it came by, and says nothing to the third."""
    net.partial = True
    ann, bob, cat = mesh(net, "ann", "bob", "cat")
    for one, other in ((ann, bob), (ann, cat), (bob, cat)):
        net.link(one, other)
    for _ in range(3):
        ann.say("first")
        net.run(3.0)
    assert bob.data.broadcast.is_lazy(lobby(), cat.peer) and cat.data.broadcast.is_lazy(lobby(), bob.peer)
    before = haves(bob, ann), haves(bob, cat), haves(cat, bob)
    ann.say("hello")
    net.run(3.0)
    assert (haves(bob, ann), haves(bob, cat), haves(cat, bob)) == (before[0] + 1, *before[1:])


def test_stream_costs_few_haves(net: FakeNet) -> None:
    """A thousand commits in a second are acknowledged 200 times, not each by itself."""
    ann, bob = mesh(net, "ann", "bob")
    net.link(ann, bob)
    net.run(3.0)
    before = haves(bob)
    for index in range(1_000):
        ann.say(f"{index}")
        net.run(0.001)
    net.run(1.0)
    assert len(bob.texts()) == 1_000 and haves(bob) - before <= 2.0 / (net.config.have_author_s * PACE) + 2
    assert ann.data.fanout.unacknowledged_bytes(bob.peer) == 0


def test_relay_needs_nothing_but_have(net: FakeNet) -> None:
    """A and C can't reach each other; both read everything within 2 s through B."""
    ann, bob, cat = mesh(net, "ann", "bob", "cat")
    net.link(ann, bob)
    net.link(bob, cat)
    net.run(3.0)
    ann.say("from a")
    cat.say("from c")
    net.run(2.0)
    for node in (ann, bob, cat):
        assert sorted(node.texts()) == ["from a", "from c"]


def test_who_is_behind_asks_after_two_round_trips(net: FakeNet) -> None:
    """What is on its way anyway is not asked for; what does not come is."""
    (ann,) = mesh(net, "ann")
    eve = Stranger(net, ann)
    chain = eve.chain(2)
    entry = HaveEntry(eve.peer, 1, bytes(8), 1)
    eve.send(Have(room=lobby(), holder=eve.peer, entries=(entry,)))
    net.run(RTT_S)
    eve.push(chain[0])
    net.run(1.0)
    assert not eve.frames(Want)
    eve.send(Have(room=lobby(), holder=eve.peer, entries=(entry._replace(end=2),)))
    net.run(1.5 * RTT_S)
    assert not eve.frames(Want)
    net.run(RTT_S)
    (want,) = eve.frames(Want)
    assert (want.first, want.end) == (1, 2)
    eve.send(Page(request=want.request, batches=(chain[1].raw,), done=True))
    net.run(0.1)
    assert ann.texts() == ["0", "1"]


def test_asking_is_forgotten_when_it_comes_or_the_peer_goes(net: FakeNet) -> None:
    """A later HAVE that is covered takes back an earlier one."""
    (ann,) = mesh(net, "ann")
    eve, bob = Stranger(net, ann), Stranger(net, ann, "bob")
    chain = eve.chain(3)
    entry = HaveEntry(eve.peer, 1, bytes(8), 3)
    eve.send(Have(room=lobby(), holder=eve.peer, entries=(entry,)))
    eve.push(*chain)
    net.run(RTT_S)
    eve.send(Have(room=lobby(), holder=eve.peer, entries=(entry,)))
    net.run(1.0)
    assert not eve.frames(Want) and not bob.frames(Want)


def test_claims_for_others_and_other_rooms_are_ignored(net: FakeNet) -> None:
    """A HAVE counts for its sender alone, and only in rooms that we are in."""
    (ann,) = mesh(net, "ann")
    eve = Stranger(net, ann)
    entry = HaveEntry(eve.peer, 1, bytes(8), 3)
    eve.send(Have(room=lobby(), holder=peer_of("bob"), entries=(entry,)))
    eve.send(Have(room=lobby("other"), holder=eve.peer, entries=(entry,)))
    net.run(1.0)
    assert not eve.frames(Want)


def test_many_logs_are_told_in_several_frames(net: FakeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A HAVE has a bound, and what does not fit goes in the next one."""
    monkeypatch.setattr("zmqchat.protocol.haves.HAVE_ENTRIES_MAX", 4)
    monkeypatch.setattr("zmqchat.protocol.haves.BEHIND_MAX", 4)
    (ann,) = mesh(net, "ann")
    eve = Stranger(net, ann)
    ann.store.delay_s = 0.5
    eve.push(*(eve.batch(log=log) for log in range(1, 11)))
    net.run(2.0)
    frames = eve.frames(Have)
    assert {entry.log for frame in frames for entry in frame.entries} == set(range(1, 11))
    assert max(len(frame.entries) for frame in frames) == 4
    entries = tuple(HaveEntry(eve.peer, log, bytes(8), 9) for log in range(20, 30))
    eve.send(Have(room=lobby(), holder=eve.peer, entries=entries))
    net.run(1.0)
    assert 1 <= len(eve.frames(Want)) <= 4
