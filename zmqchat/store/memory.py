"""The store's twin in memory: the same outcomes, reads and numbers, no disk; for tests and the simulator.

Writes are kept, and told, before `submit` returns. What a crash or a full disk does is set by hand.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from zmqchat.model.errors import NodeClosed
from zmqchat.protocol.effects import Write
from zmqchat.store.layout import DATABASES, rows_of, write_bytes
from zmqchat.store.reading import Cursor, Reading, Snapshot
from zmqchat.store.store import Notify, StoreInfo, StoreOutcome, StoreStats

Result = TypeVar("Result")


class _Table:
    """Rows by key, and the keys in order."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.keys: list[bytes] = []

    def put(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            if self.rows.pop(key, None) is not None:
                del self.keys[bisect_left(self.keys, key)]
            return
        if key not in self.rows:
            insort(self.keys, key)
        self.rows[key] = value


class _TableCursor:
    def __init__(self, table: _Table) -> None:
        self._table = table
        self._at = -1

    def first(self) -> bool:
        return self._stand(0)

    def last(self) -> bool:
        return self._stand(len(self._table.keys) - 1)

    def next(self) -> bool:
        return self._stand(self._at + 1)

    def prev(self) -> bool:
        return self._stand(self._at - 1)

    def set_range(self, key: bytes, /) -> bool:
        return self._stand(bisect_left(self._table.keys, key))

    def key(self) -> bytes:
        return self._table.keys[self._at]

    def value(self) -> bytes:
        return self._table.rows[self.key()]

    def _stand(self, at: int) -> bool:
        self._at = at
        return 0 <= at < len(self._table.keys)


class _MemorySnapshot:
    def __init__(self, tables: dict[str, _Table]) -> None:
        self._tables = tables

    def get(self, database: str, key: bytes) -> bytes | None:
        return self._tables[database].rows.get(key)

    def cursor(self, database: str) -> Cursor:
        return _TableCursor(self._tables[database])


class MemoryStore(Reading):
    """One node's store in memory.

    full    while set, nothing is kept and outcomes say that the disk has no room
    broken  while set, nothing is kept and outcomes tell this text
    """

    def __init__(self, notify: Notify, *, store_id: bytes = bytes(16)) -> None:
        super().__init__(self._snapshot)
        self.info = StoreInfo(store_id, 1, fresh=True, clean=True, same_boot=True, moved=False)
        self.full = False
        self.broken = ""
        self.queued_bytes = 0
        self._notify = notify
        self._tables = {name: _Table() for name in DATABASES}
        self._groups = 0
        self._closed = False

    def reopened(
        self, notify: Notify, *, clean: bool = True, same_boot: bool = True, moved: bool = False
    ) -> MemoryStore:
        """The store after a restart, with all that it kept; this one is closed."""
        self.close()
        store = MemoryStore(notify)
        store.info = StoreInfo(self.info.store_id, self.info.generation + 1, False, clean, same_boot, moved)
        store._tables = self._tables
        return store

    def submit(self, token: int, writes: Sequence[Write]) -> None:
        """Keep these writes together and tell it at once. Raises NodeClosed, and ValueError as the real one does."""
        self._check_usable()
        for write in writes:
            write_bytes(write)
        outcome = StoreOutcome(not self.full and not self.broken, self.full, self.broken)
        if outcome.ok:
            self._groups += 1
            for write in writes:
                for database, key, value in rows_of(write):
                    self._tables[database].put(key, value)
        self._notify([(token, outcome)])

    def read(self, function: Callable[[], Result]) -> Future[Result]:
        """Run a function that uses the load methods, here and now."""
        self._check_usable()
        future: Future[Result] = Future()
        try:
            future.set_result(function())
        except Exception as error:  # noqa: BLE001 - it is the future's, as with the real one
            future.set_exception(error)
        return future

    def stats(self) -> StoreStats:
        """Sizes, as far as a store without a file has any."""
        used_bytes = sum(len(key) + len(value) for table in self._tables.values() for key, value in table.rows.items())
        return StoreStats(used_bytes, used_bytes, used_bytes, 0, 0, self._groups, len(self._tables["batches"].keys))

    def close(self) -> None:
        """Take no more."""
        self._closed = True

    @contextmanager
    def _snapshot(self) -> Iterator[Snapshot]:
        self._check_usable()
        yield _MemorySnapshot(self._tables)

    def _check_usable(self) -> None:
        if self._closed:
            raise NodeClosed("the store is closed")
