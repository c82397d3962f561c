"""Batches: sealed, opened, refused for every rule they break, and filled up to their limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zmqchat.crypto.twin import TwinCrypto
from zmqchat.history import batch as batch_module
from zmqchat.history.batch import (
    BATCH_SIGNATURE_LABEL,
    NO_DIGEST,
    Batch,
    BatchHeader,
    Draft,
    event_cost_bytes,
    open_batch,
    open_stored,
    peek,
    seal,
)
from zmqchat.model.faults import SCORE_FLOOR, Fault
from zmqchat.model.ids import PeerId, RoomId
from zmqchat.model.limits import BATCH_BYTES_MAX, BATCH_EVENTS_MAX, EVENT_BYTES_MAX, FRAME_BYTES_MAX, NUMBER_MAX
from zmqchat.wire.batches import BATCH_LABEL, BATCH_VERSION, HEADER, pack_batch
from zmqchat.wire.events import encode_event

ME = PeerId(b"\x07" * 32)
ROOM = RoomId(b"r" * 16)
CRYPTO = TwinCrypto(ME)
SALT = bytes(16)
DELETED = b"\x91\xc4\x20"


def sealed(events: list[bytes], first: int = 0, previous: bytes = NO_DIGEST, sealed_at: int = 1000) -> Batch:
    """A batch of ours."""
    digests = CRYPTO.event_digests(events)
    return seal(
        room=ROOM,
        log=3,
        first=first,
        previous=previous,
        sealed_at=sealed_at,
        events=events,
        digests=digests,
        crypto=CRYPTO,
    )


def text(body: str, hlc: int = 5) -> bytes:
    """A packed text."""
    return encode_event(SALT, hlc, 1, body)


@dataclasses.dataclass
class Forged:
    """What a hostile author signs: any header, any events."""

    label: bytes = BATCH_LABEL
    version: int = BATCH_VERSION
    room: bytes = ROOM
    author: bytes = ME
    log: int = 3
    first: int = 0
    count: int = 1
    previous: bytes = NO_DIGEST
    sealed_at: int = 1000

    def raw(self, events: list[bytes]) -> bytes:
        """The batch, correctly signed by its author."""
        header = HEADER.pack(*dataclasses.astuple(self))
        crypto = TwinCrypto(PeerId(self.author))
        digest = crypto.batch_digest(header, crypto.event_digests(events))
        return pack_batch(header, events, crypto.sign(BATCH_SIGNATURE_LABEL, digest))


@given(bodies=st.lists(st.text(max_size=20), min_size=1, max_size=20), first=st.sampled_from([0, 1, 10**6]))
def test_what_is_sealed_opens_alike(bodies: list[str], first: int) -> None:
    """Sealer, receiver and reader of the store see the same batch."""
    events = [text(body) for body in bodies]
    mine = sealed(events, first, b"p" * 32 if first else NO_DIGEST)
    for other in (open_batch(mine.raw, CRYPTO), open_stored(mine.raw, CRYPTO)):
        assert isinstance(other, Batch)
        assert {n: getattr(other, n) for n in Batch.__slots__} == {n: getattr(mine, n) for n in Batch.__slots__}
        assert other.count == len(events) and other.end == first + len(events)
        assert other.event_digest8(0) == CRYPTO.event_digest(events[0])[:8]
    header = peek(mine.raw)
    assert header == BatchHeader(ROOM, ME, 3, first, mine.end, mine.previous, 1000)
    assert "Batch" in repr(mine)


@settings(max_examples=200)
@given(raw=st.binary(max_size=300), cut=st.integers(0, 300))
def test_any_bytes_are_a_batch_or_a_fault(raw: bytes, cut: int) -> None:
    """Garbage, and a batch cut short anywhere, never raise."""
    for data in (raw, sealed([text("hello")]).raw[:cut]):
        for opened in (peek(data), open_batch(data, CRYPTO), open_stored(data, CRYPTO)):
            assert isinstance(opened, Fault | Batch | BatchHeader)


@pytest.mark.parametrize("at", range(0, 240, 7))
def test_a_changed_byte_is_noticed(at: int) -> None:
    """Whatever of a batch is changed, it is no longer what its author signed."""
    raw = bytearray(sealed([text("hello")]).raw)
    raw[at % len(raw)] ^= 1
    assert isinstance(open_batch(bytes(raw), CRYPTO), Fault)


@pytest.mark.parametrize(
    ("forged", "reason"),
    [
        (Forged(label=b"zmqchat-other-1"), "malformed"),
        (Forged(count=2), "malformed"),
        (Forged(count=0), "limit"),
        (Forged(count=2**32 - 1), "limit"),
        (Forged(first=NUMBER_MAX, previous=b"p" * 32), "limit"),
        (Forged(first=2**63, previous=b"p" * 32), "limit"),
        (Forged(first=2**64 - 1, previous=b"p" * 32), "limit"),
        (Forged(log=2**64 - 1), "limit"),
        (Forged(author=bytes(31) + b"\x80"), "identity"),
        (Forged(first=1), "malformed"),
        (Forged(previous=b"p" * 32), "malformed"),
        (Forged(sealed_at=4), "clock"),
    ],
)
def test_a_signed_batch_that_breaks_a_rule_is_refused(forged: Forged, reason: str) -> None:
    """Hostile 25 to 27: a right signature excuses nothing."""
    opened = open_batch(forged.raw([text("hello")]), CRYPTO)
    assert isinstance(opened, Fault)
    assert opened.reason == reason and opened.score < 0


def test_the_plain_forged_batch_opens() -> None:
    """The forger of these tests makes good batches too, else they would show nothing."""
    assert isinstance(open_batch(Forged().raw([text("hello")]), CRYPTO), Batch)
    assert isinstance(open_batch(Forged(sealed_at=2**64 - 1).raw([text("hello")]), CRYPTO), Batch)
    assert isinstance(open_batch(Forged(first=NUMBER_MAX - 1, previous=b"p" * 32).raw([text("x")]), CRYPTO), Batch)


def test_a_newer_version_is_nobodys_fault() -> None:
    """A batch of an unknown version is not stored and not punished."""
    for look in (peek, lambda raw: open_batch(raw, CRYPTO)):
        fault = look(Forged(version=2).raw([text("hello")]))
        assert isinstance(fault, Fault)
        assert (fault.reason, fault.score) == ("version", 0)


def test_a_wrong_signature_costs_much() -> None:
    """Hostile 22: three reach the floor, two do not."""
    raw = sealed([text("hello")]).raw
    fault = open_batch(raw[:-1] + bytes([raw[-1] ^ 1]), CRYPTO)
    assert isinstance(fault, Fault)
    assert fault.reason == "signature"
    assert 3 * fault.score <= SCORE_FLOOR < 2 * fault.score


def test_no_events_and_too_many_are_refused() -> None:
    """Hostile 26: none, and more than the limit, whatever the header says."""
    for events in ([], [text("x")] * (BATCH_EVENTS_MAX + 1)):
        assert isinstance(open_batch(Forged(count=len(events)).raw(events), CRYPTO), Fault)
    events = [text("x")] * BATCH_EVENTS_MAX
    assert isinstance(open_batch(Forged(count=len(events)).raw(events), CRYPTO), Batch)


def test_the_size_limits_are_exact() -> None:
    """An event and a batch of the limit are taken; a byte more is refused."""
    room_left = BATCH_BYTES_MAX - HEADER.size
    largest = opaque(EVENT_BYTES_MAX)
    rest = room_left - 3 * event_cost_bytes(largest)
    fitting = [largest] * 3 + [opaque(rest - 5)]
    assert isinstance(open_batch(Forged(count=4).raw(fitting), CRYPTO), Batch)
    over = [*fitting[:3], opaque(rest - 4)]
    for events in (over, [opaque(EVENT_BYTES_MAX + 1)]):
        fault = open_batch(Forged(count=len(events)).raw(events), CRYPTO)
        assert isinstance(fault, Fault)
        assert fault.reason == "limit"
    assert len(Forged(count=4).raw(fitting)) <= FRAME_BYTES_MAX


def opaque(size: int) -> bytes:
    """An event of an unknown kind and exactly this size."""
    shell = len(encode_event(SALT, 5, 99, bytes(1000)))
    event = encode_event(SALT, 5, 99, bytes(1000 + size - shell))
    return event if len(event) == size else encode_event(SALT, 5, 99, bytes(1000 + 2 * size - shell - len(event)))


def test_the_first_and_last_event_must_be_readable_and_in_time() -> None:
    """What lies between stays opaque; both ends are looked at."""
    good, late, garbage = text("ok"), text("late", hlc=1001), b"\xc1"
    assert isinstance(open_batch(Forged(count=3).raw([good, garbage, good]), CRYPTO), Batch)
    for events in ([late, good], [good, late], [garbage, good], [good, garbage]):
        assert isinstance(open_batch(Forged(count=2).raw(events), CRYPTO), Fault)


def test_deleting_bodies_changes_no_digest() -> None:
    """The digest in a body's place verifies as the body did, wherever it stands."""
    events = [text("one"), text("two"), text("three")]
    whole = sealed(events)
    header = HEADER.pack(BATCH_LABEL, BATCH_VERSION, ROOM, ME, 3, 0, 3, NO_DIGEST, 1000)
    for gone in range(3):
        left = [DELETED + CRYPTO.event_digest(e) if i == gone else e for i, e in enumerate(events)]
        opened = open_batch(pack_batch(header, left, whole.signature), CRYPTO)
        assert isinstance(opened, Batch)
        assert opened.digest == whole.digest and list(opened.digests) == list(whole.digests)


