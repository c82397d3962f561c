"""Rooms, members, names and read positions, as events that every replica folds."""

from __future__ import annotations

import pytest

from tests.support.authors import Stranger
from tests.support.fakelink import WALL_START_MS, FakeNet, FakeNode, lobby, peer_of
from zmqchat.history.clock import hlc_of
from zmqchat.model.events import Kind, MemberAction
from zmqchat.model.ids import LogKey
from zmqchat.model.limits import ROOMS_MAX
from zmqchat.protocol.data_effects import MemberChanged
from zmqchat.protocol.effects import Notice
from zmqchat.protocol.facts import JoinRoom, LeaveRoom, ReadUpTo, Rename
from zmqchat.wire.events import encode_event
from zmqchat.wire.frames import Interest


@pytest.fixture
def net() -> FakeNet:
    """A network of nobody."""
    return FakeNet()


def pair(net: FakeNet) -> tuple[FakeNode, FakeNode]:
    """Two linked nodes in the lobby."""
    nodes = net.node("ann"), net.node("bob")
    for node in nodes:
        node.join()
    net.run(0.1)
    net.link(*nodes)
    net.run(2.0)
    return nodes


def own_events(node: FakeNode) -> int:
    """How many events of its own a node has stored in the lobby."""
    return sum(
        row.end - row.first
        for (room, key), rows in node.store.batches.items()
        for row in rows.values()
        if key.author == node.peer and room == lobby()
    )


def marker(node: FakeNode, author: FakeNode, end: int) -> None:
    """The application has read so far."""
    node.handle(ReadUpTo(room=lobby(), ends={LogKey(author.peer, author.data.ledger.own_log): end}))


def test_joining_makes_a_member_with_a_name_everywhere(net: FakeNet) -> None:
    """Join and profile are events in one's own log; both nodes fold the same list."""
    ann, bob = pair(net)
    for node in (ann, bob):
        book = node.data.membership.book(lobby())
        assert book.members() == sorted((ann.peer, bob.peer))
        assert book[ann.peer].name == "ann"
    told = [(effect.peer, effect.joined, effect.name) for effect in bob.of(MemberChanged)]
    assert (ann.peer, True, "ann") in told


def test_joining_again_or_after_a_restart_says_nothing_new(net: FakeNet) -> None:
    """One join event and one profile, however often a face asks."""
    ann, _bob = pair(net)
    ann.join()
    net.run(0.1)
    assert own_events(ann) == 2
    ann = net.restart(ann)
    assert ann.data.ledger.joined_rooms() == [lobby()] and ann.topics == {lobby()}
    ann.join()
    ann.say("hello")
    net.run(0.1)
    assert own_events(ann) == 3
    assert ann.data.membership.name == "ann"


def test_leaving_is_told_before_one_is_gone(net: FakeNet) -> None:
    """The others see who left; afterwards the room is neither heard nor written to, and what is stored stays."""
    ann, bob = pair(net)
    ann.leave()
    ann.leave()
    net.run(1.0)
    assert bob.data.membership.book(lobby()).members() == [bob.peer]
    assert not ann.data.ledger.is_joined(lobby()) and ann.topics == frozenset()
    bob.say("nobody hears me")
    net.run(1.0)
    assert ann.texts() == []
    ann = net.restart(ann)
    assert ann.data.ledger.joined_rooms() == []
    ann.join()
    net.run(0.1)
    net.link(ann, bob)
    net.run(2.0)
    assert ann.texts() == ["nobody hears me"]
    assert bob.data.membership.book(lobby()).members() == sorted((ann.peer, bob.peer))
    ann.handle(LeaveRoom(room=lobby("never joined")))


def test_leaving_with_a_full_disk_leaves_without_a_word(net: FakeNet) -> None:
    """The user is out of the room; the row follows when there is space again."""
    ann, _bob = pair(net)
    ann.store.failing = "full"
    ann.leave()
    net.run(0.1)
    assert not ann.data.ledger.is_joined(lobby())
    ann.store.failing = None
    net.run(1.0)
    assert net.restart(ann).data.ledger.joined_rooms() == []


