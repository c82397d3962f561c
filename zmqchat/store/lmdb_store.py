"""The store on LMDB: opening with all checks, reads on threads of its own, writes through the writer.

Order of an opening: the folder is claimed for this process (an environment opened twice, and even a plain
open and close of its files, breaks LMDB's locks), the file system and the file are looked at, LMDB opens
it, its record is read and renewed (`about.py`), the writer starts. A new store is made in a folder beside
its place and its file is renamed into it, so that a half-made one is never found there.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import lmdb

from zmqchat.model.errors import HomeInUse, HomeUnusable, NodeClosed, NotStored, WrongProcess
from zmqchat.model.limits import MAP_BYTES_MIN, READ_THREADS_MAX, STORE_FREE_BYTES_MIN
from zmqchat.protocol.effects import Write
from zmqchat.store.about import SETTLED_BY, Place, Record, closed, first_record, opened, place, read_record
from zmqchat.store.checks import DATA_FILE, check_file
from zmqchat.store.environment import MAP_BYTES_MAX, Environment, no_room, opening_error
from zmqchat.store.filesystems import check_filesystem, file_generation, free_bytes, sync_folder
from zmqchat.store.layout import ABOUT
from zmqchat.store.reading import Cursor, Reading, Snapshot
from zmqchat.store.space import Space
from zmqchat.store.store import Notify, StoreInfo, StoreStats
from zmqchat.store.writer import Rows, Writer

CLOSE_TIMEOUT_S: Final = 5.0
SLOW_READ_S: Final = 2.0

Claim = tuple[int, int, int]
_open_folders: dict[Claim, object] = {}
"""Folders that are open, by process (a forked child starts without any), device and inode."""

_log = logging.getLogger(__name__)

Result = TypeVar("Result")


class _LmdbSnapshot(NamedTuple):
    transaction: lmdb.Transaction[bytes]
    databases: dict[str, lmdb._Database]

    def get(self, database: str, key: bytes) -> bytes | None:
        return self.transaction.get(key, db=self.databases[database])

    def cursor(self, database: str) -> Cursor:
        return self.transaction.cursor(db=self.databases[database])


class LmdbStore(Reading):
    """One node's store on disk; made by `open_store` or, for looking only, by `inspect_store`."""

    def __init__(self, environment: Environment, here: Place, claim: Claim | None) -> None:
        super().__init__(self._snapshot)
        self.info = StoreInfo(bytes(16), 0, fresh=False, clean=True, same_boot=True, moved=False)
        self._environment = environment
        self._here = here
        self._claim = claim
        self._process = os.getpid()
        self._threads = ThreadPoolExecutor(READ_THREADS_MAX, thread_name_prefix="zmqchat-store-reader")
        self._writer: Writer | None = None
        self._closed = False

    def _look(self) -> Record:
        """What the store tells of itself. Raises StoreVersion or StoreDamaged."""
        record = read_record(self.get, os.fspath(self._environment.folder))
        _, self.info = opened(record, self._here)
        return record

    def _take_over(self, notify: Notify, warnings: tuple[str, ...]) -> None:
        """Begin a new generation and start the writer. Raises HomeUnusable where the disk has no room."""
        record = self._look()
        renewed, info = opened(record, self._here, 1 + int.from_bytes(os.urandom(4), "big"))
        self.info = info._replace(warnings=warnings)
        space = Space(self._environment.folder)
        try:
            self._put_rows(renewed.rows())
        except lmdb.Error as error:
            if not space.lacks(error, 0):
                raise opening_error(self._environment.folder, error) from error
            space.ran_full()
            self._put_rows_on_a_full_disk(space, renewed.rows())
        self._writer = Writer(self._environment, space, notify, complete=self._complete, last=self._mark_clean)
        self._writer.start()

    def _put_rows_on_a_full_disk(self, space: Space, rows: dict[bytes, bytes]) -> None:
        try:
            space.give_up_reserve()
            self._put_rows(rows)
        except lmdb.Error as error:
            raise no_room(self._environment.folder) from error

    def _put_rows(self, rows: dict[bytes, bytes]) -> None:
        def fill(transaction: lmdb.Transaction[bytes], databases: dict[str, lmdb._Database]) -> None:
            for key, value in rows.items():
                transaction.put(key, value, db=databases[ABOUT])

        self._environment.write(fill)

    def _complete(self, rows: Rows) -> None:
        """Record where the store lies now, together with the row that settles the own log."""
        table, key = SETTLED_BY
        if key in rows.get(table, ()):
            record = read_record(self.get, os.fspath(self._environment.folder))
            rows.setdefault(ABOUT, {}).update(record._replace(place=self._here).rows())

    def _mark_clean(self) -> None:
        try:
            record = read_record(self.get, os.fspath(self._environment.folder))
            self._put_rows(closed(record, self._here).rows())
        except Exception as error:  # noqa: BLE001 - a failing disk: the next start sees an unclean stop, the safe side
            _log.warning("the store could not be marked as closed: %s", error, exc_info=True)

    # What the runner uses ------------------------------------------------------------------------------

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for the writer."""
        return self._writer.queued_bytes if self._writer else 0

    def submit(self, token: int, writes: Sequence[Write]) -> None:
        """Queue these writes; they are kept together or not at all, after all earlier ones. Never blocks.

        Answered once through `notify`, also where too much waits already. Raises NodeClosed, WrongProcess,
        NotStored for a store that is only looked at, and ValueError for rows that no table can hold.
        """
        self._check_usable()
        if self._writer is None:
            raise NotStored("the store was opened for looking only")
        self._writer.submit(token, writes)

    def read(self, function: Callable[[], Result]) -> Future[Result]:
        """Run a function that uses the load methods on a read thread; its error is the future's."""
        self._check_usable()
        return self._threads.submit(_timed, function)

    def stats(self) -> StoreStats:
        """Sizes; reads the disk, so call it through `read`."""
        self._check_usable()
        size = self._environment.size()
        with self._environment.reading() as (transaction, databases):
            counts = {name: transaction.stat(db=database) for name, database in databases.items()}
        pages = sum(stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"] for stat in counts.values())
        page_bytes = counts["batches"]["psize"]
        return StoreStats(
            file_bytes=(self._environment.folder / DATA_FILE).stat().st_size,
            map_bytes=size.map_bytes,
            used_bytes=min(size.used_bytes, pages * page_bytes),
            disk_free_bytes=free_bytes(self._environment.folder) or 0,
            queued_bytes=self.queued_bytes,
            groups=self._writer.groups if self._writer else 0,
            batches=counts["batches"]["entries"],
        )

    def close(self) -> None:
        """Write what is queued, mark the store clean and let go of it; bounded by twice CLOSE_TIMEOUT_S."""
        if self._closed or self._process != os.getpid():
            return
        self._closed = True
        written = self._writer is None or self._writer.close(CLOSE_TIMEOUT_S)
        self._threads.shutdown(wait=False, cancel_futures=True)
        if not written or not self._environment.close(CLOSE_TIMEOUT_S):
            # Unmapping the file under a thread that uses it would crash; the process is about to end anyway.
            _log.error("the store %s does not end: the disk hangs", self._environment.folder)
            return
        self._threads.shutdown(wait=True)
        if self._claim is not None:
            _open_folders.pop(self._claim, None)

    @contextmanager
    def _snapshot(self) -> Iterator[Snapshot]:
        with self._environment.reading() as (transaction, databases):
            yield _LmdbSnapshot(transaction, databases)

    def _check_usable(self) -> None:
        if self._process != os.getpid():
            raise WrongProcess("the store was opened before this process was forked: open one of its own")
        if self._closed:
            raise NodeClosed("the store is closed")


def open_store(
    folder: Path,
    notify: Notify,
    *,
    machine_id: bytes,
    boot_id: bytes,
    store_id: bytes,
    map_bytes: int = MAP_BYTES_MIN,
    map_bytes_max: int = MAP_BYTES_MAX,
    unsafe_home: bool = False,
) -> LmdbStore:
    """Open the store in this folder, made where there is none; `store_id` is 16 random bytes for a new one.

    `notify` is called on the writer's thread. `unsafe_home` allows a network file system. Raises
    StoreDamaged, StoreVersion, HomeInUse or HomeUnusable; nothing is overwritten.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        claim = _claim(folder)
    except OSError as error:
        raise _no_store(folder, error) from error
    store = None
    try:
        warnings = check_filesystem(folder, unsafe_home=unsafe_home)
        if not (folder / DATA_FILE).exists():
            _make(folder, store_id)
        size_bytes = check_file(folder)
        # Before LMDB opens it: a plain open and close later would free LMDB's locks.
        data = folder / DATA_FILE
        here = place(machine_id, boot_id, data.stat().st_ino, file_generation(data))
        environment = Environment(folder, map_bytes=max(map_bytes, 2 * size_bytes), map_bytes_max=map_bytes_max)
        store = LmdbStore(environment, here, claim)
        store._take_over(notify, warnings)
    except BaseException:
        if store is not None:
            store.close()
        _open_folders.pop(claim, None)
        raise
    return store


def inspect_store(folder: Path) -> LmdbStore:
    """Open a store for looking only, also while a node of another process uses it.

    Raises StoreDamaged, StoreVersion, HomeInUse (by this process) or HomeUnusable.
    """
    try:
        claim = _claim(folder)
    except OSError as error:
        raise HomeUnusable(f"there is no store in {folder} ({error.strerror})") from error
    store = None
    try:
        size_bytes = check_file(folder)
        environment = Environment(folder, map_bytes=max(MAP_BYTES_MIN, 4 * size_bytes), read_only=True)
        store = LmdbStore(environment, place(b"", b"", 0), claim)
        store._look()
    except BaseException:
        if store is not None:
            store.close()
        _open_folders.pop(claim, None)
        raise
    return store


def _claim(folder: Path) -> Claim:
    """Note that this process uses the folder. Raises HomeInUse where it does already, OSError without one."""
    status = folder.stat()
    claim = (os.getpid(), status.st_dev, status.st_ino)
    mine = object()
    # One atomic step: two threads may get here at once.
    if _open_folders.setdefault(claim, mine) is not mine:
        raise HomeInUse(os.fspath(folder), os.getpid())
    return claim


def _make(folder: Path, store_id: bytes) -> None:
    """Make an empty store beside its place, then rename: a killed process leaves no half-made one."""
    temporary = folder.with_name(f".{folder.name}.new")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(mode=0o700)
        environment = Environment(temporary, map_bytes=MAP_BYTES_MIN)
        store = LmdbStore(environment, place(b"", b"", 0), None)
        try:
            store._put_rows(first_record(store_id).rows())
        finally:
            store.close()
        os.replace(temporary / DATA_FILE, folder / DATA_FILE)
        sync_folder(folder)
        sync_folder(folder.parent)
    except (OSError, lmdb.Error, HomeUnusable) as error:
        free = free_bytes(folder)
        if free is not None and free < STORE_FREE_BYTES_MIN:
            raise no_room(folder) from error
        if isinstance(error, OSError):
            raise _no_store(folder, error) from error
        if isinstance(error, lmdb.Error):
            raise opening_error(folder, error) from error
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _timed(function: Callable[[], Result]) -> Result:
    """A read that takes long keeps old pages from being used again: the file grows."""
    began_s = time.monotonic()
    try:
        return function()
    finally:
        took_s = time.monotonic() - began_s
        if took_s > SLOW_READ_S:
            _log.warning("a read of the store took %.1f s: %s", took_s, getattr(function, "__qualname__", function))


def _no_store(folder: Path, error: OSError) -> HomeUnusable:
    return HomeUnusable(
        f"no store can be made in {folder} ({error.strerror}): make it writable, or choose another folder with --home"
    )