def test_events_packed_otherwise_are_taken_as_they_came() -> None:
    """Hostile 21: the digest is over the author's bytes, so longer encodings of an event stay what they are."""
    short = text("hello")
    longer = b"\xdc\x00\x05" + short[1:]
    opened = open_batch(Forged().raw([longer]), CRYPTO)
    assert isinstance(opened, Batch)
    assert opened.events == [longer] and opened.digests == CRYPTO.event_digests([longer])


def test_a_relay_cannot_pack_a_batch_otherwise() -> None:
    """What no signature covers has one form: else the same batch would be kept in several."""
    mine = sealed([text("hello")])
    header = mine.raw[3 : 3 + HEADER.size]
    events, signature = msgpack.packb(list(mine.events)), msgpack.packb(mine.signature)
    assert b"\x93\xc4" + bytes([HEADER.size]) + header + events + signature == mine.raw
    for longer in (
        b"\xdd\x00\x00\x00\x03\xc4" + bytes([HEADER.size]) + header + events + signature,
        b"\x93\xc6\x00\x00\x00" + bytes([HEADER.size]) + header + events + signature,
        b"\x93\xc4" + bytes([HEADER.size]) + header + b"\xdc\x00\x01" + events[1:] + signature,
        b"\x93\xc4" + bytes([HEADER.size]) + header + events + b"\xc5\x00" + signature[1:],
    ):
        assert isinstance(open_batch(longer, CRYPTO), Fault)


