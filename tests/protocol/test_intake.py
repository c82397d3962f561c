"""Batches that come in: honest ones, hostile ones, and those for which there is no place."""

from __future__ import annotations

import msgpack
import pytest

from tests.support.authors import Author, Stranger
from tests.support.fakelink import WALL_START_MS, FakeNet, FakeNode, lobby, peer_of
from zmqchat.history.batch import BATCH_SIGNATURE_LABEL, SIGNATURE_SCORE
from zmqchat.history.clock import hlc_of
from zmqchat.model.ids import LogKey
from zmqchat.model.limits import (
    BATCH_EVENTS_MAX,
    BRANCHES_MAX,
    EVENT_BYTES_MAX,
    FAR_BATCHES_MAX,
    LOGS_PER_AUTHOR_MAX,
    NUMBER_MAX,
)
from zmqchat.protocol.data_effects import LogDenied, LogForked
from zmqchat.protocol.data_facts import BatchReceived
from zmqchat.wire.batches import BATCH_LABEL, HEADER, unpack_batch
from zmqchat.wire.events import encode_event
from zmqchat.wire.frames import Denied, Have, HaveEntry, Page, Push, Summary, Want, encode


@pytest.fixture
def net() -> FakeNet:
    """A network of nobody."""
    return FakeNet()


def joined(net: FakeNet, name: str = "ann") -> FakeNode:
    """A node in the lobby."""
    node = net.node(name)
    node.join()
    net.run(0.1)
    return node


def reasons(node: FakeNode) -> list[str]:
    """Why peers were blamed."""
    return [fault.fault.reason for fault in node.faults]


def test_pushed_batch_is_durable_before_it_is_delivered_or_acknowledged(net: FakeNet) -> None:
    """Nothing is told of a batch while its commit is under way."""
    ann = joined(net)
    eve = Stranger(net, ann)
    ann.store.delay_s = 1.0
    eve.push(eve.batch(("hello",)))
    net.run(0.9)
    assert not ann.texts() and not eve.frames(Have)
    net.run(0.2)
    assert ann.texts() == ["hello"]
    (have,) = eve.frames(Have)
    assert [(entry.author, entry.end) for entry in have.entries] == [(eve.peer, 1)]


def test_the_same_batch_again_is_verified_and_stored_once(net: FakeNet) -> None:
    """A batch comes by feed, by push and in pages; one row and one delivery come of it."""
    ann = joined(net)
    eve, bob = Stranger(net, ann), Stranger(net, ann, "bob")
    batch = eve.batch(("hello",))
    eve.push(batch)
    bob.push(batch)
    net.run(0.1)
    eve.frames(Have)
    eve.push(batch)
    net.run(0.1)
    assert ann.texts() == ["hello"]
    assert eve.frames(Have) and bob.frames(Have)


def test_batch_of_a_foreign_room_is_not_stored(net: FakeNet) -> None:
    """Who pushes what we did not ask to hear is not listened to, and not blamed either."""
    ann = joined(net)
    eve = Stranger(net, ann)
    eve.push(eve.batch(room=lobby("other")))
    net.run(0.1)
    assert lobby("other") not in ann.data.ledger.rooms and not ann.faults


def test_events_packed_otherwise_are_kept_byte_for_byte(net: FakeNet) -> None:
    """Hostile 21: what the signature covers may be packed in any way, is relayed as it came, and has one digest."""
    ann, bob = joined(net), joined(net, "bob")
    eve = Stranger(net, ann)
    short = encode_event(bytes(16), hlc_of(WALL_START_MS), 1, "hello")
    wide = b"\xdc\x00\x05" + short[1:]
    batch = eve.batch(events=[wide])
    eve.push(batch)
    net.run(0.1)
    net.link(ann, bob)
    net.run(2.0)
    rows = bob.store.batches[(lobby(), eve.key())]
    assert [row.raw for row in rows.values()] == [batch.raw] and wide in batch.raw
    assert bob.hash() == ann.hash() and bob.texts() == ["hello"]


