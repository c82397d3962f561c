"""The frames of the roster: who the members of the mesh are, and which of them seem to be gone.

A member tells of itself in a signed record, which others pass on byte for byte: the signature (64 B), then a
MessagePack array, so that fields which a later version appends are signed too and survive every relay. In the
frames a record is a run of bytes; `unpack_record` reads it, and only its owner's key can make one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from zmqchat.model.addresses import Endpoint
from zmqchat.model.faults import Fault
from zmqchat.model.ids import PeerId
from zmqchat.model.limits import (
    ENDPOINTS_PER_PEER_MAX,
    KIB,
    LIVENESS_ENTRIES_PER_FRAME_MAX,
    RECORD_BYTES_MAX,
    RECORD_ROOMS_MAX,
    RECORDS_PER_FRAME_MAX,
    ROSTER_DIGEST_ENTRIES_MAX,
)
from zmqchat.wire.codec import NUMBER, PEER, SIGNATURE_BYTES, Codec, Frame
from zmqchat.wire.fields import binary, endpoint, fixed, flag, integer, many, record, string
from zmqchat.wire.packing import Malformed, pack, unpack

ROSTER_BUCKETS: Final = 256
"""The first byte of its peer id says which bucket a member is in."""
HASH_BYTES: Final = 8
ROOM_HINT_BYTES: Final = 4
PREFIX_BYTES: Final = 8
"""So much of a peer id names a member while two rosters are compared."""

SUSPECT: Final = 1
DEAD: Final = 2

_DIGEST_ENTRY: Final = struct.Struct(">8sQ")


class MemberRecord(NamedTuple):
    """What a member says of itself.

    version   rises with each record that it signs
    rooms     the first 4 bytes of the ids of up to 16 of its rooms, sorted; `more` where it is in others too
    """

    peer: PeerId
    version: int
    features: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    rooms: tuple[bytes, ...]
    more: bool


class LivenessEntry(NamedTuple):
    """The member whose newest record is of this version is SUSPECT or DEAD; a higher version refutes it."""

    peer: PeerId
    version: int
    state: int


class DigestEntry(NamedTuple):
    """A live member, by the first 8 bytes of its id, and the version of its record."""

    prefix: bytes
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Records(Frame):
    """Signed records of members, as their owners packed them; `news` is passed on, an answer is not."""

    records: tuple[bytes, ...]
    news: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterSummary(Frame):
    """The sender's live members: how many, and the hash over them."""

    count: int
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Liveness(Frame):
    """News of members that seem to be gone."""

    entries: tuple[LivenessEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterBuckets(Frame):
    """The answer to a summary that differs: a hash a bucket, one after the other."""

    hashes: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterDigest(Frame):
    """All live members of a bucket that differs, as `pack_digest` does it; `reply` where it answers one."""

    bucket: int
    entries: bytes
    reply: bool


def _record_bytes(value: Any) -> bytes:
    raw = binary(value)
    if not SIGNATURE_BYTES < len(raw) <= RECORD_BYTES_MAX:
        raise Malformed("record")
    return raw


def _rooms(value: Any) -> tuple[bytes, ...]:
    joined = binary(value)
    if len(joined) % ROOM_HINT_BYTES or len(joined) > ROOM_HINT_BYTES * RECORD_ROOMS_MAX:
        raise Malformed("rooms")
    return tuple([joined[at : at + ROOM_HINT_BYTES] for at in range(0, len(joined), ROOM_HINT_BYTES)])


def _entries(value: Any) -> bytes:
    joined = binary(value)
    if len(joined) % _DIGEST_ENTRY.size or len(joined) > _DIGEST_ENTRY.size * ROSTER_DIGEST_ENTRIES_MAX:
        raise Malformed("digest")
    return joined


def _state(value: Any) -> int:
    if type(value) is not int or value not in (SUSPECT, DEAD):
        raise Malformed("state")
    return value


CODECS: Final[dict[int, Codec]] = {
    48: Codec(Records, (many(_record_bytes, RECORDS_PER_FRAME_MAX), flag), 64 * KIB),
    49: Codec(RosterSummary, (NUMBER, fixed(HASH_BYTES)), 256),
    52: Codec(Liveness, (many(record(LivenessEntry, PEER, NUMBER, _state), LIVENESS_ENTRIES_PER_FRAME_MAX),), 16 * KIB),
    53: Codec(RosterBuckets, (fixed(ROSTER_BUCKETS * HASH_BYTES),), 4 * KIB),
    54: Codec(RosterDigest, (integer(ROSTER_BUCKETS - 1), _entries, flag), 64 * KIB),
}

_FIELDS: Final = (
    PEER,
    NUMBER,
    many(string(64), 32),
    many(endpoint, ENDPOINTS_PER_PEER_MAX),
    _rooms,
    flag,
)


def pack_record(record_of: MemberRecord) -> bytes:
    """What the owner signs: the record without its signature."""
    return pack([*record_of[:4], b"".join(record_of.rooms), record_of.more])


def split_record(raw: bytes) -> tuple[bytes, bytes]:
    """The signature, and what it covers."""
    return raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]


def unpack_record(raw: bytes) -> MemberRecord | Fault:
    """The record in these bytes, its signature not looked at; never raises."""
    try:
        values = unpack(split_record(_record_bytes(raw))[1])
        if type(values) is not list or len(values) < len(_FIELDS):
            raise Malformed("fields")
        return MemberRecord(*[check(value) for check, value in zip(_FIELDS, values, strict=False)])
    except Malformed as error:
        return Fault(reason="malformed", detail=f"member record: {error}")


def pack_digest(entries: Iterable[DigestEntry]) -> bytes:
    """The entries of a RosterDigest, one after the other."""
    return b"".join([_DIGEST_ENTRY.pack(*entry) for entry in entries])


def unpack_digest(joined: bytes) -> list[DigestEntry]:
    """What `pack_digest` packed."""
    return [DigestEntry(*entry) for entry in _DIGEST_ENTRY.iter_unpack(joined)]


def room_hint(room: bytes) -> bytes:
    """What a record says of a room."""
    return room[:ROOM_HINT_BYTES]


def room_hints(rooms: Iterable[bytes]) -> tuple[tuple[bytes, ...], bool]:
    """The hints of these rooms as a record has them, and whether there are more rooms than it names."""
    hints = sorted({room_hint(room) for room in rooms})
    return tuple(hints[:RECORD_ROOMS_MAX]), len(hints) > RECORD_ROOMS_MAX