@given(sizes=st.lists(st.one_of(st.integers(30, 100), st.integers(10_000, EVENT_BYTES_MAX)), max_size=1100))
@settings(max_examples=20)
def test_a_draft_takes_what_a_batch_may_hold(sizes: list[int]) -> None:
    """Whatever was posted, each draft seals to a batch that opens, and nothing is left out or reordered."""
    posted = [opaque(max(size, 50)) for size in sizes]
    drafts = [Draft()]
    for event in posted:
        digest = CRYPTO.event_digest(event)
        if not drafts[-1].add(event, digest):
            drafts.append(Draft())
            assert drafts[-1].add(event, digest)
    assert [event for draft in drafts for event in draft.events] == posted
    for draft in drafts:
        if draft.events:
            assert isinstance(open_batch(sealed(draft.events).raw, CRYPTO), Batch)


def test_crypto_sees_only_what_may_be_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that breaks a limit is refused before anything is hashed or verified."""

    def no_hashing(*_: object) -> list[bytes]:
        raise AssertionError("hashed too early")

    monkeypatch.setattr(batch_module, "_event_digests", no_hashing)
    checks: list[Callable[[], object]] = [
        lambda: open_batch(Forged(count=2).raw([text("x")]), CRYPTO),
        lambda: open_batch(Forged(sealed_at=1).raw([text("x")]), CRYPTO),
        lambda: open_batch(Forged().raw([opaque(EVENT_BYTES_MAX + 1)]), CRYPTO),
    ]
    assert all(isinstance(check(), Fault) for check in checks)
