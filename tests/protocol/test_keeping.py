"""Rooms that a node keeps for others: when it begins and ends, and that the offline catch up from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.fakelink import FakeNet, FakeNode, lobby, quick
from zmqchat.model.ids import RoomId
from zmqchat.protocol.facts import Instant
from zmqchat.protocol.keepers import Look
from zmqchat.wire.frames import Keeps, decode

KNOWN_S = 600.0
BEGUN_S = KNOWN_S + 120.0
"""By then whoever is chosen is a keeper."""


@dataclass
class Chosen:
    """A choice that a test makes: these rooms, all of them unless named."""

    rooms: set[RoomId] | None = None
    asked: list[RoomId] = field(default_factory=list)

    def look(self, room: RoomId, _at: Instant) -> Look:
        """What the test said."""
        self.asked.append(room)
        return Look(self.rooms is None or room in self.rooms, 1)


@pytest.fixture
def net() -> FakeNet:
    """A network of nobody."""
    return FakeNet(config=quick(sync_interval_s=5.0))


def member(net: FakeNet, name: str, *others: FakeNode) -> FakeNode:
    """A node in the room "den", linked to these."""
    node = net.node(name)
    node.join("den")
    net.run(0.1)
    for other in others:
        net.link(node, other)
    net.run(1.0)
    return node


def keeper(net: FakeNet, name: str, *others: FakeNode, choice: Chosen | None = None, **options: Any) -> FakeNode:
    """A node that is in the lobby only, linked to these, and keeps what it is told to."""
    node = net.node(name, choice=choice or Chosen(), **options)
    node.join()
    net.run(0.1)
    for other in others:
        net.link(node, other)
    net.run(1.0)
    return node


def kept(node: FakeNode) -> list[RoomId]:
    """The rooms that a node keeps."""
    return node.data.keeping.rooms()


def keeps_sent(node: FakeNode) -> list[tuple[RoomId, ...]]:
    """What a node has told in KEEPS."""
    frames = [decode(payload) for _peer, payload in node.sent]
    return [frame.rooms for frame in frames if isinstance(frame, Keeps)]


def test_who_comes_later_catches_up_from_a_keeper(net: FakeNet) -> None:
    """The author has gone and no other member is there: all that was said is read, in order, from a node outside."""
    ann = member(net, "ann")
    ann.say("before there was a keeper", room="den")
    kim = keeper(net, "kim", ann)
    net.run(BEGUN_S)
    assert kept(kim) == [lobby("den")]
    ann.say("one", "two", room="den")
    net.run(2.0)
    ann.kill()
    bob = member(net, "bob", kim)
    net.run(2.0)
    assert bob.texts("den") == ["before there was a keeper", "one", "two"]
    assert bob.data.membership.book(lobby("den")).members() == sorted((ann.peer, bob.peer))
    assert bob.gaps("den") == []


def test_a_live_batch_is_with_the_keeper_at_once(net: FakeNet) -> None:
    """It is pushed like a member, and says what it holds as one."""
    ann = member(net, "ann")
    kim = keeper(net, "kim", ann)
    net.run(BEGUN_S)
    (said,) = ann.say("hello", room="den")
    net.run(0.1)
    assert kim.end(ann, "den") == ann.end(ann, "den")
    assert ann.data.receipts.state(lobby("den"), said.log, said.number).held == (kim.peer,)


def test_nothing_is_shown_where_it_is_kept(net: FakeNet) -> None:
    """No message is delivered, nobody is a member, and the room is none that the node is in."""
    ann = member(net, "ann")
    kim = keeper(net, "kim", ann)
    net.run(BEGUN_S)
    ann.say("not for kim", room="den")
    net.run(2.0)
    assert kim.texts("den") == [] and lobby("den") not in kim.data.ledger.joined_rooms()
    assert kim.data.ledger.rooms[lobby("den")].next_arrival == 1
    assert ann.data.live_in(lobby("den")) == ()
    assert kim.peer not in ann.data.membership.book(lobby("den")).members()


def test_a_keeper_is_no_receiver(net: FakeNet) -> None:
    """What only keepers have is held and not delivered, until a member has come and has it."""
    ann = member(net, "ann")
    kim = keeper(net, "kim", ann)
    net.run(BEGUN_S)
    (said,) = ann.say("hello", room="den")
    net.run(1.0)
    receipts = ann.data.receipts
    state = receipts.state(lobby("den"), said.log, said.number)
    assert state.held == (kim.peer,) and state.delivered == () and state.pending == ()
    assert receipts.held_below(lobby("den"), said.log) == said.number + 1
    assert receipts.delivered_below(lobby("den"), said.log, said.number, said.number + 1) == said.number
    bob = member(net, "bob", kim, ann)
    net.run(2.0)
    assert receipts.state(lobby("den"), said.log, said.number).delivered == (bob.peer,)
    assert receipts.delivered_below(lobby("den"), said.log, said.number, said.number + 1) == said.number + 1


def test_nobody_keeps_before_he_has_known_the_mesh_for_a_while(net: FakeNet) -> None:
    """A node that has just started asks nothing, and tells nothing."""
    choice = Chosen()
    ann = member(net, "ann")
    kim = keeper(net, "kim", ann, choice=choice)
    net.run(KNOWN_S - 10.0)
    assert kept(kim) == [] and choice.asked == [] and keeps_sent(kim) == []


def test_one_that_is_chosen_for_a_moment_only_takes_up_nothing(net: FakeNet) -> None:
    """A keeper that restarts is missed for less than keeper_patience_s."""
    choice = Chosen(rooms=set())
    ann = member(net, "ann")
    kim = keeper(net, "kim", ann, choice=choice)
    net.run(KNOWN_S)
    for _ in range(4):
        choice.rooms = {lobby("den")}
        net.run(40.0)
        choice.rooms = set()
        net.run(40.0)
    assert kept(kim) == []


def test_one_that_is_displaced_stays_until_the_next_has_had_time_to_copy(net: FakeNet) -> None:
    """Then it takes in nothing more, tells so, and keeps what it has."""
    choice = Chosen()
    ann = member(net, "ann")
    kim = keeper(net, "kim", ann, choice=choice)
    net.run(BEGUN_S)
    ann.say("held", room="den")
    net.run(1.0)
    choice.rooms = set()
    net.run(KNOWN_S - 60.0)
    assert kept(kim) == [lobby("den")]
    net.run(120.0)
    assert kept(kim) == [] and keeps_sent(kim)[-1] == ()
    held = kim.end(ann, "den")
    ann.say("not held", room="den")
    net.run(20.0)
    assert kim.end(ann, "den") == held < ann.end(ann, "den")
    choice.rooms = None
    net.run(120.0)
    assert kim.end(ann, "den") == ann.end(ann, "den")


def test_the_next_keeper_copies_from_one_that_goes(net: FakeNet) -> None:
    """No member is there: keepers repair each other."""
    ann = member(net, "ann")
    kim = keeper(net, "kim", ann)
    net.run(BEGUN_S)
    ann.say("hello", room="den")
    net.run(1.0)
    ann.kill()
    lee = keeper(net, "lee", kim)
    net.run(BEGUN_S)
    assert lee.hash("den") == kim.hash("den")
    kim.kill()
    bob = member(net, "bob", lee)
    net.run(2.0)
    assert bob.texts("den") == ["hello"]


def test_a_keeper_that_joins_has_what_it_kept(net: FakeNet) -> None:
    """It reads all of it, with the members' names, though nobody is there."""
    ann = member(net, "ann")
    kim = keeper(net, "kim", ann)
    net.run(BEGUN_S)
    ann.say("one", "two", room="den")
    net.run(1.0)
    ann.kill()
    kim.join("den")
    net.run(2.0)
    assert kim.texts("den") == ["one", "two"] and kept(kim) == []
    assert kim.data.membership.book(lobby("den"))[ann.peer].name == "ann"
    assert not any(deliver.arrival.live for _author, _text, deliver in kim.messages("den"))


