"""Comparing what two nodes hold: when, how much is said, and who breaks the rules."""

from __future__ import annotations

import pytest

from tests.support.authors import Author, Stranger
from tests.support.fakelink import FakeNet, FakeNode, lobby
from zmqchat.model.ids import LogKey
from zmqchat.protocol.data_facts import ExchangeEnded
from zmqchat.protocol.facts import FrameReceived
from zmqchat.protocol.sync import LATE_FRAMES, LATE_FRAMES_MAX
from zmqchat.wire.frames import (
    Frontiers,
    LogState,
    RangeState,
    RoomHash,
    RoomHashes,
    Summary,
    decode,
    encode,
)


@pytest.fixture
def net() -> FakeNet:
    """A network of nobody."""
    return FakeNet()


def joined(net: FakeNet, name: str, *rooms: str) -> FakeNode:
    """A node in some rooms, the lobby if none is named."""
    node = net.node(name)
    for room in rooms or ("lobby",):
        node.join(room)
    net.run(0.1)
    return node


def listed(node: FakeNode) -> list[LogState]:
    """The logs that a node has listed in frontiers."""
    frames = [decode(payload) for _peer, payload in node.sent if payload[0] == 42]
    return [entry for frame in frames if isinstance(frame, Frontiers) for entry in frame.entries]


def count(node: FakeNode, byte: int) -> int:
    """How many frames of a type a node has sent."""
    return sum(payload[0] == byte for _peer, payload in node.sent)


def test_new_link_brings_both_to_the_same(net: FakeNet) -> None:
    """What either side lacks comes over, in all shared rooms and in no other."""
    ann, bob = joined(net, "ann", "lobby", "own"), joined(net, "bob", "lobby", "his")
    ann.say("from ann")
    ann.say("private", room="own")
    bob.say("from bob")
    net.run(0.1)
    net.link(ann, bob)
    net.run(1.0)
    assert ann.hash() == bob.hash()
    assert sorted(ann.texts()) == sorted(bob.texts()) == ["from ann", "from bob"]
    assert lobby("own") not in bob.data.ledger.rooms


def test_joining_a_room_brings_its_history(net: FakeNet) -> None:
    """The joiner asks at once whoever is there."""
    ann, bob = joined(net, "ann", "lobby", "news"), joined(net, "bob")
    ann.say("old news", room="news")
    net.link(ann, bob)
    net.run(1.0)
    bob.join("news")
    net.run(0.5)
    assert bob.texts("news") == ["old news"]


def test_equal_rooms_cost_two_frames_and_an_interest(net: FakeNet) -> None:
    """One hash over all rooms is enough where nothing differs: under 200 bytes in all."""
    ann, bob = joined(net, "ann"), joined(net, "bob")
    net.link(ann, bob)
    net.run(2.0)
    ann.sent.clear()
    bob.sent.clear()
    ann.data.sync.begin(bob.peer, ann.instant())
    ann.mesh.settle(ann.instant())
    ann._apply()
    net.run(0.1)
    assert [payload[0] for _peer, payload in ann.sent] == [22, 40] and [p[0] for _peer, p in bob.sent] == [40]
    assert sum(len(payload) for _peer, payload in [*ann.sent, *bob.sent]) <= 200


def test_only_logs_that_changed_are_listed_to_a_known_store(net: FakeNet) -> None:
    """Once a room was the same, the next comparison names what has changed since; a restart begins anew."""
    ann, bob = joined(net, "ann"), joined(net, "bob")
    Stranger(net, ann).push(*(Author().batch(log=log) for log in range(1, 31)))
    net.run(0.5)
    net.link(ann, bob)
    net.run(30.0)
    assert ann.hash() == bob.hash()
    net.unlink(ann, bob)
    ann.sent.clear()
    ann.say("new")
    net.run(0.1)
    net.link(ann, bob)
    net.run(1.0)
    assert [entry.author for entry in listed(ann)] == [ann.peer] and bob.texts()[-1] == "new"
    bob = net.restart(bob)
    ann.sent.clear()
    ann.say("newer")
    net.run(0.1)
    net.link(ann, bob)
    net.run(1.0)
    assert len(listed(ann)) > 30