def test_batch_that_a_relay_packed_otherwise_is_refused(net: FakeNet) -> None:
    """What no signature covers has one form, so the store finds the header where it looks."""
    ann = joined(net)
    eve = Stranger(net, ann)
    parts = unpack_batch(eve.batch(("hello",)).raw)
    assert isinstance(parts, tuple)
    header, events, signature = parts
    wide = b"\xdc\x00\x03" + b"".join(
        (b"\xc5\x00\x7c", header, msgpack.packb(events), b"\xc6\x00\x00\x00\x40", signature)
    )
    ann.handle(BatchReceived(peer=eve.peer, raw=wide, pushed=True))
    net.run(0.1)
    assert not ann.texts() and reasons(ann) == ["malformed"]


def test_wrong_signature_is_not_stored_and_costs_the_sender(net: FakeNet) -> None:
    """Hostile 22: whoever sends it is blamed, author or relayer, as an honest relayer verifies first."""
    ann = joined(net)
    eve, bob = Stranger(net, ann), Stranger(net, ann, "bob")
    batch = eve.batch()
    forged = batch.raw[:-1] + bytes((batch.raw[-1] ^ 1,))
    bob.send(Push(batch=forged))
    net.run(0.1)
    assert reasons(ann) == ["signature"] and ann.faults[0].fault.score == SIGNATURE_SCORE
    assert ann.faults[0].peer == bob.peer
    assert (lobby(), eve.key()) not in ann.store.batches
    eve.push(batch)
    net.run(0.1)
    assert ann.texts() == ["x"]


def test_wrong_previous_makes_a_branch_of_its_own(net: FakeNet) -> None:
    """Hostile 23: signed but not joined to what goes before: kept, as a fork, and nobody is blamed."""
    ann = joined(net)
    eve = Stranger(net, ann)
    base = eve.batch(("base",))
    eve.push(base, eve.batch(("lost",), first=1, previous=b"\x09" * 32))
    net.run(0.1)
    assert sorted(ann.texts()) == ["base", "lost"] and not ann.faults
    assert len(ann.data.ledger.rooms[lobby()].frontier.branches(eve.peer, 1)) == 2
    assert len(ann.of(LogForked)) == 1


@pytest.mark.parametrize("latest_first", [False, True])
def test_two_histories_under_one_number_are_both_kept_everywhere(net: FakeNet, latest_first: bool) -> None:
    """Hostile 24: whatever came first where, all nodes end with both branches."""
    ann, bob = joined(net), net.node("bob")
    bob.join(latest_first=latest_first)
    net.run(0.1)
    author = Author()
    base = author.chain(3)
    one, other = author.batch(("one",), after=base[-1]), author.batch(("other",), after=base[-1])
    longer = author.batch(("and on",), after=other)
    for node, batches in ((ann, [*base, one]), (bob, [*base, other, longer])):
        Stranger(net, node).push(*batches)
        net.run(0.2)
    net.link(ann, bob)
    net.run(5.0)
    assert ann.hash() == bob.hash()
    assert sorted(ann.texts()) == sorted(bob.texts()) == sorted(["0", "1", "2", "one", "other", "and on"])
    assert ann.of(LogForked) and bob.of(LogForked)


def test_fork_inside_what_is_held_is_told_by_the_stored_rows(net: FakeNet) -> None:
    """A batch whose numbers lie inside a range is compared with the rows: a copy is dropped, a fork kept."""
    ann = joined(net)
    eve = Stranger(net, ann)
    chain = eve.chain(80)
    eve.push(*chain)
    net.run(1.0)
    eve.push(eve.batch(("fork",), after=chain[39]))
    bob = Stranger(net, ann, "bob")
    # Its signature is long forgotten here: only the row says that it is the same batch.
    ann.data.intake._seen.clear()
    bob.push(chain[10])
    net.run(1.0)
    assert ann.texts().count("10") == 1 and ann.texts().count("fork") == 1
    assert len(ann.data.ledger.rooms[lobby()].frontier.branches(eve.peer, 1)) == 3
    assert bob.frames(Have)


def test_a_fork_that_no_row_can_confirm_is_left_out(net: FakeNet) -> None:
    """Where the stored row can't be read, nothing is guessed and nothing is changed."""
    ann = joined(net)
    eve = Stranger(net, ann)
    chain = eve.chain(20)
    eve.push(*chain)
    net.run(1.0)
    before = ann.hash()
    ann.store.batches.clear()
    eve.push(eve.batch(("fork",), after=chain[9]))
    net.run(1.0)
    assert ann.hash() == before


