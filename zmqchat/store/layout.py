"""Keys and small values of the databases: fixed width, big-endian, so that bytes sort as the tuples do.

| database | key | value |
| batches | room, author, log, branch, last number (72 B) | the batch, byte for byte |
| frontier | room, author, log, branch (64 B) | packed frontier |
| timeline | room, sealed_at, author (8 B), log, first, branch (56 B) | author, end |
| arrivals | room, number (24 B) | author, log, branch, first, end, batch end, flags |
| rooms, members, peers, keys, meta, kept | their owner's | their owner's |
| about | see `about.py` | |
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.protocol.effects import DropBatch, PutArrival, PutBatch, PutFrontier, Write
from zmqchat.store.store import SMALL_TABLES, TimelineKey
from zmqchat.wire.batches import HEADER, HEADER_OFFSET

BATCH_KEY: Final = struct.Struct(">16s32sQ8sQ")
LOG_KEY: Final = struct.Struct(">16s32sQ8s")
TIMELINE_KEY: Final = struct.Struct(">16sQ8sQQ8s")
TIMELINE_VALUE: Final = struct.Struct(">32sQ")
ARRIVAL_KEY: Final = struct.Struct(">16sQ")
ARRIVAL_VALUE: Final = struct.Struct(">32sQ8sQQQB")
U64_MAX: Final = 2**64 - 1

ROOM_BYTES: Final = 16
LOG_BYTES: Final = LOG_KEY.size
KEY_BYTES_MAX: Final = 511
"""LMDB's own bound for a key; ours are at most 72 bytes, those of the small tables are their owner's."""

WRITE_BYTES: Final = 128
"""What a write counts in the queue beside the bytes that it carries."""

ABOUT: Final = "about"
"""The database that holds what the store knows of itself."""

DATABASES: Final = ("batches", "frontier", "timeline", "arrivals", *SMALL_TABLES, ABOUT)

_LIVE = 1
_BACKFILL = 2
_FIRST_FIELD = 5


class Row(NamedTuple):
    """One row to be written; without a value it is removed."""

    database: str
    key: bytes
    value: bytes | None


def rows_of(write: Write) -> Iterator[Row]:
    """The rows that a write stands for."""
    if isinstance(write, PutBatch):
        yield Row("batches", batch_key(write.room, write.key, write.end - 1), write.raw)
        yield Row("timeline", *timeline_row(write))
    elif isinstance(write, DropBatch):
        yield Row("batches", batch_key(write.room, write.key, write.end - 1), None)
        yield Row("timeline", timeline_row(write)[0], None)
    elif isinstance(write, PutArrival):
        yield Row("arrivals", *pack_arrival(write))
    elif isinstance(write, PutFrontier):
        yield Row("frontier", log_key(write.room, write.key), write.value)
    else:
        yield Row(write.table, write.key, write.value)


def write_bytes(write: Write) -> int:
    """What a write counts in the queue. Raises ValueError for a row that no table can hold."""
    if isinstance(write, PutBatch):
        return WRITE_BYTES + len(write.raw)
    if isinstance(write, PutArrival | DropBatch):
        return WRITE_BYTES
    if not isinstance(write, PutFrontier):
        if write.table not in SMALL_TABLES:
            raise ValueError(f"there is no table {write.table!r}: one of {', '.join(SMALL_TABLES)}")
        if not 0 < len(write.key) <= KEY_BYTES_MAX:
            raise ValueError(f"a key has 1 to {KEY_BYTES_MAX} bytes, not {len(write.key)}")
    return WRITE_BYTES + len(write.value or b"")


def batch_key(room: RoomId, key: LogKey, last: int) -> bytes:
    """Where the batch whose last number this is lies."""
    return BATCH_KEY.pack(room, key.author, key.log, key.branch, last)


def log_key(room: RoomId, key: LogKey) -> bytes:
    """Where a log's frontier lies; also the prefix of its batches."""
    return LOG_KEY.pack(room, key.author, key.log, key.branch)


def unpack_log_key(raw: bytes) -> tuple[RoomId, LogKey]:
    """The room and log of a frontier's key."""
    room, author, log, branch = LOG_KEY.unpack(raw)
    return RoomId(room), LogKey(PeerId(author), log, branch)


def batch_first(raw: bytes) -> int:
    """The first number of a stored batch, from its header."""
    first: int = HEADER.unpack_from(raw, HEADER_OFFSET)[_FIRST_FIELD]
    return first


def timeline_row(write: PutBatch | DropBatch) -> tuple[bytes, bytes]:
    """Key and value of a batch's timeline row."""
    key = TIMELINE_KEY.pack(
        write.room, write.sealed_at, write.key.author[:8], write.key.log, write.first, write.key.branch
    )
    return key, TIMELINE_VALUE.pack(write.key.author, write.end)


def unpack_timeline(key: bytes, value: bytes) -> tuple[TimelineKey, LogKey, int]:
    """Place, log and end of the batch of a timeline row."""
    _room, sealed_at, author8, log, first, branch = TIMELINE_KEY.unpack(key)
    author, end = TIMELINE_VALUE.unpack(value)
    return TimelineKey(sealed_at, author8, log, first, branch), LogKey(PeerId(author), log, branch), end


def pack_arrival(arrival: PutArrival) -> tuple[bytes, bytes]:
    """Key and value of an arrival."""
    flags = (_LIVE if arrival.live else 0) | (_BACKFILL if arrival.backfill else 0)
    author, log, branch = arrival.key
    value = ARRIVAL_VALUE.pack(author, log, branch, arrival.first, arrival.end, arrival.batch_end, flags)
    return ARRIVAL_KEY.pack(arrival.room, arrival.number), value


def unpack_arrival(key: bytes, value: bytes) -> PutArrival:
    """The arrival of a row."""
    room, number = ARRIVAL_KEY.unpack(key)
    author, log, branch, first, end, batch_end, flags = ARRIVAL_VALUE.unpack(value)
    return PutArrival(
        room=RoomId(room),
        number=number,
        key=LogKey(PeerId(author), log, branch),
        first=first,
        end=end,
        batch_end=batch_end,
        live=bool(flags & _LIVE),
        backfill=bool(flags & _BACKFILL),
    )


def arrival_end(arrival: PutArrival) -> int:
    """The arrival number after this row's last."""
    return arrival.number + (arrival.end - arrival.first if arrival.batch_end else 1)
