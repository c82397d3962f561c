"""Reading pages of rows; each call is one short transaction, and nothing of it leaves but copies.

The same code reads from LMDB and from its twin in memory: both give a `Snapshot` with cursors that move
over keys in byte order.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from zmqchat.model.ids import LogKey, MessageId, RoomId
from zmqchat.protocol.effects import PutArrival
from zmqchat.store.layout import (
    ARRIVAL_KEY,
    BATCH_KEY,
    LOG_BYTES,
    ROOM_BYTES,
    TIMELINE_KEY,
    U64_MAX,
    arrival_end,
    batch_first,
    batch_key,
    log_key,
    unpack_arrival,
    unpack_log_key,
    unpack_timeline,
)
from zmqchat.store.store import ArrivalRow, TimelineKey, TimelineRow

_ROW_BYTES = 64
"""What a row without a batch counts against bytes_max."""

_BRANCH_BYTES = 8
_LAST_PLACE = TimelineKey(U64_MAX, b"\xff" * 8, U64_MAX, U64_MAX, b"\xff" * _BRANCH_BYTES)


class Cursor(Protocol):
    """Stands on a row of a database, or nowhere; every move tells whether there is a row."""

    def first(self) -> bool:
        """Stand on the first row."""
        ...

    def last(self) -> bool:
        """Stand on the last row."""
        ...

    def next(self) -> bool:
        """Stand on the row after this one."""
        ...

    def prev(self) -> bool:
        """Stand on the row before this one."""
        ...

    def set_range(self, key: bytes, /) -> bool:
        """Stand on the first row whose key is not below this one."""
        ...

    def key(self) -> bytes:
        """The key here."""
        ...

    def value(self) -> bytes:
        """A copy of the value here."""
        ...


class Snapshot(Protocol):
    """The databases as they were at one moment."""

    def get(self, database: str, key: bytes) -> bytes | None:
        """A copy of the value under this key."""
        ...

    def cursor(self, database: str) -> Cursor:
        """A cursor that stands nowhere yet."""
        ...


class Reading:
    """The read half of a store."""

    def __init__(self, begin: Callable[[], AbstractContextManager[Snapshot]]) -> None:
        self._begin = begin

    def get(self, table: str, key: bytes) -> bytes | None:
        """One row of a small table."""
        with self._begin() as snapshot:
            return snapshot.get(table, key)

    def rows(self, table: str) -> list[tuple[bytes, bytes]]:
        """All rows of a small table in key order."""
        found = []
        with self._begin() as snapshot:
            cursor = snapshot.cursor(table)
            here = cursor.first()
            while here:
                found.append((cursor.key(), cursor.value()))
                here = cursor.next()
        return found

    def frontiers(self) -> list[tuple[RoomId, LogKey, bytes]]:
        """All packed frontiers."""
        return [(*unpack_log_key(key), value) for key, value in self.rows("frontier")]

    def load_range(
        self, room: RoomId, key: LogKey, first: int, end: int, bytes_max: int, *, newest_first: bool = False
    ) -> tuple[bytes, ...]:
        """Whole batches that hold numbers of [first, end), at least one where there is any, rising."""
        if first >= end:
            return ()
        found: list[bytes] = []
        size_bytes = 0
        prefix = log_key(room, key)
        with self._begin() as snapshot:
            cursor = snapshot.cursor("batches")
            here = cursor.set_range(batch_key(room, key, end - 1 if newest_first else first))
            if newest_first and (not here or cursor.key()[:LOG_BYTES] != prefix or batch_first(cursor.value()) >= end):
                here = cursor.prev() if here else cursor.last()
            while here and cursor.key()[:LOG_BYTES] == prefix:
                raw = cursor.value()
                if _last_number(cursor.key()) < first or batch_first(raw) >= end:
                    break
                size_bytes += len(raw)
                if found and size_bytes > bytes_max:
                    break
                found.append(raw)
                here = cursor.prev() if newest_first else cursor.next()
        if newest_first:
            found.reverse()
        return tuple(found)

    def load_arrivals(self, room: RoomId, number: int, rows_max: int, bytes_max: int) -> list[ArrivalRow]:
        """Rows from the one that holds this arrival number on, at least one where there is any."""
        found: list[ArrivalRow] = []
        size_bytes = 0
        with self._begin() as snapshot:
            cursor = snapshot.cursor("arrivals")
            here = _to_holder(cursor, room, number)
            while here and cursor.key()[:ROOM_BYTES] == room and len(found) < rows_max:
                arrival = unpack_arrival(cursor.key(), cursor.value())
                raw = None
                if arrival.batch_end:
                    raw = snapshot.get("batches", batch_key(room, arrival.key, arrival.batch_end - 1))
                size_bytes += _ROW_BYTES if raw is None else len(raw)
                if found and size_bytes > bytes_max:
                    break
                found.append(ArrivalRow(arrival, raw))
                here = cursor.next()
        return found

    def next_arrival(self, room: RoomId) -> int:
        """The number that the room's next arrival gets: 1 in an empty room."""
        with self._begin() as snapshot:
            last = _arrival_before(snapshot.cursor("arrivals"), room, U64_MAX)
        return 1 if last is None else arrival_end(last)

    def load_timeline(
        self, room: RoomId, before: TimelineKey | None, rows_max: int, bytes_max: int
    ) -> list[TimelineRow]:
        """The last rows before a place (None: the end) in timeline order, at least one where there is any."""
        found: list[TimelineRow] = []
        size_bytes = 0
        with self._begin() as snapshot:
            cursor = snapshot.cursor("timeline")
            here = cursor.set_range(TIMELINE_KEY.pack(room, *(before or _LAST_PLACE)))
            here = cursor.prev() if here else cursor.last()
            while here and cursor.key()[:ROOM_BYTES] == room and len(found) < rows_max:
                at, key, end = unpack_timeline(cursor.key(), cursor.value())
                raw = snapshot.get("batches", batch_key(room, key, end - 1))
                if raw is not None:
                    size_bytes += len(raw)
                    if found and size_bytes > bytes_max:
                        break
                    found.append(TimelineRow(at, key, raw))
                here = cursor.prev()
        found.reverse()
        return found

    def find_batch(self, room: RoomId, message: MessageId) -> list[bytes]:
        """The stored batches that hold this number of this log, one a branch."""
        found: list[bytes] = []
        log = log_key(room, LogKey(message.author, message.log))[:-_BRANCH_BYTES]
        with self._begin() as snapshot:
            cursor = snapshot.cursor("batches")
            here = cursor.set_range(log)
            while here and cursor.key().startswith(log):
                key = LogKey(message.author, message.log, cursor.key()[len(log) : LOG_BYTES])
                prefix = log_key(room, key)
                if cursor.set_range(batch_key(room, key, message.number)) and cursor.key().startswith(prefix):
                    raw = cursor.value()
                    if batch_first(raw) <= message.number:
                        found.append(raw)
                here = cursor.set_range(batch_key(room, key, U64_MAX) + b"\0")
        return found


def _last_number(key: bytes) -> int:
    last: int = BATCH_KEY.unpack(key)[4]
    return last


def _to_holder(cursor: Cursor, room: RoomId, number: int) -> bool:
    """Stand on the row that holds this arrival number, else on the first one after it."""
    before = _arrival_before(cursor, room, number + 1)
    if before is not None and arrival_end(before) > number:
        return True
    return cursor.set_range(ARRIVAL_KEY.pack(room, number))


def _arrival_before(cursor: Cursor, room: RoomId, number: int) -> PutArrival | None:
    """Stand on the room's last arrival row below this number and tell it; None where there is none."""
    here = cursor.set_range(ARRIVAL_KEY.pack(room, number))
    here = cursor.prev() if here else cursor.last()
    if not here or cursor.key()[:ROOM_BYTES] != room:
        return None
    return unpack_arrival(cursor.key(), cursor.value())