def test_joining_while_leaving_stays(net: FakeNet) -> None:
    """Who changes his mind before the leave event is durable is in the room, and says so again."""
    ann, bob = pair(net)
    ann.leave()
    ann.join()
    net.run(1.0)
    assert ann.data.ledger.is_joined(lobby())
    assert bob.data.membership.book(lobby()).members() == sorted((ann.peer, bob.peer))


def test_join_that_could_not_be_stored_stands_before_the_first_text(net: FakeNet) -> None:
    """A disk that was full at the time of joining leaves nobody nameless."""
    ann = net.node("ann")
    ann.store.failing = "full"
    ann.join()
    net.run(0.1)
    ann.store.failing = None
    ann.say("hello")
    net.run(1.0)
    member = ann.data.membership.book(lobby())[ann.peer]
    assert member.is_in and member.name == "ann" and own_events(ann) == 3
    assert net.restart(ann).data.ledger.joined_rooms() == [lobby()]


def test_new_name_is_told_where_one_was_said(net: FakeNet) -> None:
    """A profile event in each room when the name changes; old texts keep the name that went with them."""
    ann, bob = pair(net)
    ann.handle(Rename(name="Anna"))
    ann.handle(Rename(name="Anna"))
    net.run(1.0)
    assert bob.data.membership.book(lobby())[ann.peer].name == "Anna"
    assert own_events(ann) == 3 and ann.store.tables["meta"][b"name"] == b"Anna"
    ann.say("hello")
    net.run(0.1)
    assert own_events(ann) == 4


def test_name_given_at_start_is_said_before_the_next_text(net: FakeNet) -> None:
    """`--name` at the next start changes what is said, not before there is something to say."""
    ann, bob = pair(net)
    ann = net.restart(ann, nickname="Anna")
    net.link(ann, bob)
    net.run(1.0)
    assert own_events(ann) == 2
    ann.say("hello")
    net.run(1.0)
    assert bob.data.membership.book(lobby())[ann.peer].name == "Anna"


def test_rename_before_anything_was_said_waits_for_the_first_event(net: FakeNet) -> None:
    """In a room whose profile was not stored yet nothing is told by itself."""
    ann = net.node("ann")
    ann.store.failing = "full"
    ann.join()
    net.run(0.1)
    ann.handle(Rename(name="Anna"))
    ann.store.failing = None
    net.run(1.0)
    assert own_events(ann) == 0


def test_read_markers_are_coalesced(net: FakeNet) -> None:
    """At most one a room and read_marker_s, with the newest ends, and none for what one wrote oneself."""
    ann, bob = pair(net)
    (said,) = ann.say(*(f"{n}" for n in range(1)))
    net.run(0.5)
    before = own_events(bob)
    marker(bob, bob, 5)
    for end in range(1, said.number + 2):
        marker(bob, ann, end)
        net.run(0.1)
    assert own_events(bob) == before + 1
    marker(bob, ann, 1)
    net.run(3.0)
    assert own_events(bob) == before + 2
    assert ann.data.receipts.state(lobby(), said.log, said.number).read == (bob.peer,)
    marker(bob, ann, said.number + 1)
    net.run(3.0)
    assert own_events(bob) == before + 2
    bob.handle(ReadUpTo(room=lobby("elsewhere"), ends={}))