def test_branches_beyond_the_bound_are_not_stored(net: FakeNet) -> None:
    """An author who forks his log a dozen times fills nobody's disk."""
    ann = joined(net)
    eve = Stranger(net, ann)
    base = eve.batch(("base",))
    eve.push(base)
    for number in range(12):
        eve.push(eve.batch((f"{number}",), after=base))
        net.run(0.1)
    branches = ann.data.ledger.rooms[lobby()].frontier.branches(eve.peer, 1)
    assert len(branches) == BRANCHES_MAX + 1


@pytest.mark.parametrize("first", [NUMBER_MAX, 2**63, 2**64 - 1])
def test_numbers_beyond_the_bound_are_refused(net: FakeNet, first: int) -> None:
    """Hostile 25: first numbers at 2^53 and above cost the sender, and nothing is stored."""
    ann = joined(net)
    eve = Stranger(net, ann)
    events = [encode_event(bytes(16), hlc_of(WALL_START_MS), 1, "x")]
    header = HEADER.pack(BATCH_LABEL, 1, lobby(), eve.peer, 1, first, 1, b"\x01" * 32, hlc_of(WALL_START_MS) + 1)
    digest = eve.crypto.batch_digest(header, eve.crypto.event_digests(events))
    raw = msgpack.packb([header, events, eve.crypto.sign(BATCH_SIGNATURE_LABEL, digest)])
    eve.send(Push(batch=raw))
    net.run(0.1)
    assert reasons(ann) == ["limit"]
    assert eve.peer not in {key.author for _room, key in ann.store.batches}


def test_far_batches_wait_in_a_bounded_buffer_and_fit_later(net: FakeNet) -> None:
    """Hostile 25: a range of its own while there is one, then a place in the buffer, the oldest guess dropped."""
    ann = joined(net)
    eve = Stranger(net, ann)
    chain = eve.chain(2 * FAR_BATCHES_MAX + 40)
    odd = chain[1::2]
    eve.push(*odd)
    net.run(1.0)
    assert ann.data.intake.far_batches(eve.peer) == FAR_BATCHES_MAX
    eve.push(*chain[0::2])
    net.run(1.0)
    assert ann.data.intake.far_batches(eve.peer) <= FAR_BATCHES_MAX
    held = ann.data.ledger.rooms[lobby()].frontier[eve.key()].held()
    assert held[0][0] == 0 and held[0][1] > 10


def test_page_with_a_far_batch_is_settled_at_once(net: FakeNet) -> None:
    """What waits without an end in the far buffer holds up no request, whoever brings it again."""
    ann = joined(net)
    eve, bob = Stranger(net, ann), Stranger(net, ann, "bob")
    chain = eve.chain(40)
    eve.push(*chain[1::2])
    net.run(0.5)
    assert ann.data.intake.far_batches(eve.peer)
    for peer in (eve, bob):
        end = chain[-1].end
        peer.send(Have(room=lobby(), holder=peer.peer, entries=(HaveEntry(eve.peer, 1, bytes(8), end),)))
        net.run(0.1)
        far = tuple(batch.raw for batch in chain[-3::2])
        while wants := peer.frames(Want):
            for want in wants:
                peer.send(Page(request=want.request, batches=far, done=True))
            net.run(0.1)
    assert ann.data.fetching.requests == 0 and not ann.faults


def test_store_that_can_not_be_read_tells_no_fork(net: FakeNet) -> None:
    """What only the rows could tell is given up unacknowledged, and taken when it comes again."""
    ann = joined(net)
    eve = Stranger(net, ann)
    chain = eve.chain(20)
    eve.push(*chain)
    net.run(1.0)
    fork = eve.batch(("fork",), after=chain[9])
    for unreadable in (True, False):
        ann.store.unreadable = unreadable
        eve.push(fork)
        net.run(1.0)
        assert bool(ann.texts().count("fork")) is not unreadable


def test_far_buffer_goes_with_its_peer(net: FakeNet) -> None:
    """What waits for a place is given up when the link is lost."""
    ann, bob = joined(net), joined(net, "bob")
    author = Author()
    net.link(ann, bob)
    net.run(0.5)
    for batch in author.chain(60)[1::2]:
        ann.handle(BatchReceived(peer=bob.peer, raw=batch.raw, pushed=True))
    net.run(0.5)
    assert ann.data.intake.far_batches(bob.peer)
    net.unlink(ann, bob)
    assert not ann.data.intake.far_batches(bob.peer)


