"""The LMDB environment: opening, transactions, growth of its map, closing; every call of py-lmdb that changes state.

Durability is LMDB's default (no NOSYNC, no WRITEMAP). The map grows by doubling between transactions: the
gate lets running reads end and holds new ones back meanwhile.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import lmdb

from zmqchat.model.errors import HomeUnusable, NodeClosed, StoreBroken, StoreDamaged, ZmqChatError
from zmqchat.model.limits import MIB, READERS_MAX
from zmqchat.store.checks import FIX
from zmqchat.store.filesystems import allocate
from zmqchat.store.gate import Gate
from zmqchat.store.layout import DATABASES

MAP_BYTES_MAX: Final = 1024 * MIB if sys.maxsize < 2**32 else 2**46
"""Where the map stops growing: what the address space bears."""

LOCK_FILE: Final = "lock.mdb"
LOCK_BYTES: Final = 128 * READERS_MAX
"""More than its header and READERS_MAX slots of 64 bytes need."""

GATE_TIMEOUT_S: Final = 30.0
READER_CHECK_S: Final = 3600.0
_DATABASES_MAX: Final = 24

_DAMAGE = (
    lmdb.CorruptedError,
    lmdb.InvalidError,
    lmdb.VersionMismatchError,
    lmdb.PageNotFoundError,
    lmdb.IncompatibleError,
    lmdb.PanicError,
)


class MapSize(NamedTuple):
    """Bytes of the map that are used and there."""

    used_bytes: int
    map_bytes: int


class Environment:
    """One open environment of this process."""

    def __init__(
        self, folder: Path, *, map_bytes: int, map_bytes_max: int = MAP_BYTES_MAX, read_only: bool = False
    ) -> None:
        self.folder = folder
        self.read_only = read_only
        self._map_bytes = min(map_bytes, map_bytes_max)
        self._map_bytes_max = map_bytes_max
        self._gate = Gate()
        self._why_not: ZmqChatError | None = None
        self._readers_checked_s = 0.0
        self._databases: dict[str, lmdb._Database] = {}
        self._lmdb: lmdb.Environment | None = self._open()

    def _open(self) -> lmdb.Environment:
        self._reserve_lock_file()
        environment = None
        try:
            environment = lmdb.open(
                os.fspath(self.folder),
                map_size=self._map_bytes,
                max_dbs=_DATABASES_MAX,
                max_readers=READERS_MAX,
                readonly=self.read_only,
                create=not self.read_only,
                mode=0o600,
            )
            self._databases = {
                name: environment.open_db(name.encode(), create=not self.read_only) for name in DATABASES
            }
        except lmdb.Error as error:
            if environment is not None:
                environment.close()
            raise opening_error(self.folder, error) from error
        return environment

    def _reserve_lock_file(self) -> None:
        """LMDB leaves holes in its lock file, which it maps; nothing of it is open here at this moment."""
        try:
            allocate(self.folder / LOCK_FILE, LOCK_BYTES)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise no_room(self.folder) from error
            # Whatever else it is, LMDB tells it, or does without the file where the disk is read-only.

    # Transactions ------------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[tuple[lmdb.Transaction[bytes], dict[str, lmdb._Database]]]:
        """A read transaction; keep it short. Raises StoreDamaged, StoreBroken or NodeClosed."""
        self._gate.enter()
        try:
            try:
                transaction = self._opened().begin()
            except lmdb.MapResizedError:
                # The node that owns this store grew the map; only an inspector of another process gets here.
                self._gate.leave()
                self._adopt_map_size()
                self._gate.enter()
                transaction = self._opened().begin()
            with transaction:
                yield transaction, self._databases
        except lmdb.Error as error:
            raise StoreDamaged(f"the store {self.folder} can't be read ({error}): {FIX}") from error
        finally:
            self._gate.leave()

    def write(self, fill: Callable[[lmdb.Transaction[bytes], dict[str, lmdb._Database]], object]) -> None:
        """Run `fill` in a write transaction and commit it. Raises lmdb.Error; then nothing of it is kept."""
        transaction = self._opened().begin(write=True)
        try:
            fill(transaction, self._databases)
            self.commit(transaction)
        except BaseException:
            transaction.abort()
            raise

    def commit(self, transaction: lmdb.Transaction[bytes]) -> None:
        """Make a transaction durable; a test double fails here."""
        transaction.commit()

    def _opened(self) -> lmdb.Environment:
        if self._lmdb is None:
            raise self._why_not or NodeClosed("the store is closed")
        return self._lmdb

    # The map -----------------------------------------------------------------------------------------

    def size(self) -> MapSize:
        """How much of the map is used."""
        environment = self._opened()
        pages = environment.info()["last_pgno"] + 1
        return MapSize(pages * environment.stat()["psize"], self._map_bytes)

    def make_room(self, bytes_ahead: int) -> None:
        """Grow ahead, so that a group of this size leaves a quarter of the map free."""
        used_bytes = self.size().used_bytes + 2 * bytes_ahead
        while used_bytes * 4 > self._map_bytes * 3 and self.grow():
            pass
        if time.monotonic() - self._readers_checked_s > READER_CHECK_S:
            # Killed inspectors leave their reader slots behind.
            self._readers_checked_s = time.monotonic()
            self._opened().reader_check()

    def grow(self) -> bool:
        """Double the map; False where it may not grow. Raises TimeoutError where a read does not end."""
        larger = min(2 * self._map_bytes, self._map_bytes_max)
        if larger <= self._map_bytes:
            return False
        with self._gate.shut(GATE_TIMEOUT_S):
            self._opened().set_mapsize(larger)
            self._map_bytes = larger
        return True

    def _adopt_map_size(self) -> None:
        with self._gate.shut(GATE_TIMEOUT_S):
            environment = self._opened()
            environment.set_mapsize(0)
            self._map_bytes = environment.info()["map_size"]

    # The end -----------------------------------------------------------------------------------------

    def reopen(self) -> None:
        """Close and open again after the disk failed. Raises what opening raises; then reads do so too."""
        with self._gate.shut(GATE_TIMEOUT_S):
            self._close()
            try:
                self._lmdb = self._open()
            except ZmqChatError as error:
                self._why_not = StoreBroken(f"the store {self.folder} could not be opened again: {error}")
                raise

    def close(self, timeout_s: float) -> bool:
        """Let go of the file; False where a read does not end, and the file stays open (unmapping it would crash)."""
        try:
            with self._gate.shut(timeout_s):
                self._close()
        except TimeoutError:
            return False
        return True

    def _close(self) -> None:
        environment, self._lmdb = self._lmdb, None
        self._databases = {}
        if environment is not None:
            environment.close()


def no_room(folder: Path) -> HomeUnusable:
    """The error of a store that finds no room to be opened."""
    return HomeUnusable(f"no room left on the disk that holds {folder}: free some and start again")


def opening_error(folder: Path, error: Exception) -> ZmqChatError:
    """What an error of LMDB at opening means for whoever started the node."""
    if isinstance(error, _DAMAGE):
        return StoreDamaged(f"the store {folder} is damaged ({error}): {FIX}")
    if isinstance(error, lmdb.ReadonlyError) or any(
        text in str(error) for text in ("Permission denied", "Read-only", "not permitted")
    ):
        return HomeUnusable(f"the store {folder} can't be written ({error}): make it writable, or run as its owner")
    return HomeUnusable(f"the store {folder} can't be opened ({error}): is there room on the disk, is it sound?")
