"""Who holds, lacks and has read our own events."""

from __future__ import annotations

import copy

import pytest

from tests.support.authors import Author, Stranger
from tests.support.fakelink import FakeNet, FakeNode, lobby, peer_of, quick
from zmqchat.model.ids import LogKey
from zmqchat.protocol.data_effects import ReceiptsChanged
from zmqchat.protocol.facts import ReadUpTo
from zmqchat.wire.frames import Have, HaveEntry


@pytest.fixture
def net() -> FakeNet:
    """A network of nobody."""
    return FakeNet(config=quick(sync_interval_s=5.0))


def mesh(net: FakeNet, *names: str) -> list[FakeNode]:
    """Nodes in the lobby, all linked."""
    nodes = [net.node(name) for name in names]
    for node in nodes:
        node.join()
    net.run(0.1)
    for index, one in enumerate(nodes):
        for other in nodes[index + 1 :]:
            net.link(one, other)
    net.run(2.0)
    return nodes


def test_what_a_peer_lacks_of_ours_is_counted(net: FakeNet) -> None:
    """Events in the room that it is not known to hold; of who never said anything nothing is known."""
    ann, bob, cat = mesh(net, "ann", "bob", "cat")
    receipts = ann.data.receipts
    assert [receipts.lacking(lobby(), node.peer, speaks=True) for node in (bob, cat)] == [0, 0]
    net.lose = lambda _a, b, _payload, _feed: b is cat
    ann.say("hello")
    ann.say("is anybody there?")
    net.run(1.0)
    assert [receipts.lacking(lobby(), node.peer, speaks=True) for node in (bob, cat)] == [0, 2]
    assert receipts.lacking(lobby(), peer_of("eve"), speaks=False) is None
    assert receipts.lacking(lobby(), peer_of("eve"), speaks=True) == 4


def test_delivered_are_the_members_live_when_it_was_stored(net: FakeNet) -> None:
    """Who came later holds it too, but nobody waits for it; who left is still pending."""
    ann, bob, cat = mesh(net, "ann", "bob", "cat")
    net.lose = lambda _a, b, _payload, _feed: b is cat
    (said,) = ann.say("hello")
    net.run(0.5)
    state = ann.data.receipts.state(lobby(), said.log, said.number)
    assert state.held == state.delivered == (bob.peer,) and state.pending == (cat.peer,)
    net.unlink(ann, cat)
    dan = net.node("dan")
    dan.join()
    net.run(0.1)
    net.link(ann, dan)
    net.run(5.0)
    state = ann.data.receipts.state(lobby(), said.log, said.number)
    assert state.held == tuple(sorted((bob.peer, dan.peer)))
    assert state.delivered == (bob.peer,) and state.pending == (cat.peer,)
    assert ann.of(ReceiptsChanged)


def test_with_nobody_live_the_first_to_come_counts(net: FakeNet) -> None:
    """A command that has just started waits for its peer."""
    (ann,) = mesh(net, "ann")
    (said,) = ann.say("hello")
    net.run(0.1)
    receipts = ann.data.receipts
    assert receipts.state(lobby(), said.log, said.number) == ((), (), (), ())
    assert receipts.delivered_below(lobby(), said.log, said.number, said.number + 1) == said.number
    bob = net.node("bob")
    bob.join()
    net.run(0.1)
    net.link(ann, bob)
    net.run(2.0)
    assert receipts.state(lobby(), said.log, said.number).delivered == (bob.peer,)
    assert receipts.delivered_below(lobby(), said.log, said.number, said.number + 1) == said.number + 1


def test_ends_are_told_for_ranges_of_numbers(net: FakeNet) -> None:
    """Futures are resolved in bulk: below which number `copies` peers hold all, and all who were live do."""
    ann, bob, cat = mesh(net, "ann", "bob", "cat")
    first = ann.say("one")[0]
    net.run(1.0)
    net.unlink(ann, cat)
    last = ann.say("two")[0]
    net.run(1.0)
    receipts, log, end = ann.data.receipts, first.log, last.number + 1
    assert receipts.held_below(lobby(), log) == end
    assert receipts.held_below(lobby(), log, 2) == last.number
    assert receipts.held_below(lobby(), log, 3) == receipts.held_below(lobby(), log, 0) == 0
    assert receipts.held_below(lobby("other"), log) == 0
    assert receipts.delivered_below(lobby(), log, first.number, end) == end
    assert receipts.read_below(lobby(), log, first.number, end) == first.number
    assert receipts.read_below(lobby("other"), log, 3, end) == 3
    net.run(0.1)
    bob.handle(ReadUpTo(room=lobby(), ends={LogKey(ann.peer, log): end}))
    net.run(1.0)
    assert receipts.read_below(lobby(), log, last.number, end) == end
    assert receipts.state(lobby(), log, last.number).read == (bob.peer,)


