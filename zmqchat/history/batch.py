"""Batches: a contiguous run of events of one log, signed once, kept and relayed byte for byte.

    raw     = [ header, events[], signature ]            packed by zmqchat.wire.batches
    header  = label, version, room, author, log, first, count, previous, sealed_at; fixed width
    digest  = over the header and the digests of the events
    signature over (BATCH_SIGNATURE_LABEL, digest)

An event whose body was deleted is its digest alone ([digest 32 B], 35 bytes): the batch still verifies.

`open_batch` is for what comes from the network, `open_stored` for what this node verified before.
Only the first and the last event are decoded here (their clocks must not pass `sealed_at`); what lies
between stays bytes until somebody reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from zmqchat.history.crypto import Crypto
from zmqchat.model.events import Event
from zmqchat.model.faults import Fault
from zmqchat.model.ids import DIGEST_BYTES, PeerId, RoomId, is_peer_id
from zmqchat.model.limits import BATCH_BYTES_MAX, BATCH_EVENTS_MAX, EVENT_BYTES_MAX, NUMBER_MAX
from zmqchat.wire.batches import (
    BATCH_LABEL,
    BATCH_VERSION,
    HEADER,
    pack_batch,
    peek_header,
    unpack_batch,
)
from zmqchat.wire.events import decode_event

BATCH_SIGNATURE_LABEL: Final = b"zmqchat-batchsig-1"
NO_DIGEST: Final = bytes(DIGEST_BYTES)
"""The `previous` of a log's first batch."""

SIGNATURE_SCORE: Final = -34
"""Three reach the floor, two do not."""
"""What a wrong signature costs: no honest peer passes one on, as all verify before they store."""

_DELETED_PREFIX: Final = b"\x91\xc4\x20"
_DELETED_BYTES: Final = len(_DELETED_PREFIX) + DIGEST_BYTES
_EVENT_COST_MIN: Final = 34
_EVENT_OVERHEAD: Final = 5
DIGEST_CUT_BYTES: Final = 8


class BatchHeader(NamedTuple):
    """What a batch says of itself, not verified."""

    room: RoomId
    author: PeerId
    log: int
    first: int
    end: int
    previous: bytes
    sealed_at: int


class Batch:
    """A batch whose digest is known, and whose signature was verified here or when it was stored.

    events   packed, as received; views of nothing, safe to keep
    digests  of the events, in order
    digest   of the batch: what the next one's `previous` must be
    raw      the batch byte for byte, as stored and relayed
    """

    __slots__ = (
        "author",
        "digest",
        "digests",
        "end",
        "events",
        "first",
        "log",
        "previous",
        "raw",
        "room",
        "sealed_at",
        "signature",
    )

    def __init__(
        self,
        header: BatchHeader,
        events: Sequence[bytes],
        digests: Sequence[bytes],
        digest: bytes,
        signature: bytes,
        raw: bytes,
    ) -> None:
        self.room, self.author, self.log, self.first, self.end, self.previous, self.sealed_at = header
        self.events = events
        self.digests = digests
        self.digest = digest
        self.signature = signature
        self.raw = raw

    @property
    def count(self) -> int:
        """How many events it holds."""
        return self.end - self.first

    def event_digest8(self, index: int) -> bytes:
        """The first 8 bytes of an event's digest, as message ids carry them."""
        return self.digests[index][:DIGEST_CUT_BYTES]

    def __repr__(self) -> str:
        return f"<Batch {self.author[:4].hex()}/{self.log} [{self.first}, {self.end}) {self.digest[:4].hex()}>"


class Draft:
    """Events that will be the next batch: takes them until a limit is reached.

    The digest is computed when an event is posted, as its message id needs it; sealing computes no other.
    """

    __slots__ = ("digests", "events", "size_bytes")

    def __init__(self) -> None:
        self.events: list[bytes] = []
        self.digests: list[bytes] = []
        self.size_bytes = HEADER.size

    def add(self, event: bytes, digest: bytes) -> bool:
        """Take the event, or return False where it belongs into the next batch."""
        size_bytes = self.size_bytes + event_cost_bytes(event)
        if self.events and (size_bytes > BATCH_BYTES_MAX or len(self.events) >= BATCH_EVENTS_MAX):
            return False
        self.events.append(event)
        self.digests.append(digest)
        self.size_bytes = size_bytes
        return True


def event_cost_bytes(event: bytes) -> int:
    """What an event counts towards BATCH_BYTES_MAX: at least what its place takes once it is deleted."""
    return max(len(event), _EVENT_COST_MIN) + _EVENT_OVERHEAD