def test_read_marker_of_many_logs_goes_in_parts(net: FakeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A marker has a bound; what is left goes with the next one, and a room that is left owes none."""
    monkeypatch.setattr("zmqchat.protocol.membership.MARKER_ENTRIES_MAX", 3)
    ann, _bob = pair(net)
    before = own_events(ann)
    ann.handle(ReadUpTo(room=lobby(), ends={LogKey(peer_of("eve"), log): 1 for log in range(8)}))
    net.run(10.0)
    assert own_events(ann) == before + 3
    ann.handle(ReadUpTo(room=lobby(), ends={LogKey(peer_of("eve"), log): 2 for log in range(8)}))
    ann.leave()
    net.run(10.0)
    assert not ann.data.ledger.is_joined(lobby())


def test_fold_is_undone_with_a_failed_commit(net: FakeNet) -> None:
    """Members are as durable as the batches that they come from."""
    ann, bob = pair(net)
    ann.store.failing = "broken"
    bob.handle(Rename(name="Bobby"))
    net.run(0.5)
    assert ann.data.membership.book(lobby())[bob.peer].name == "bob"
    ann.store.failing = None
    net.run(5.0)
    assert ann.data.membership.book(lobby())[bob.peer].name == "Bobby"
    ann = net.restart(ann)
    assert ann.data.membership.book(lobby())[bob.peer].name == "Bobby"


def test_odd_events_are_stored_and_fold_to_nothing(net: FakeNet) -> None:
    """Hostile 29: unknown kinds, bodies that are no profile, bytes that are no event at all: kept, not applied."""
    ann, _bob = pair(net)
    eve = Stranger(net, ann)
    at = hlc_of(WALL_START_MS)
    good = encode_event(bytes(16), at, Kind.MEMBER, [int(MemberAction.JOIN)])
    events = [
        encode_event(bytes(16), at, 99, {"what": "is this"}),
        b"\x01",
        b"\x95\xc4\x10" + bytes(16) + b"\xcf" + bytes(8) + bytes([Kind.PROFILE]) + b"\x07\x90",
        encode_event(bytes(16), at, Kind.PROFILE, ["n" * 300]),
        encode_event(bytes(16), at, Kind.EDIT, ["somebody else's", "text"]),
        good,
        good,
    ]
    eve.push(eve.batch(events=events))
    net.run(0.5)
    member = ann.data.membership.book(lobby())[eve.peer]
    assert member.is_in and member.name is None
    assert ann.data.ledger.contiguous_end(lobby(), eve.key()) == len(events)


def test_rooms_are_bounded(net: FakeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """One room too many is refused with a word."""
    assert ROOMS_MAX == 4_096
    monkeypatch.setattr("zmqchat.protocol.membership.ROOMS_MAX", 2)
    ann = net.node("ann")
    for name in ("one", "two", "three"):
        ann.handle(JoinRoom(room=lobby(name), name=name))
    assert len(ann.data.ledger.joined_rooms()) == 2 and ann.of(Notice)
    assert ann.data.membership.may_join(lobby("one")) and not ann.data.membership.may_join(lobby("three"))
    ann.leave("one")
    assert ann.data.membership.is_leaving and not ann.data.membership.may_join(lobby("three"))
    net.run(0.1)
    assert not ann.data.membership.is_leaving and ann.data.membership.may_join(lobby("three"))


def test_peers_hear_of_joins_and_leaves(net: FakeNet) -> None:
    """INTEREST with all rooms on the link, and again with each change."""
    ann, _bob = pair(net)
    eve = Stranger(net, ann)
    assert [frame.rooms for frame in eve.frames(Interest)][:1] == [(lobby(),)]
    ann.join("other")
    net.run(0.1)
    assert eve.frames(Interest)[-1].rooms == tuple(sorted((lobby(), lobby("other"))))
    ann.leave("other")
    net.run(0.1)
    assert eve.frames(Interest)[-1].rooms == (lobby(),)


def test_damaged_rows_are_left_out(net: FakeNet) -> None:
    """A member row that can't be read is as if it were not there."""
    ann, _bob = pair(net)
    ann.store.tables["members"] = {b"short": b"", lobby() + ann.peer: b"?"}
    ann = net.restart(ann)
    assert ann.data.membership.book(lobby()).members() == []


@pytest.mark.parametrize("restarted", [False, True])
def test_a_later_join_may_ask_for_the_latest_first(net: FakeNet, restarted: bool) -> None:
    """Who joins the lobby again, latest first, means it; a plain join after that changes nothing."""
    ann = net.node("ann")
    ann.join()
    net.run(0.1)
    ann.join(latest_first=True)
    net.run(0.1)
    if restarted:
        ann = net.restart(ann)
    assert ann.data.ledger.rooms[lobby()].latest_first
    ann.join()
    assert ann.data.ledger.rooms[lobby()].latest_first
