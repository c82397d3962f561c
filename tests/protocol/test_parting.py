"""Who leaves a room while nobody of it is there is heard when somebody comes, and then the room is let go of."""

from __future__ import annotations

import pytest

from tests.support.authors import Stranger
from tests.support.fakelink import FakeNet, FakeNode, lobby, quick
from zmqchat.protocol import parting
from zmqchat.wire.frames import Frame, Have, Interest, Keeps, decode

DEN = lobby("den")
DONE_S = parting.FIRST_S + parting.SERVED_S
"""By then a leave that was heard at once is done with."""


@pytest.fixture
def net() -> FakeNet:
    """A network of nobody, in which nothing is repaired by chance."""
    return FakeNet(config=quick(sync_interval_s=600.0))


def member(net: FakeNet, name: str, *others: FakeNode) -> FakeNode:
    """A node in the room "den" and the lobby, linked to these."""
    node = net.node(name)
    node.join("den")
    node.join()
    net.run(0.1)
    for other in others:
        net.link(node, other)
    net.run(2.0)
    return node


def shown(node: FakeNode) -> list[str]:
    """The names of whom a node shows as members of the den."""
    book = node.data.membership.book(DEN)
    return sorted(book[peer].name or "?" for peer in book.members())


def frames(node: FakeNode, since: int = 0) -> list[Frame]:
    """What a node has sent, decoded."""
    return [frame for _peer, payload in node.sent[since:] if isinstance(frame := decode(payload), Frame)]


def test_who_left_while_alone_is_heard_later(net: FakeNet) -> None:
    """No link led into the room when ann left: the next one tells of it, and of what she said before."""
    ann = member(net, "ann")
    bob = member(net, "bob", ann)
    assert shown(bob) == ["ann", "bob"]
    net.unlink(ann, bob)
    ann.say("good bye", room="den")
    ann.leave("den")
    net.run(60.0)
    assert ann.data.ledger.parting_rooms() == [DEN]
    net.link(ann, bob)
    net.run(2.0)
    assert shown(bob) == ["bob"] and bob.texts("den") == ["good bye"]
    net.run(DONE_S)
    assert ann.data.ledger.parting_rooms() == []


def test_it_survives_a_restart(net: FakeNet) -> None:
    """That nobody has heard it is in the room's row; that somebody has, too."""
    ann = member(net, "ann")
    bob = member(net, "bob", ann)
    net.unlink(ann, bob)
    ann.leave("den")
    net.run(1.0)
    ann = net.restart(ann)
    assert ann.data.ledger.parting_rooms() == [DEN] and not ann.data.ledger.is_joined(DEN)
    net.link(ann, bob)
    net.run(DONE_S + 2.0)
    assert shown(bob) == ["bob"]
    assert net.restart(ann).data.ledger.parting_rooms() == []


def test_a_leave_that_is_heard_at_once_sends_nothing_more(net: FakeNet) -> None:
    """The fan-out's offer is answered as ever; neither KEEPS nor another offer follows, and it is done soon."""
    ann = member(net, "ann")
    bob = member(net, "bob", ann)
    net.run(10.0)
    before = len(ann.sent)
    ann.leave("den")
    net.run(1.0)
    assert shown(bob) == ["bob"] and ann.data.receipts.is_all_held(DEN)
    net.run(DONE_S)
    assert ann.data.ledger.parting_rooms() == []
    sent = [frame for frame in frames(ann, before) if not isinstance(frame, Interest)]
    assert [type(frame) for frame in sent] == [Have]
    before = len(ann.sent)
    net.unlink(ann, bob)
    net.link(ann, bob)
    net.run(5.0)
    assert not [frame for frame in frames(ann, before) if isinstance(frame, Have | Keeps) and DEN in _rooms(frame)]


def _rooms(frame: Have | Keeps) -> tuple[object, ...]:
    return frame.rooms if isinstance(frame, Keeps) else (frame.room,)


