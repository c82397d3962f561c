"""The writer: one thread, one transaction a group, one fsync; then all outcomes of the group at once.

How it works. Whatever waits when the thread is free becomes the next group (up to STORE_GROUP_BYTES_MAX).
A full map aborts the transaction, grows the map and runs the whole group again from its inputs, so no
outcome is told in between. A failed commit is told as full or failing; a second failure in a row with
room on the disk makes the store read-only.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import lmdb

from zmqchat.model.limits import STORE_GROUP_BYTES_MAX
from zmqchat.protocol.effects import PutArrival, PutBatch, PutFrontier, PutRow, Write
from zmqchat.store.layout import batch_key, log_key, pack_arrival, timeline_row
from zmqchat.store.store import Notify, StoreOutcome

ROW_BYTES = 128
"""What a write counts beside the bytes that it carries."""

OK = StoreOutcome(True)


class Item(NamedTuple):
    """One submitted Store."""

    token: int
    writes: Sequence[Write]
    size_bytes: int


class Disk(NamedTuple):
    """What the writer needs of its environment; a test double can fail here.

    begin    a write transaction
    grow     double the map (between transactions)
    is_full  whether the disk has no room left
    reopen   close and open the environment again after an I/O error
    """

    begin: Callable[[], lmdb.Transaction]
    grow: Callable[[], None]
    grow_ahead: Callable[[], None]
    is_full: Callable[[], bool]
    reopen: Callable[[], None]
    database: Callable[[str], object]


class Writer:
    """The queue and its thread."""

    def __init__(self, disk: Disk, notify: Notify) -> None:
        self._disk = disk
        self._notify = notify
        self._queue: deque[Item] = deque()
        self._condition = threading.Condition()
        self._closing = False
        self._failures = 0
        self._broken = ""
        self.queued_bytes = 0
        self.groups = 0
        self._thread = threading.Thread(target=self._run, name="zmqchat-store-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, token: int, writes: Sequence[Write]) -> None:
        """Queue; never blocks."""
        size_bytes = sum(_size(write) for write in writes)
        with self._condition:
            self._queue.append(Item(token, writes, size_bytes))
            self.queued_bytes += size_bytes
            self._condition.notify()

    def close(self, timeout_s: float) -> bool:
        """Write what is queued and end the thread; False where that took too long."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            group = self._take()
            if not group:
                return
            outcome = self._commit(group)
            with self._condition:
                self.queued_bytes -= sum(item.size_bytes for item in group)
            self._notify([(item.token, outcome) for item in group])
            if outcome.ok:
                self._disk.grow_ahead()

    def _take(self) -> list[Item]:
        with self._condition:
            while not self._queue and not self._closing:
                self._condition.wait()
            group: list[Item] = []
            size_bytes = 0
            while self._queue and (not group or size_bytes + self._queue[0].size_bytes <= STORE_GROUP_BYTES_MAX):
                item = self._queue.popleft()
                size_bytes += item.size_bytes
                group.append(item)
            return group

    def _commit(self, group: list[Item]) -> StoreOutcome:
        if self._broken:
            return StoreOutcome(False, False, self._broken)
        while True:
            try:
                self._write(group)
            except lmdb.MapFullError:
                if self._disk.is_full():
                    return StoreOutcome(False, True, "no room left on the disk")
                self._disk.grow()
                continue
            except lmdb.Error as error:
                return self._failed(error)
            self._failures = 0
            self.groups += 1
            return OK

    def _failed(self, error: lmdb.Error) -> StoreOutcome:
        if self._disk.is_full():
            return StoreOutcome(False, True, "no room left on the disk")
        self._failures += 1
        if self._failures >= 2:
            self._broken = f"the disk fails ({error}); nothing more is stored: check the disk and start again"
        else:
            self._disk.reopen()
        return StoreOutcome(False, False, f"the disk fails ({error})")

    def _write(self, group: list[Item]) -> None:
        database = self._disk.database
        batches, timeline, arrivals = database("batches"), database("timeline"), database("arrivals")
        frontier = database("frontier")
        with self._disk.begin() as transaction:
            put = transaction.put
            for item in group:
                for write in item.writes:
                    if isinstance(write, PutBatch):
                        put(batch_key(write.room, write.key, write.end - 1), write.raw, db=batches)
                        key, value = timeline_row(write)
                        put(key, value, db=timeline)
                    elif isinstance(write, PutArrival):
                        key, value = pack_arrival(write)
                        put(key, value, db=arrivals)
                    elif isinstance(write, PutFrontier):
                        _put(transaction, frontier, log_key(write.room, write.key), write.value)
                    else:
                        _put(transaction, database(write.table), write.key, write.value)


def _put(transaction: lmdb.Transaction, database: object, key: bytes, value: bytes | None) -> None:
    if value is None:
        transaction.delete(key, db=database)
    else:
        transaction.put(key, value, db=database)


def _size(write: Write) -> int:
    if isinstance(write, PutBatch):
        return ROW_BYTES + len(write.raw)
    if isinstance(write, PutFrontier | PutRow) and write.value is not None:
        return ROW_BYTES + len(write.value)
    return ROW_BYTES
