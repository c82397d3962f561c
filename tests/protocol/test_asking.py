"""An author who hears nothing of members beyond its links asks: all who hold its batch tell it anew."""

from __future__ import annotations

import pytest

from tests.protocol.test_merging import chain, holders_sent
from tests.support.authors import Stranger
from tests.support.fakelink import FakeNet, FakeNode, lobby, peer_of, quick
from zmqchat.model.ids import MAIN_BRANCH
from zmqchat.model.limits import ASKS_PER_S_MAX
from zmqchat.protocol.asking import ASK_AFTER, ASK_SELDOM, FORGET_S
from zmqchat.wire.frames import type_byte
from zmqchat.wire.tree_frames import Holder, Holders


@pytest.fixture
def net() -> FakeNet:
    """A partial mesh in which only the live path tells anything."""
    net = FakeNet(config=quick(sync_interval_s=10_000.0))
    net.partial = True
    return net


def questions(node: FakeNode, start: int = 0) -> list[Holders]:
    """The questions that a node has sent, its own and those that it passed on."""
    return [frame for frame in holders_sent(node, start) if frame.holders[0].peer == frame.author]


def pending(node: FakeNode, log: int, number: int) -> int:
    """How many the author waits for."""
    return len(node.data.receipts.state(lobby(), log, number).pending)


def ask(asker: Stranger, number: int, log: int = 7) -> None:
    """Ask who holds a log of somebody who is not there."""
    holders = (Holder(peer_of("nobody"), number),)
    asker.send(Holders(room=lobby(), author=peer_of("nobody"), log=log, branch=MAIN_BRANCH, holders=holders))


def first_s(net: FakeNet) -> float:
    """After how long an author asks."""
    return ASK_AFTER * net.config.have_others_s


def test_who_hears_of_all_asks_nobody(net: FakeNet) -> None:
    """Where nothing is lost no question is ever sent."""
    ann, bob, cat, dan = chain(net, "ann", "bob", "cat", "dan")
    ann.say("hello")
    net.run(10 * first_s(net))
    assert not any(questions(node) for node in (ann, bob, cat, dan))


def test_what_was_lost_is_told_when_the_author_asks(net: FakeNet) -> None:
    """Word of holders gets lost on the way; the author asks once, each node passes that on once, and all is known."""
    ann, bob, cat, dan = chain(net, "ann", "bob", "cat", "dan")
    net.lose = lambda _sender, _receiver, payload, _feed: payload[0] == type_byte(Holders)
    (said,) = ann.say("hello")
    net.run(first_s(net) - 0.3)
    net.lose = lambda *_frame: False
    assert pending(ann, said.log, said.number) > 0
    net.run(2.0)
    assert pending(ann, said.log, said.number) == 0
    assert [len(questions(node)) for node in (ann, bob, cat, dan)] == [1, 1, 1, 0]


def test_relays_that_send_word_in_a_circle_are_put_right(net: FakeNet) -> None:
    """Two relays each take the other for the way to the author; its question shows both the way."""
    ann, bob, cat, dan = chain(net, "ann", "bob", "cat", "dan")
    (said,) = ann.say("hello")
    net.run(0.01)
    place = (lobby(), ann.peer, said.log)
    cat.data.broadcast.paths.came(place, dan.peer)
    dan.data.broadcast.paths.came(place, cat.peer)
    net.run(first_s(net) - 0.5)
    assert pending(ann, said.log, said.number) > 0
    net.run(3.0)
    assert pending(ann, said.log, said.number) == 0
    assert cat.data.broadcast.paths.towards(*place) == bob.peer
    assert dan.data.broadcast.paths.towards(*place) == cat.peer


def test_questions_grow_rare(net: FakeNet) -> None:
    """Nobody answers: the author asks again, each time after twice as long."""
    ann, _bob, _cat = chain(net, "ann", "bob", "cat")
    net.lose = lambda _sender, _receiver, payload, _feed: payload[0] == type_byte(Holders)
    ann.say("hello")
    net.run(first_s(net) * (1 + 2 + 4 + 1))
    assert len(questions(ann)) == 3
    start = len(ann.sent)
    net.run(3_600.0)
    assert len(questions(ann, start)) < 3_600.0 / (ASK_SELDOM * net.config.have_others_s) + 5


def test_a_question_is_heeded_once(net: FakeNet) -> None:
    """It comes to everybody by several ways, and is passed on once; a later one is another."""
    _ann, bob, _cat = chain(net, "ann", "bob", "cat")
    eve = Stranger(net, bob)
    for number in (5, 5, 4, 5):
        ask(eve, number)
    assert len(questions(bob)) == 2, "to each of its other links"
    ask(eve, 6)
    assert len(questions(bob)) == 4
    net.run(FORGET_S + 1.0)
    ask(eve, 3)
    assert len(questions(bob)) == 6, "its author may have started again with its clock put back"


def test_a_flood_of_questions_is_not_passed_on(net: FakeNet) -> None:
    """Of those that one link brings few a second are heeded, and few logs are remembered."""
    _ann, bob, _cat = chain(net, "ann", "bob", "cat")
    eve = Stranger(net, bob)
    for log in range(10 * ASKS_PER_S_MAX):
        ask(eve, 1, log)
    assert len(questions(bob)) == 2 * ASKS_PER_S_MAX
    (size,) = bob.data.asking.sizes()
    assert size.kept <= size.most


def test_a_full_mesh_asks_nothing() -> None:
    """Whoever is pending there is linked, or gone."""
    net = FakeNet(config=quick(sync_interval_s=10_000.0))
    ann, bob = net.node("ann"), net.node("bob")
    net.link(ann, bob)
    ann.join()
    bob.join()
    net.run(1.0)
    net.lose = lambda *_frame: True
    ann.say("hello")
    net.run(10 * first_s(net))
    assert not questions(ann)


def test_what_was_said_before_the_mesh_became_partial_is_asked_for_too(net: FakeNet) -> None:
    """An author linked to all loses a link and its word in the switch; it asks for what it said before."""
    net.partial = False
    ann, bob, cat = (net.node(name) for name in ("ann", "bob", "cat"))
    for one, other in ((ann, bob), (bob, cat), (ann, cat)):
        net.link(one, other)
    net.run(1.0)
    for node in (ann, bob, cat):
        node.join()
    net.run(1.0)
    net.lose = lambda sender, receiver, _payload, _feed: (sender, receiver) == (cat, ann)
    (said,) = ann.say("hello")
    net.run(0.5)
    net.unlink(ann, cat)
    net.lose = lambda *_frame: False
    for node in (ann, bob, cat):
        node.switch(partial=True)
    assert pending(ann, said.log, said.number) == 1
    net.run(2 * first_s(net))
    assert pending(ann, said.log, said.number) == 0