def test_custody_survives_a_restart(net: FakeNet) -> None:
    """A keeper that comes back goes on at once, with what it has on its disk."""
    ann = member(net, "ann")
    kim = keeper(net, "kim", ann)
    net.run(BEGUN_S)
    ann.say("hello", room="den")
    net.run(1.0)
    ann.kill()
    kim = net.restart(kim, choice=Chosen())
    assert kept(kim) == [lobby("den")] and lobby("den") in kim.topics
    bob = member(net, "bob", kim)
    net.run(2.0)
    assert bob.texts("den") == ["hello"]


def test_a_room_that_was_left_is_not_kept(net: FakeNet) -> None:
    """What is stored of it is the user's own history, which no quota may touch."""
    ann = member(net, "ann")
    kim = keeper(net, "kim", ann)
    kim.join("den")
    net.run(1.0)
    kim.leave("den")
    net.run(BEGUN_S)
    assert kept(kim) == [] and not kim.data.ledger.rooms[lobby("den")].kept


def test_who_keeps_nothing_never_speaks_of_it(net: FakeNet) -> None:
    """Where all are in the same rooms no frame is sent that was not sent before."""
    ann, bob = member(net, "ann"), net.node("bob", choice=Chosen())
    bob.join("den")
    net.link(ann, bob)
    net.run(BEGUN_S)
    assert keeps_sent(ann) == keeps_sent(bob) == []