def test_only_those_of_the_room_are_told(net: FakeNet) -> None:
    """A peer that is elsewhere gets no word of it; nothing that is said in the room is taken in."""
    ann = member(net, "ann")
    bob = member(net, "bob", ann)
    net.unlink(ann, bob)
    ann.leave("den")
    net.run(1.0)
    eve = Stranger(net, ann)
    net.run(30.0)
    assert eve.frames(Have) == []
    bob.say("nobody else hears me", room="den")
    held = ann.end(bob, "den")
    net.link(ann, bob)
    net.run(DONE_S + 5.0)
    assert shown(bob) == ["bob"] and ann.end(bob, "den") == held < bob.end(bob, "den")


def test_what_others_said_goes_with_it(net: FakeNet) -> None:
    """Ann has died, and bob alone has her text: he leaves, and cem gets it from him all the same."""
    ann = member(net, "ann")
    bob = member(net, "bob", ann)
    ann.say("one", "two", room="den")
    net.run(1.0)
    ann.kill()
    bob.leave("den")
    net.run(1.0)
    cem = member(net, "cem", bob)
    net.run(10.0)
    assert cem.texts("den") == ["one", "two"] and shown(cem) == ["ann", "cem"]


def test_an_offer_that_is_lost_is_made_again(net: FakeNet) -> None:
    """After twice the time each; who has all that we said ends it."""
    ann = member(net, "ann")
    bob = member(net, "bob", ann)
    net.unlink(ann, bob)
    ann.leave("den")
    net.lose = lambda sender, _receiver, payload, _feed: sender is ann and isinstance(decode(payload), Have)
    net.link(ann, bob)
    net.run(10.0)
    assert shown(bob) == ["ann", "bob"]
    assert len([frame for frame in frames(ann) if isinstance(frame, Have) and frame.room == DEN]) >= 3
    net.lose = lambda *_any: False
    net.run(10.0)
    assert shown(bob) == ["bob"]


def test_joining_again_ends_it(net: FakeNet) -> None:
    """Who is in the room tells of it as a member does."""
    ann = member(net, "ann")
    ann.leave("den")
    net.run(1.0)
    assert ann.data.ledger.parting_rooms() == [DEN]
    ann.join("den")
    net.run(1.0)
    assert ann.data.ledger.parting_rooms() == [] and ann.data.parting.sizes()[0].kept == 0
    assert net.restart(ann).data.ledger.parting_rooms() == []


def test_it_ends_after_a_month(net: FakeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody of the room was met in all that time."""
    monkeypatch.setattr(parting, "PARTING_DAYS_MAX", 1 / 24)
    ann = member(net, "ann")
    ann.leave("den")
    net.run(3_500.0)
    assert ann.data.ledger.parting_rooms() == [DEN]
    net.run(parting.WAIT_S_MAX + 200.0)
    assert ann.data.ledger.parting_rooms() == []


def test_rooms_are_bounded(net: FakeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many the one that was left first is given up."""
    monkeypatch.setattr(parting, "PARTING_ROOMS_MAX", 2)
    ann = net.node("ann")
    for name in ("one", "two", "three"):
        ann.join(name)
        net.run(1.0)
        ann.leave(name)
        net.run(1.0)
    assert ann.data.ledger.parting_rooms() == sorted((lobby("two"), lobby("three")))


def test_a_large_mesh_is_searched_for_somebody_of_the_room(net: FakeNet) -> None:
    """The room is lonely as long as no link leads into it and nobody has heard that we left."""
    ann = member(net, "ann")
    bob = member(net, "bob", ann)
    net.unlink(ann, bob)
    ann.leave("den")
    net.run(1.0)
    assert DEN in ann.data.lonely_rooms()
    net.link(ann, bob)
    net.run(DONE_S + 5.0)
    assert DEN not in ann.data.lonely_rooms()
