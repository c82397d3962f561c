"""Reading pages of rows; each call is one short transaction, and nothing of it leaves but copies."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import lmdb

from zmqchat.model.ids import LogKey, MessageId, RoomId
from zmqchat.store.layout import (
    ARRIVAL_KEY,
    BATCH_KEY,
    TIMELINE_KEY,
    U64_MAX,
    arrival_end,
    batch_first,
    batch_key,
    log_key,
    unpack_arrival,
    unpack_timeline,
)
from zmqchat.store.store import ArrivalRow, TimelineKey, TimelineRow


class Reading:
    """The read half of the store."""

    def __init__(
        self, begin: Callable[[], AbstractContextManager[lmdb.Transaction]], database: Callable[[str], object]
    ) -> None:
        self._begin = begin
        self._database = database

    def get(self, table: str, key: bytes) -> bytes | None:
        """One row of a small table."""
        with self._begin() as transaction:
            value = transaction.get(key, db=self._database(table))
            return None if value is None else bytes(value)

    def load_range(
        self, room: RoomId, key: LogKey, first: int, end: int, bytes_max: int, *, newest_first: bool
    ) -> tuple[bytes, ...]:
        """Whole batches that hold numbers of [first, end), at least one, rising."""
        found: list[bytes] = []
        size_bytes = 0
        prefix = log_key(room, key)
        with self._begin() as transaction:
            cursor = transaction.cursor(db=self._database("batches"))
            here = cursor.set_range(batch_key(room, key, (end - 1 if newest_first else first) & U64_MAX))
            if newest_first and (not here or cursor.key()[:64] != prefix or batch_first(cursor.value()) >= end):
                here = cursor.prev() if here else cursor.last()
            while here and cursor.key()[:64] == prefix:
                raw = bytes(cursor.value())
                last = BATCH_KEY.unpack(cursor.key())[4]
                if last < first or batch_first(raw) >= end:
                    break
                if found and size_bytes + len(raw) > bytes_max:
                    break
                found.append(raw)
                size_bytes += len(raw)
                here = cursor.prev() if newest_first else cursor.next()
        if newest_first:
            found.reverse()
        return tuple(found)

    def load_arrivals(self, room: RoomId, number: int, rows_max: int, bytes_max: int) -> list[ArrivalRow]:
        """Rows from the one that holds this arrival number on."""
        found: list[ArrivalRow] = []
        size_bytes = 0
        with self._begin() as transaction:
            batches = self._database("batches")
            cursor = transaction.cursor(db=self._database("arrivals"))
            here = self._at_or_before(cursor, ARRIVAL_KEY.pack(room, number), room)
            while here and cursor.key()[:16] == room and len(found) < rows_max:
                arrival = unpack_arrival(cursor.key(), cursor.value())
                raw = None
                if arrival.batch_end:
                    raw = transaction.get(batch_key(room, arrival.key, arrival.batch_end - 1), db=batches)
                size_bytes += len(raw) if raw is not None else 64
                if found and size_bytes > bytes_max:
                    break
                if arrival_end(arrival) > number:
                    found.append(ArrivalRow(arrival, None if raw is None else bytes(raw)))
                here = cursor.next()
        return found

    def next_arrival(self, room: RoomId) -> int:
        """The number after the last arrival's; 1 in an empty room."""
        with self._begin() as transaction:
            cursor = transaction.cursor(db=self._database("arrivals"))
            if not self._before(cursor, ARRIVAL_KEY.pack(room, U64_MAX), room):
                return 1
            return arrival_end(unpack_arrival(cursor.key(), cursor.value()))

    def load_timeline(
        self, room: RoomId, before: TimelineKey | None, rows_max: int, bytes_max: int
    ) -> list[TimelineRow]:
        """The last rows before a place, in timeline order."""
        found: list[TimelineRow] = []
        size_bytes = 0
        place = (U64_MAX, b"\xff" * 8, U64_MAX, U64_MAX, b"\xff" * 8) if before is None else before
        with self._begin() as transaction:
            batches = self._database("batches")
            cursor = transaction.cursor(db=self._database("timeline"))
            here = self._before(cursor, TIMELINE_KEY.pack(room, *place), room)
            while here and cursor.key()[:16] == room and len(found) < rows_max:
                at, key, end = unpack_timeline(cursor.key(), cursor.value())
                raw = transaction.get(batch_key(room, key, end - 1), db=batches)
                if raw is not None:
                    size_bytes += len(raw)
                    if found and size_bytes > bytes_max:
                        break
                    found.append(TimelineRow(at, key, bytes(raw)))
                here = cursor.prev()
        found.reverse()
        return found

    def find_batch(self, room: RoomId, message: MessageId) -> list[bytes]:
        """The batches that hold this number of this log, one a branch."""
        found: list[bytes] = []
        with self._begin() as transaction:
            cursor = transaction.cursor(db=self._database("batches"))
            prefix = log_key(room, LogKey(message.author, message.log))[:56]
            here = cursor.set_range(prefix)
            while here and cursor.key()[:56] == prefix:
                branch = bytes(cursor.key()[56:64])
                key = LogKey(message.author, message.log, branch)
                if cursor.set_range(batch_key(room, key, message.number)) and cursor.key()[:64] == log_key(room, key):
                    raw = bytes(cursor.value())
                    if batch_first(raw) <= message.number:
                        found.append(raw)
                here = cursor.set_range(prefix + _after(branch)) if branch != b"\xff" * 8 else False
        return found

    def _at_or_before(self, cursor: lmdb.Cursor, key: bytes, room: RoomId) -> bool:
        """Stand on this key, else on the last one before it in this room, else on the first after it."""
        if cursor.set_range(key) and cursor.key() == key:
            return True
        return self._before(cursor, key, room) or bool(cursor.set_range(key))

    def _before(self, cursor: lmdb.Cursor, key: bytes, room: RoomId) -> bool:
        """Stand on the last key before this one in this room."""
        here = cursor.prev() if cursor.set_range(key) else cursor.last()
        return bool(here) and bytes(cursor.key()[:16]) == room


def _after(branch: bytes) -> bytes:
    return (int.from_bytes(branch, "big") + 1).to_bytes(8, "big")
