"""Stores, batches and small disks for tests."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from tests.support.requirements import require
from zmqchat.model.ids import MAIN_BRANCH, LogKey, PeerId, RoomId
from zmqchat.protocol.effects import PutArrival, PutBatch, PutFrontier, Write
from zmqchat.store.lmdb_store import LmdbStore, open_store
from zmqchat.store.memory import MemoryStore
from zmqchat.store.store import MessageStore, Notify, StoreOutcome
from zmqchat.wire.batches import BATCH_LABEL, BATCH_VERSION, HEADER, pack_batch

ROOM = RoomId(b"r" * 16)
AUTHOR = PeerId(b"a" * 32)
LOG = LogKey(AUTHOR, 7)
WAIT_S = 30.0


class Outcomes:
    """Listens to a store: groups as they were told, and outcomes by token."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self.groups: list[list[tuple[int, StoreOutcome]]] = []
        self.told: dict[int, StoreOutcome] = {}
        self.order: list[int] = []

    def __call__(self, outcomes: Sequence[tuple[int, StoreOutcome]]) -> None:
        """What the store calls."""
        with self._condition:
            self.groups.append(list(outcomes))
            for token, outcome in outcomes:
                assert token not in self.told, "told twice"
                self.told[token] = outcome
                self.order.append(token)
            self._condition.notify_all()

    def of(self, token: int) -> StoreOutcome:
        """Wait for the outcome of this token."""
        with self._condition:
            assert self._condition.wait_for(lambda: token in self.told, WAIT_S), f"nobody told of {token}"
            return self.told[token]


def put(store: MessageStore, outcomes: Outcomes, token: int, writes: Sequence[Write]) -> StoreOutcome:
    """Submit and wait."""
    store.submit(token, writes)
    return outcomes.of(token)


def batch(
    first: int,
    end: int,
    *,
    room: RoomId = ROOM,
    key: LogKey = LOG,
    sealed_at: int | None = None,
    body_bytes: int = 20,
    seed: int = 0,
) -> PutBatch:
    """A batch of the form that a store sees; nothing in it is signed."""
    sealed = first + 1 if sealed_at is None else sealed_at
    header = HEADER.pack(BATCH_LABEL, BATCH_VERSION, room, key.author, key.log, first, end - first, bytes(32), sealed)
    body = bytes([seed % 256]) * body_bytes
    raw = pack_batch(header, [body] * (end - first), bytes(64))
    return PutBatch(room, key, first, end, sealed, raw)


def writes_of(put_batch: PutBatch, number: int) -> tuple[Write, ...]:
    """What a node writes for one batch: itself, its arrival and the frontier of its log."""
    arrival = PutArrival(
        put_batch.room,
        number,
        put_batch.key,
        put_batch.first,
        put_batch.end,
        put_batch.end,
        live=True,
        backfill=False,
    )
    return put_batch, arrival, PutFrontier(put_batch.room, put_batch.key, b"frontier to %d" % put_batch.end)


def branch_of(number: int) -> bytes:
    """A branch's name: the main one for 0."""
    return MAIN_BRANCH if number == 0 else number.to_bytes(8, "big")


def open_here(folder: Path, notify: Notify | None = None, **options: Any) -> LmdbStore:
    """Open the store of a test's folder as one machine in one boot does."""
    settings: dict[str, Any] = {"machine_id": b"machine", "boot_id": b"boot", "store_id": b"s" * 16, **options}
    return open_store(folder, Outcomes() if notify is None else notify, **settings)


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A real file system of this size, mounted on the folder; the test is skipped where that is not allowed."""
    require(sys.platform == "linux" and os.geteuid() == 0, "a small disk needs Linux and root, to mount a tmpfs")
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", os.fspath(folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    require(made.returncode == 0, f"a tmpfs can't be mounted here: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", os.fspath(folder)], check=True)


def make_read_only(disk: Path) -> None:
    """Mount a small disk anew, read-only: unlike a folder's mode this binds root too."""
    subprocess.run(["mount", "-o", "remount,ro", os.fspath(disk)], check=True)


class Bench:
    """A store and who listens to it."""

    def __init__(self, make: Callable[[Outcomes], MessageStore]) -> None:
        self.outcomes = Outcomes()
        self.store = make(self.outcomes)
        self._tokens = count()

    def put(self, *writes: Write) -> StoreOutcome:
        """Submit and wait."""
        return put(self.store, self.outcomes, next(self._tokens), writes)


BENCHES: dict[str, Callable[[Path], Bench]] = {
    "disk": lambda folder: Bench(lambda outcomes: open_here(folder / "store", outcomes)),
    "memory": lambda _folder: Bench(lambda outcomes: MemoryStore(outcomes)),
}
"""The store on disk and its twin, by name: a contract suite runs over both."""