def test_restart_learns_again_who_holds_what(net: FakeNet) -> None:
    """An exchange that finds the room the same says that the peer holds all of ours."""
    ann, bob = mesh(net, "ann", "bob")
    (said,) = ann.say("hello")
    net.run(1.0)
    ann = net.restart(ann)
    assert ann.data.receipts.state(lobby(), said.log, said.number).held == ()
    net.link(ann, bob)
    net.run(2.0)
    assert ann.data.receipts.state(lobby(), said.log, said.number).held == (bob.peer,)


def test_claims_beyond_what_there_is_say_nothing_of_what_comes(net: FakeNet) -> None:
    """A peer that says it holds a million is believed as far as there is something to hold."""
    (ann,) = mesh(net, "ann")
    eve = Stranger(net, ann)
    log = ann.data.ledger.own_log
    entry = HaveEntry(ann.peer, log, bytes(8), ann.end(ann))
    ann.say("hello")
    net.run(0.1)
    eve.send(Have(room=lobby(), holder=eve.peer, entries=(entry,)))
    (said,) = ann.say("later")
    net.run(0.1)
    assert ann.data.receipts.state(lobby(), said.log, said.number).held == ()
    assert ann.data.receipts.state(lobby(), 12345, 0) == ((), (), (), ())
    ann.data.receipts._note(lobby(), 12345, peer_of("bob"), 5, lambda entry: entry.holds)
    assert ann.data.receipts.state(lobby(), 12345, 0) == ((), (), (), ())


@pytest.mark.parametrize("joined", [True, False], ids=["goes on from what is common", "stands apart"])
def test_a_fork_takes_back_what_was_told_before_it_was_known(net: FakeNet, joined: bool) -> None:
    """Another history of the same length: its holder counts for what both have in common, and no further."""
    (ann,) = mesh(net, "ann")
    eve = Stranger(net, ann)
    (common,) = ann.say("common")
    net.run(0.1)
    log, end = ann.data.ledger.own_log, ann.end(ann)
    frontier = ann.data.ledger.frontier(lobby(), LogKey(ann.peer, log))
    assert frontier is not None
    (said,) = ann.say("of this life")
    net.run(0.1)
    have = Have(room=lobby(), holder=eve.peer, entries=(HaveEntry(ann.peer, log, bytes(8), ann.end(ann)),))
    eve.send(have)
    assert ann.data.receipts.state(lobby(), log, said.number).held == (eve.peer,)
    ann.told.clear()
    twin = Author("ann")
    twin.ticks = frontier.ranges[0].sealed_at + (1 if joined else -100)
    eve.push(twin.batch(("of the other life",), log=log, first=end, previous=frontier.ranges[0].head))
    net.run(0.1)
    eve.send(have)
    assert ann.data.ledger.rooms[lobby()].frontier.is_forked(ann.peer, log)
    assert ann.data.receipts.state(lobby(), log, said.number).held == ()
    assert ann.data.receipts.state(lobby(), log, common.number).held == (eve.peer,)
    assert any(isinstance(effect, ReceiptsChanged) for effect in ann.told)


def test_an_exchange_after_a_fork_tells_who_holds_it_all(net: FakeNet) -> None:
    """A restored backup that wrote on: once both sides hold both histories, the peer counts for ours again."""
    ann, bob = mesh(net, "ann", "bob")
    ann.say("before")
    net.run(1.0)
    backup = copy.deepcopy(ann.store)
    ann.say("lost")
    net.run(1.0)
    log = ann.data.ledger.own_log
    ann.store = backup
    net.unlink(ann, bob)
    ann = net.restart(ann)
    (said,) = ann.say("written on")
    net.run(0.1)
    assert said.log == log
    net.link(ann, bob)
    net.run(10.0)
    assert ann.data.ledger.rooms[lobby()].frontier.is_forked(ann.peer, log)
    assert ann.hash() == bob.hash()
    assert ann.data.receipts.state(lobby(), log, said.number).held == (bob.peer,)


def test_steps_of_who_was_live_are_bounded(net: FakeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that flaps for a year costs a bounded list; the oldest messages then know of nobody."""
    monkeypatch.setattr("zmqchat.protocol.receipts.STEPS_MAX", 3)
    ann, bob = mesh(net, "ann", "bob")
    ids = []
    for _ in range(4):
        net.unlink(ann, bob)
        ids += ann.say("alone")
        net.run(0.1)
        net.link(ann, bob)
        net.run(1.0)
        ids += ann.say("together")
        net.run(1.0)
    receipts = ann.data.receipts
    assert len(receipts._logs[(lobby(), ids[0].log)].firsts) == 3
    assert receipts.state(lobby(), ids[-1].log, ids[-1].number).delivered == (bob.peer,)
