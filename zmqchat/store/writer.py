"""The writer: one thread, one transaction a group, one fsync; then all outcomes of the group at once.

How it works. Whatever waits when the thread is free becomes the next group (up to STORE_GROUP_BYTES_MAX);
of several writes to one row the last counts. What can go wrong:

    map full     aborted, grown, run again from its inputs; no outcome is told in between
    disk full    every submission is tried alone, and each that finds no room is told so (`space.py`)
    disk fails   an fsync tells an error once and its retry proves nothing: the environment is opened again,
                 the group written anew and read back; failing again, nothing more is stored until a restart

LMDB's write transactions belong to one thread, so nothing else writes while this one runs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import lmdb

from zmqchat.model.errors import NodeClosed, ZmqChatError
from zmqchat.model.limits import STORE_GROUP_BYTES_MAX, STORE_QUEUE_BYTES_MAX
from zmqchat.protocol.effects import PutBatch, Write
from zmqchat.store.environment import Environment
from zmqchat.store.layout import rows_of, write_bytes
from zmqchat.store.space import Space
from zmqchat.store.store import Notify, StoreOutcome

Rows = dict[str, dict[bytes, bytes | None]]
"""By database and key what is to be written, None for a row to be removed."""

OK: Final = StoreOutcome(True)
FULL: Final = StoreOutcome(False, True, "no room left on the disk")
MAP_FULL: Final = StoreOutcome(False, True, "the store is as large as it can be on this machine")
QUEUE_FULL: Final = StoreOutcome(False, False, "too much waits for the disk already")

_log = logging.getLogger(__name__)


class Item(NamedTuple):
    """One submission; `refused` where it came on top of a full queue, told in its turn."""

    token: int
    writes: Sequence[Write]
    size_bytes: int
    refused: bool = False


class Writer:
    """The queue and its thread.

    complete   adds rows of the store's own to a group, before it is written; called once a try
    last       called on the thread before it ends, when all is written
    """

    def __init__(
        self,
        environment: Environment,
        space: Space,
        notify: Notify,
        *,
        complete: Callable[[Rows], None],
        last: Callable[[], None],
    ) -> None:
        self._environment = environment
        self._space = space
        self._notify = notify
        self._complete = complete
        self._last = last
        self._queue: deque[Item] = deque()
        self._condition = threading.Condition()
        self._closing = False
        self.broken = ""
        self.queued_bytes = 0
        self.groups = 0
        self._thread = threading.Thread(target=self._run, name="zmqchat-store-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, token: int, writes: Sequence[Write]) -> None:
        """Queue; never blocks. Raises ValueError for rows that no table can hold, NodeClosed at the end."""
        size_bytes = sum(map(write_bytes, writes))
        with self._condition:
            if self._closing:
                raise NodeClosed("the store is closed: nothing more is stored")
            if self.queued_bytes + size_bytes > STORE_QUEUE_BYTES_MAX:
                self._queue.append(Item(token, (), 0, refused=True))
            else:
                self._queue.append(Item(token, writes, size_bytes))
                self.queued_bytes += size_bytes
            self._condition.notify()
        # The writer is awake but needs the interpreter: give it up now rather than when this thread has time.
        time.sleep(0)

    def close(self, timeout_s: float) -> bool:
        """Write what is queued and end the thread; False where that takes longer."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while group := self._take():
            try:
                outcomes = self._outcomes(group)
            except Exception as error:  # noqa: BLE001 - a fault of ours; who waits must be told all the same
                _log.exception("the store's writer failed")
                self.broken = f"the store's writer failed ({error}): start again"
                outcomes = self._all(group, StoreOutcome(False, False, self.broken))
            with self._condition:
                self.queued_bytes -= sum(item.size_bytes for item in group)
            try:
                self._notify(outcomes)
            except Exception:  # noqa: BLE001 - a fault of theirs; what is stored is stored
                _log.exception("whoever listens to the store failed")
        if not self.broken:
            self._last()

    def _take(self) -> list[Item]:
        """The next group, empty at the end."""
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

    def _outcomes(self, group: list[Item]) -> list[tuple[int, StoreOutcome]]:
        if len(group) > 1 and any(item.refused for item in group):
            return [outcome for item in group for outcome in self._outcomes([item])]
        if group[0].refused:
            return self._all(group, QUEUE_FULL)
        outcome = self._commit(group)
        if outcome.full and len(group) > 1:
            return [outcome for item in group for outcome in self._outcomes([item])]
        return self._all(group, outcome)

    def _all(self, group: list[Item], outcome: StoreOutcome) -> list[tuple[int, StoreOutcome]]:
        return [(item.token, outcome) for item in group]

    def _commit(self, items: list[Item]) -> StoreOutcome:
        if self.broken:
            return StoreOutcome(False, False, self.broken)
        size_bytes = sum(item.size_bytes for item in items)
        bulky = any(isinstance(write, PutBatch) for item in items for write in item.writes)
        if not self._space.admits(size_bytes, bulky=bulky):
            return FULL
        try:
            outcome = self._write(items, size_bytes)
        except (lmdb.Error, TimeoutError) as error:
            if not self._space.lacks(error, size_bytes):
                outcome = self._write_again(items, size_bytes, error)
            else:
                self._space.ran_full()
                outcome = FULL if bulky else self._write_with_reserve(items, size_bytes)
        if outcome.ok:
            self.groups += 1
            self._space.committed(bulky=bulky)
        return outcome

    def _write_with_reserve(self, items: list[Item], size_bytes: int) -> StoreOutcome:
        if not self._space.give_up_reserve():
            return FULL
        try:
            return self._write(items, size_bytes)
        except lmdb.Error:
            return FULL

    def _write_again(self, items: list[Item], size_bytes: int, error: Exception) -> StoreOutcome:
        """After an I/O error with room on the disk: from a new environment, and read back."""
        _log.warning("a commit failed (%s): the store is opened again", error)
        try:
            self._environment.reopen()
            outcome = self._write(items, size_bytes)
            if outcome.ok:
                self._verify(items)
        except (lmdb.Error, TimeoutError, ZmqChatError) as again:
            self.broken = f"the disk fails ({again}): nothing more is stored; check the disk and start again"
            return StoreOutcome(False, False, self.broken)
        return outcome

    def _verify(self, items: list[Item]) -> None:
        with self._environment.reading() as (transaction, databases):
            for name, rows in self._rows(items).items():
                for key, value in rows.items():
                    if transaction.get(key, db=databases[name]) != value:
                        raise lmdb.CorruptedError("what was written does not read back")

    def _write(self, items: list[Item], size_bytes: int) -> StoreOutcome:
        """Commit these together, growing the map as needed. Raises lmdb.Error or TimeoutError."""
        rows = self._rows(items)
        self._environment.make_room(size_bytes)
        while True:
            try:
                self._environment.write(lambda transaction, databases: _put_all(transaction, databases, rows))
            except lmdb.MapFullError:
                if not self._environment.grow():
                    return MAP_FULL
            else:
                return OK

    def _rows(self, items: list[Item]) -> Rows:
        rows: Rows = {}
        for item in items:
            for write in item.writes:
                for database, key, value in rows_of(write):
                    rows.setdefault(database, {})[key] = value
        self._complete(rows)
        return rows


def _put_all(transaction: lmdb.Transaction[bytes], databases: dict[str, lmdb._Database], rows: Rows) -> None:
    for name, changes in rows.items():
        database = databases[name]
        # Sorted, so that neighbours land on one page while it is at hand.
        kept = [(key, value) for key, value in sorted(changes.items()) if value is not None]
        if len(kept) == 1:
            transaction.put(*kept[0], db=database)
        elif kept:
            # Each call gives up the GIL and may wait long to have it back: one call for many rows.
            with transaction.cursor(db=database) as cursor:
                cursor.putmulti(kept)
        if len(kept) < len(changes):
            for key, value in changes.items():
                if value is None:
                    transaction.delete(key, db=database)