def test_empty_overlong_and_oversized_batches_are_refused(net: FakeNet) -> None:
    """Hostile 26: no event, too many events, an event too long: refused, and the author's log does not move."""
    ann = joined(net)
    eve = Stranger(net, ann)
    tiny = encode_event(bytes(16), hlc_of(WALL_START_MS), 1, "x")
    large = encode_event(bytes(16), hlc_of(WALL_START_MS), 1, "x" * (EVENT_BYTES_MAX + 1))
    for events in ([], [tiny] * (BATCH_EVENTS_MAX + 1), [large]):
        eve.push(eve.batch(events=events))
        net.run(0.1)
    assert len(ann.faults) == 3 and set(reasons(ann)) <= {"limit", "malformed"}
    assert ann.data.ledger.frontier(lobby(), eve.key()) is None


@pytest.mark.parametrize("ahead_ms", [8 * 24 * 3_600_000, 100 * 365 * 24 * 3_600_000, -WALL_START_MS + 1])
def test_wrong_clocks_are_stored_and_do_not_move_ours(net: FakeNet, ahead_ms: int) -> None:
    """Hostile 27: a batch from the far future or from 1970 is stored; our own clock stays where it is."""
    ann = joined(net)
    eve = Stranger(net, ann)
    at = hlc_of(WALL_START_MS + ahead_ms)
    eve.push(eve.batch(("when?",), sealed_at=at, events=[encode_event(bytes(16), at, 1, "when?")]))
    net.run(0.1)
    assert ann.texts() == ["when?"]
    assert ann.data.clock.ahead_ms(ann.instant().wall_ms) <= 60_000


def test_clock_that_falls_along_a_log_does_not_go_on_from_it(net: FakeNet) -> None:
    """Hostile 27: a batch sealed before its predecessor stands apart, as a fork does, on every node."""
    ann = joined(net)
    eve = Stranger(net, ann)
    base = eve.batch(("base",))
    early = base.sealed_at - 5
    late = eve.batch(sealed_at=early, after=base, events=[encode_event(bytes(16), early, 1, "early")])
    eve.push(base, late)
    net.run(0.1)
    assert ann.data.ledger.contiguous_end(lobby(), eve.key()) == base.end


def test_after_that_names_nobody_or_itself_changes_nothing(net: FakeNet) -> None:
    """Hostile 28: the context of an event is kept as it is, and orders nothing."""
    ann = joined(net)
    eve = Stranger(net, ann)
    at = hlc_of(WALL_START_MS)
    heads = [(eve.peer, 1, 1), (peer_of("nobody"), 77, 2**50), (eve.peer, 1, 0)]
    eve.push(eve.batch(events=[encode_event(bytes(16), at, 1, "hello", heads)]))
    net.run(0.1)
    assert ann.texts() == ["hello"] and not ann.faults


def test_one_log_too_many_is_denied_to_sender_and_author(net: FakeNet) -> None:
    """The 257th log of an author is refused with a reason that he sees, without blame, and told once."""
    ann, bob = joined(net), joined(net, "bob")
    eve = Stranger(net, ann)
    net.link(ann, bob)
    net.run(0.5)
    for log in range(1, LOGS_PER_AUTHOR_MAX + 1):
        eve.push(Author().batch(log=log))
    net.run(1.0)
    for again in range(2):
        eve.push(Author().batch((f"{again}",), log=9_999))
        net.run(0.1)
    denied = eve.frames(Denied)
    assert [(frame.author, frame.log) for frame in denied] == [(eve.peer, 9_999)]
    assert not ann.faults
    relayed = Author().batch(("by bob",), log=9_998)
    ann.handle(BatchReceived(peer=bob.peer, raw=relayed.raw, pushed=True))
    net.run(0.1)
    assert [frame.log for frame in eve.frames(Denied)] == [9_998]