def test_rounds_repair_what_nothing_else_does(net: FakeNet) -> None:
    """Every ten seconds a random peer is compared with, so that any lost frame is made good."""
    ann, bob = joined(net, "ann"), joined(net, "bob")
    net.link(ann, bob)
    net.run(2.0)
    net.lose = lambda _a, _b, payload, _feed: payload[0] in (32, 33)
    ann.say("hello")
    net.run(14.0)
    assert bob.texts() == ["hello"]


def test_both_sides_hear_what_is_held_of_rooms_that_are_equal(net: FakeNet) -> None:
    """What came by way of a third node counts as held once two compare, though another room differs."""
    ann, bob, eve = (joined(net, name, "lobby", "news") for name in ("ann", "bob", "eve"))
    net.link(ann, eve)
    net.run(1.0)
    ann.say("from ann")
    net.run(1.0)
    net.unlink(ann, eve)
    net.link(bob, eve)
    net.run(1.0)
    bob.say("from bob")
    net.run(1.0)
    net.unlink(bob, eve)
    net.link(ann, eve)
    net.run(1.0)
    net.unlink(ann, eve)
    bob.say("only bob has this", room="news")
    net.run(1.0)
    assert ann.hash() == bob.hash() and ann.hash("news") != bob.hash("news")
    net.link(ann, bob)
    net.run(0.05)
    for one, other in ((ann, bob), (bob, ann)):
        log = one.data.ledger.own_log
        held = one.data.receipts.state(lobby(), log, one.end(one) - 1).held
        assert other.peer in held, one.name


def test_what_is_said_during_a_comparison_does_not_count_as_held(net: FakeNet) -> None:
    """A room that was the same when its hash was taken says nothing of what was said since."""
    ann, bob = joined(net, "ann"), joined(net, "bob")
    net.link(ann, bob)
    net.run(2.0)
    net.latency_s = 0.2
    ann.data.sync.begin(bob.peer, ann.instant())
    ann.mesh.settle(ann.instant())
    ann._apply()
    net.lose = lambda _a, _b, payload, _feed: payload[0] in (32, 33)
    (said,) = ann.say("hello")
    net.run(0.45)
    assert bob.texts() == []
    assert ann.data.receipts.state(lobby(), said.log, said.number).held == ()


def test_lost_interest_is_made_good_by_a_round(net: FakeNet) -> None:
    """Frames sent before the other side knew of the link are lost; the next round repeats what matters."""
    ann, bob = joined(net, "ann"), joined(net, "bob")
    net.lose = lambda _a, _b, payload, _feed: payload[0] == 22
    net.link(ann, bob)
    net.run(1.0)
    assert not ann.data.interests.rooms_of(bob.peer)
    net.lose = lambda a, _b, payload, _feed: payload[0] == 22 and a is bob
    bob.join("other")
    net.run(1.0)
    net.lose = lambda _a, _b, _payload, _feed: False
    ann.join("third")
    net.run(1.0)
    bob.join("fourth")
    net.run(20.0)
    assert ann.hash() == bob.hash()