def seal(
    *,
    room: RoomId,
    log: int,
    first: int,
    previous: bytes,
    sealed_at: int,
    events: Sequence[bytes],
    digests: Sequence[bytes],
    crypto: Crypto,
) -> Batch:
    """Sign a batch of ours; `digests` are those of `events`, known since they were posted.

    previous   digest of the log's previous batch, NO_DIGEST where first is 0
    sealed_at  a clock value above the previous batch's and not below any event's
    """
    assert len(events) == len(digests)
    count = len(events)
    header = BatchHeader(room, crypto.peer, log, first, first + count, previous, sealed_at)
    packed = HEADER.pack(BATCH_LABEL, BATCH_VERSION, room, crypto.peer, log, first, count, previous, sealed_at)
    digest = crypto.batch_digest(packed, digests)
    signature = crypto.sign(BATCH_SIGNATURE_LABEL, digest)
    return Batch(header, events, digests, digest, signature, pack_batch(packed, events, signature))


def peek(raw: bytes) -> BatchHeader | Fault:
    """The header alone, its form checked; nothing is hashed or verified."""
    return _header(peek_header(raw))


def open_batch(raw: bytes, crypto: Crypto) -> Batch | Fault:
    """A batch from the network, wholly checked: form, limits, digests, signature, clocks at both ends."""
    parts = _parts(raw)
    if isinstance(parts, Fault):
        return parts
    packed, header, events, signature = parts
    fault = _limits_fault(raw, events) or _clock_fault(header, events)
    if fault is not None:
        return fault
    digests = _event_digests(events, crypto)
    digest = crypto.batch_digest(packed, digests)
    if not crypto.verify(header.author, BATCH_SIGNATURE_LABEL, digest, signature):
        return Fault(reason="signature", detail="a batch's signature is wrong", score=SIGNATURE_SCORE)
    return Batch(header, events, digests, digest, signature, raw)


def open_stored(raw: bytes, crypto: Crypto) -> Batch | Fault:
    """A batch that this node verified before it was stored: digests are computed, nothing is verified."""
    parts = _parts(raw)
    if isinstance(parts, Fault):
        return parts
    packed, header, events, signature = parts
    digests = _event_digests(events, crypto)
    return Batch(header, events, digests, crypto.batch_digest(packed, digests), signature, raw)


def _parts(raw: bytes) -> tuple[bytes, BatchHeader, list[bytes], bytes] | Fault:
    parts = unpack_batch(raw)
    if isinstance(parts, Fault):
        return parts
    packed, events, signature = parts
    header = _header(packed)
    if isinstance(header, Fault):
        return header
    if header.end - header.first != len(events):
        return Fault(reason="malformed", detail=f"a batch of {len(events)} events says another count")
    return packed, header, events, signature


def _header(packed: bytes) -> BatchHeader | Fault:
    if len(packed) != HEADER.size:
        return Fault(reason="malformed", detail=f"a batch header of {len(packed)} bytes")
    label, version, room, author, log, first, count, previous, sealed_at = HEADER.unpack(packed)
    if label != BATCH_LABEL:
        return Fault(reason="malformed", detail="a batch without its label")
    if version != BATCH_VERSION:
        # Its author runs a newer zmqchat: nobody is to blame, and nothing can be checked.
        return Fault(reason="version", detail=f"a batch of version {version}", score=0)
    if not 1 <= count <= BATCH_EVENTS_MAX:
        return Fault(reason="limit", detail=f"a batch of {count} events")
    if first + count > NUMBER_MAX or log > NUMBER_MAX:
        return Fault(reason="limit", detail="a batch with a number beyond 2^53")
    if not is_peer_id(author):
        return Fault(reason="identity", detail="a batch whose author is no peer id")
    if (first == 0) != (previous == NO_DIGEST):
        return Fault(reason="malformed", detail="only a log's first batch has no previous one")
    return BatchHeader(room, author, log, first, first + count, previous, sealed_at)


def _limits_fault(raw: bytes, events: list[bytes]) -> Fault | None:
    longest = max(map(len, events))
    if longest > EVENT_BYTES_MAX:
        return Fault(reason="limit", detail=f"an event of {longest} bytes")
    # What is packed costs no less than its bytes, so the exact sum is needed only near the limit.
    if len(raw) + len(events) * _DELETED_BYTES > BATCH_BYTES_MAX:
        size_bytes = HEADER.size + sum(map(event_cost_bytes, events))
        if size_bytes > BATCH_BYTES_MAX:
            return Fault(reason="limit", detail=f"a batch of {size_bytes} bytes")
    return None


def _clock_fault(header: BatchHeader, events: list[bytes]) -> Fault | None:
    for raw in events if len(events) == 1 else (events[0], events[-1]):
        event = decode_event(raw)
        if isinstance(event, Fault):
            return event
        if isinstance(event, Event) and event.hlc > header.sealed_at:
            return Fault(reason="clock", detail="an event is later than its batch")
    return None


def _event_digests(events: list[bytes], crypto: Crypto) -> list[bytes]:
    digests = crypto.event_digests(events)
    # A deleted event stands there as its digest; few are, so the common case only compares lengths.
    for index, event in enumerate(events):
        if len(event) == _DELETED_BYTES and event.startswith(_DELETED_PREFIX):
            digests[index] = event[len(_DELETED_PREFIX) :]
    return digests