def test_denied_log_of_ours_is_shown_and_others_are_passed_on(net: FakeNet) -> None:
    """Who is refused learns it, by one hop more if need be; it goes no further."""
    ann = joined(net)
    eve, bob = Stranger(net, ann), Stranger(net, ann, "bob")
    eve.send(Denied(room=lobby(), author=ann.peer, log=7, reason="too many"))
    assert [(effect.log, effect.peer, effect.reason) for effect in ann.of(LogDenied)] == [(7, eve.peer, "too many")]
    eve.send(Denied(room=lobby(), author=bob.peer, log=8, reason="too many"))
    eve.send(Denied(room=lobby(), author=eve.peer, log=8, reason="too many"))
    eve.send(Denied(room=lobby(), author=peer_of("nobody"), log=8, reason="too many"))
    assert [frame.log for frame in bob.frames(Denied)] == [8] and not eve.frames(Denied)


def test_nothing_of_a_failed_commit_is_delivered_and_it_can_come_again(net: FakeNet) -> None:
    """A full disk loses a pushed batch here and now; sent again it is stored."""
    ann = joined(net)
    eve = Stranger(net, ann)
    ann.store.failing = "full"
    batch = eve.batch(("hello",))
    eve.push(batch)
    net.run(0.1)
    assert not ann.texts() and not eve.frames(Have)
    ann.store.failing = None
    eve.push(batch)
    net.run(0.1)
    assert ann.texts() == ["hello"] and eve.frames(Have)


def test_pushes_beyond_what_may_wait_are_dropped(net: FakeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that stands still bounds what is kept in memory for it."""
    monkeypatch.setattr("zmqchat.protocol.intake.QUEUE_BYTES_MAX", 2_000)
    monkeypatch.setattr("zmqchat.protocol.intake.SEEN_MAX", 4)
    ann = joined(net)
    eve = Stranger(net, ann)
    ann.store.delay_s = 10.0
    chain = eve.chain(30)
    eve.push(*chain)
    assert ann.data.intake.waiting_bytes <= 2_000
    ann.store.delay_s = 0.001
    net.run(11.0)
    assert 1 <= len(ann.texts()) < 30


def test_bytes_that_are_no_batch_are_a_fault(net: FakeNet) -> None:
    """A push of rubbish costs the sender; a batch of a newer version costs nothing."""
    ann = joined(net)
    eve = Stranger(net, ann)
    eve.send(Push(batch=b""))
    eve.send(Push(batch=b"\xc1" * 300))
    newer = bytearray(eve.batch().raw)
    newer[3 + 15] = 2
    eve.send(Push(batch=bytes(newer)))
    assert [fault.fault.score < 0 for fault in ann.faults] == [True, True, False]


def test_refused_page_settles_its_request(net: FakeNet) -> None:
    """A forged batch in a page ends the request; the peer is not asked for it in a loop."""
    ann = joined(net)
    eve = Stranger(net, ann)
    eve.send(Have(room=lobby(), holder=eve.peer, entries=((eve.peer, 1, bytes(8), 1),)))  # type: ignore[arg-type]  # packs alike
    net.run(0.1)
    (want,) = eve.frames(Want)
    forged = eve.batch().raw[:-1] + b"\x00"
    eve.send(Page(request=want.request, batches=(forged,), done=True))
    net.run(5.0)
    assert reasons(ann) == ["signature"] and not eve.frames(Want)
    assert ann.data.fetching.requests == 0
    assert encode(Summary(exchange=1, hash=bytes(16), reply=True))


def test_lookups_beyond_the_bound_are_given_up(net: FakeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who makes us look at stored rows all the time is left to come again."""
    monkeypatch.setattr("zmqchat.protocol.intake.LOOKING_MAX", 0)
    ann = joined(net)
    eve = Stranger(net, ann)
    chain = eve.chain(20)
    eve.push(*chain)
    net.run(0.5)
    eve.push(eve.batch(("fork",), after=chain[9]))
    net.run(0.5)
    assert "fork" not in ann.texts()


def test_own_log_elsewhere_is_never_written_under_again(net: FakeNet) -> None:
    """A batch with our signature under our number that we don't hold makes us draw another number first."""
    ann = joined(net)
    eve = Stranger(net, ann)
    old = ann.data.ledger.own_log
    twin = Author("ann")
    ahead = twin.batch(("from the other life",), log=old, first=7)
    eve.push(ahead)
    assert ann.data.ledger.own_log != old
    (said,) = ann.say("hello")
    net.run(0.5)
    assert said.log == ann.data.ledger.own_log
    assert sorted(ann.texts()) == ["hello"]
    key = LogKey(ann.peer, old)
    assert ann.data.ledger.rooms[lobby()].frontier[key].end == 8