def test_a_few_exchanges_run_at_once(net: FakeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ten peers that do not answer, others wait; an exchange without progress is dropped."""
    ann = net.node("a")
    ann.join()
    net.run(0.1)
    strangers = [Stranger(net, ann, f"s{index}") for index in range(10)]
    for stranger in strangers:
        ann.data.sync.begin(stranger.peer, ann.instant())
    assert ann.data.sync.exchanges == 4
    net.run(2 * net.config.sync_idle_s + 30.0)
    asked = [stranger for stranger in strangers if stranger.frames(Summary)]
    assert len(asked) > 4
    ann.data.sync.begin(Author("nobody").peer, ann.instant())


def test_exchange_ends_with_its_link(net: FakeNet) -> None:
    """A lost peer takes its exchanges along, and the next one begins."""
    ann, bob = joined(net, "ann"), joined(net, "bob")
    net.lose = lambda _a, _b, payload, _feed: payload[0] in (40, 41)
    net.link(ann, bob)
    net.run(1.0)
    assert ann.data.sync.exchanges + bob.data.sync.exchanges == 1
    net.unlink(ann, bob)
    assert ann.data.sync.exchanges + bob.data.sync.exchanges == 0


def test_answers_that_nobody_asked_for_are_faults(net: FakeNet) -> None:
    """Hostile 32: made-up hashes and frontiers cost the peer and change nothing."""
    ann = joined(net, "ann")
    eve = Stranger(net, ann)
    eve.send(RoomHashes(exchange=77, entries=(), final=True))
    eve.send(Frontiers(exchange=77, room=lobby(), entries=(), final=True))
    eve.send(Summary(exchange=77, hash=bytes(16), reply=True))
    assert [fault.fault.reason for fault in ann.faults] == ["protocol", "protocol"]
    assert not ann.data.fetching.requests


def test_answers_that_come_late_over_a_slow_line_are_no_faults(net: FakeNet) -> None:
    """An exchange is given up while its answer is under way: so many frames cost nothing, and no more."""
    ann = joined(net, "ann")
    eve = Stranger(net, ann)
    net.run(2 * net.config.sync_idle_s + 2 * net.config.sync_interval_s)
    begun = [frame.exchange for frame in eve.frames(Summary)]
    assert begun and not ann.faults
    for _ in range(LATE_FRAMES_MAX):
        eve.send(RoomHashes(exchange=begun[0], entries=(), final=True))
    assert 0 < len(ann.faults) <= LATE_FRAMES_MAX - LATE_FRAMES


def test_endless_frontiers_end_the_patience(net: FakeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hostile 32: a summary of a million logs is cut off at a bound, and costs a lot."""
    monkeypatch.setattr("zmqchat.protocol.sync.EXCHANGE_LOGS_MAX", 10)
    ann = joined(net, "ann")
    eve = Stranger(net, ann)
    eve.send(Summary(exchange=8, hash=b"\x01" * 16, reply=False))
    entries = tuple(LogState(eve.peer, log, bytes(8), 0, ()) for log in range(6))
    for _ in range(3):
        eve.send(Frontiers(exchange=8, room=lobby(), entries=entries, final=False))
    assert [fault.fault.score for fault in ann.faults] == [-50, -50]


def test_hashes_of_foreign_rooms_are_passed_over(net: FakeNet) -> None:
    """Rooms that are not shared are not compared, whatever a peer lists."""
    ann = joined(net, "ann")
    eve = Stranger(net, ann)
    if not ann.data.sync.exchanges:
        # Only the smaller id begins by itself.
        ann.data.sync.begin(eve.peer, ann.instant())
        ann.mesh.settle(ann.instant())
        ann._apply()
    (summary,) = [frame for frame in eve.frames(Summary) if not frame.reply]
    hashes = (RoomHash(lobby("other"), bytes(16)), RoomHash(lobby(), ann.hash()))
    eve.send(RoomHashes(exchange=summary.exchange, entries=hashes[:1], final=False))
    eve.send(RoomHashes(exchange=summary.exchange, entries=hashes[1:], final=True))
    assert not eve.frames(Frontiers) and ann.data.sync.exchanges == 0


def test_summary_over_many_frames(net: FakeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rooms and logs beyond a frame go in further frames; the exchange comes to the same end."""
    monkeypatch.setattr("zmqchat.protocol.sync.SUMMARY_ENTRIES_MAX", 3)
    monkeypatch.setattr("zmqchat.protocol.sync.STORES_REMEMBERED_MAX", 1)
    rooms = [f"room {index}" for index in range(10)]
    ann, bob, cat = joined(net, "ann", *rooms), joined(net, "bob", *rooms), joined(net, "cat", *rooms)
    for index in range(8):
        Stranger(net, ann, "eve", [lobby(room) for room in rooms]).push(
            Author().batch(log=index + 1, room=lobby(rooms[0]))
        )
    net.run(0.5)
    net.link(ann, bob)
    net.link(ann, cat)
    net.run(2.0)
    assert count(bob, 41) + count(ann, 41) + count(cat, 41) >= 4
    for room in rooms:
        assert ann.hash(room) == bob.hash(room) == cat.hash(room)


def test_our_own_log_longer_elsewhere_is_noticed_in_an_exchange(net: FakeNet) -> None:
    """A frontier that goes beyond ours under our number makes us draw another before the next event."""
    ann = joined(net, "ann")
    eve = Stranger(net, ann)
    log = ann.data.ledger.own_log
    eve.send(Summary(exchange=8, hash=b"\x01" * 16, reply=False))
    held = RangeState(0, 50, b"\x02" * 32, bytes(32))
    far = LogState(eve.peer, 9, bytes(8), 0, (RangeState(5, 9, b"\x02" * 32, b"\x03" * 32),))
    eve.send(
        Frontiers(exchange=8, room=lobby(), entries=(LogState(ann.peer, log, bytes(8), 0, (held,)), far), final=True)
    )
    eve.send(Summary(exchange=8, hash=b"\x01" * 16, reply=True))
    assert ann.data.ledger.own_log != log


def test_room_left_in_the_middle_is_compared_no_more(net: FakeNet) -> None:
    """Frontiers of a room that we have just left are passed over."""
    ann = joined(net, "ann")
    eve = Stranger(net, ann)
    eve.send(Summary(exchange=8, hash=b"\x01" * 16, reply=False))
    ann.leave()
    net.run(0.1)
    state = LogState(eve.peer, 9, bytes(8), 0, (RangeState(0, 9, b"\x02" * 32, bytes(32)),))
    eve.send(Frontiers(exchange=8, room=lobby(), entries=(state,), final=True))
    net.run(1.0)
    assert not ann.data.fetching.requests


def test_interest_of_the_unlinked_is_not_noted(net: FakeNet) -> None:
    """A frame that comes after the link is gone changes nothing."""
    ann = joined(net, "ann")
    nobody = Author("nobody")
    ann.data.interests.frames[type(decode(ann.data.interests.frames_told()[0]))](
        nobody.peer, decode(ann.data.interests.frames_told()[0]), ann.instant()
    )
    assert not ann.data.interests.is_linked(nobody.peer) and ann.data.interests.linked() == []
    ann.handle(
        FrameReceived(peer=nobody.peer, payload=encode(Summary(exchange=1, hash=bytes(16), reply=False)), inbound=True)
    )
    ann.handle(ExchangeEnded(peer=nobody.peer, rooms=(), equal=()))
    assert LogKey(nobody.peer, 1) not in ann.data.ledger.rooms[lobby()].frontier


def test_room_that_only_one_thinks_is_shared_counts_as_compared_by_nobody(net: FakeNet) -> None:
    """Where the two differ about which rooms are shared, neither takes the other room for the same."""
    ann, bob = joined(net, "ann", "lobby", "other"), joined(net, "bob", "lobby", "other")
    net.link(ann, bob)
    net.run(1.0)
    # Bob has heard that ann left, ann has not heard it of herself: a frame was lost.
    bob.data.interests._rooms[ann.peer] = frozenset({lobby()})
    (said,) = ann.say("hello", room="other")
    net.lose = lambda _a, _b, payload, _feed: payload[0] in (22, 32, 33)
    net.run(0.1)
    ann.data.sync.begin(bob.peer, ann.instant())
    ann.mesh.settle(ann.instant())
    ann._apply()
    net.run(1.0)
    assert bob.peer not in ann.data.receipts.state(lobby("other"), said.log, said.number).held
    assert ann.data.sync.exchanges == 0
