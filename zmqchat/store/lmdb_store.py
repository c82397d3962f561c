"""The store on LMDB: opening with all checks, reads on threads of its own, writes through the writer.

Durability is LMDB's default (no NOSYNC, no WRITEMAP). The map grows by doubling between transactions: the
gate lets running reads end and holds new ones back meanwhile. A store is made in a folder beside its place
and renamed, so that a half-made one is never found there.
"""

from __future__ import annotations

import os
import shutil
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import lmdb

from zmqchat.model.errors import HomeUnusable, StoreDamaged, StoreFull, StoreVersion
from zmqchat.model.ids import LogKey, MessageId, RoomId
from zmqchat.model.limits import MAP_BYTES_MIN, READ_THREADS_MAX, READERS_MAX
from zmqchat.protocol.effects import Write
from zmqchat.store.checks import DATA_FILE, check_file
from zmqchat.store.layout import LOG_KEY, U64_MAX, unpack_log_key
from zmqchat.store.reading import Reading
from zmqchat.store.store import SMALL_TABLES, ArrivalRow, Notify, StoreInfo, StoreStats, TimelineKey, TimelineRow
from zmqchat.store.writer import Disk, Writer

SCHEMA: Final = 1
DATABASES: Final = ("batches", "frontier", "timeline", "arrivals", *SMALL_TABLES)
CLOSE_TIMEOUT_S: Final = 5.0
FULL_BYTES: Final = 256 * 1024
"""A disk with less than this free counts as full."""

_SCHEMA_KEY: Final = b"schema"
_ID_KEY: Final = b"store_id"
_GENERATION_KEY: Final = b"generation"
_CLEAN_KEY: Final = b"clean"
_BOOT_KEY: Final = b"boot"
_MACHINE_KEY: Final = b"machine"
_FILE_KEY: Final = b"file"
_U64: Final = struct.Struct(">Q")

_open_files: set[tuple[int, int]] = set()
_open_files_lock = threading.Lock()

Result = TypeVar("Result")


class LmdbStore:
    """One node's store on disk; made by `open_store`."""

    def __init__(self, folder: Path, notify: Notify, *, map_bytes: int, read_only: bool = False) -> None:
        self._folder = folder
        self._map_bytes = map_bytes
        self._read_only = read_only
        self._gate = _Gate()
        self._databases: dict[str, object] = {}
        self._environment = self._open()
        status = (folder / DATA_FILE).stat()
        self._file = (status.st_dev, status.st_ino)
        self._threads = ThreadPoolExecutor(READ_THREADS_MAX, thread_name_prefix="zmqchat-store-reader")
        self._reading = Reading(self._begin_read, self._database)
        self.info = StoreInfo(bytes(16), 0, fresh=False, clean=True, same_boot=True, moved=False)
        disk = Disk(self._begin_write, self._grow, self._grow_ahead, self._is_full, self._reopen, self._database)
        self._writer = Writer(disk, notify)
        self._closed = False

    # Opening -----------------------------------------------------------------------------------------

    def _open(self) -> lmdb.Environment:
        try:
            environment = lmdb.open(
                str(self._folder),
                map_size=self._map_bytes,
                max_dbs=len(DATABASES) + 4,
                max_readers=READERS_MAX,
                readonly=self._read_only,
                create=not self._read_only,
                mode=0o600,
            )
            if not self._read_only:
                environment.reader_check()
            self._databases = {
                name: environment.open_db(name.encode(), create=not self._read_only) for name in DATABASES
            }
        except lmdb.Error as error:
            raise _opening_error(self._folder, error) from error
        return environment

    def begin(self, machine_id: bytes, boot_id: bytes, store_id: bytes) -> None:
        """Read and renew what tells a restart from a copy, and start the writer. Raises StoreVersion."""
        get = self._reading.get
        schema = get("meta", _SCHEMA_KEY)
        if schema is not None and _U64.unpack(schema)[0] > SCHEMA:
            raise StoreVersion(
                f"the store {self._folder} was written by a newer zmqchat (schema {_U64.unpack(schema)[0]}, this one "
                f"knows {SCHEMA}): update zmqchat; nothing was changed"
            )
        known_id = get("meta", _ID_KEY)
        file_id = struct.pack(">QQ", *(part & U64_MAX for part in self._file))
        generation = _U64.unpack(get("meta", _GENERATION_KEY) or bytes(8))[0] + 1
        moved = known_id is not None and (get("meta", _MACHINE_KEY), get("meta", _FILE_KEY)) != (machine_id, file_id)
        self.info = StoreInfo(
            store_id=known_id or store_id,
            generation=generation,
            fresh=known_id is None,
            clean=known_id is None or get("meta", _CLEAN_KEY) == b"\1",
            same_boot=known_id is None or get("meta", _BOOT_KEY) == boot_id,
            moved=moved,
        )
        self._write_meta(
            {
                _SCHEMA_KEY: _U64.pack(SCHEMA),
                _ID_KEY: self.info.store_id,
                _GENERATION_KEY: _U64.pack(generation),
                _CLEAN_KEY: b"\0",
                _BOOT_KEY: boot_id,
                _MACHINE_KEY: machine_id,
                _FILE_KEY: file_id,
            }
        )
        self._writer.start()

    def _write_meta(self, rows: dict[bytes, bytes]) -> None:
        try:
            with self._environment.begin(write=True, db=self._databases["meta"]) as transaction:
                for key, value in rows.items():
                    transaction.put(key, value)
        except lmdb.Error as error:
            if self._is_full():
                raise StoreFull(str(self._folder)) from error
            raise _opening_error(self._folder, error) from error

    # The writer's environment ------------------------------------------------------------------------

    def _begin_write(self) -> lmdb.Transaction:
        return self._environment.begin(write=True)

    def _database(self, name: str) -> object:
        return self._databases[name]

    def _grow(self) -> None:
        self._map_bytes *= 2
        with self._gate.closed():
            self._environment.set_mapsize(self._map_bytes)

    def _grow_ahead(self) -> None:
        info = self._environment.info()
        used_bytes = (info["last_pgno"] + 1) * self._environment.stat()["psize"]
        if used_bytes * 4 > self._map_bytes * 3:
            self._grow()

    def _is_full(self) -> bool:
        try:
            return shutil.disk_usage(self._folder).free < FULL_BYTES
        except OSError:
            return False

    def _reopen(self) -> None:
        with self._gate.closed():
            self._environment.close()
            self._environment = self._open()

    # What the runner uses ------------------------------------------------------------------------------

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for the writer."""
        return self._writer.queued_bytes

    def submit(self, token: int, writes: Sequence[Write]) -> None:
        """Queue these writes; they are kept together or not at all, after all earlier ones."""
        self._writer.submit(token, writes)

    def read(self, function: Callable[[], Result]) -> Future[Result]:
        """Run a function that uses the load methods on a read thread."""
        return self._threads.submit(function)

    @contextmanager
    def _begin_read(self) -> Iterator[lmdb.Transaction]:
        with self._gate.open(), self._environment.begin() as transaction:
            yield transaction

    def load_range(
        self, room: RoomId, key: LogKey, first: int, end: int, bytes_max: int, *, newest_first: bool = False
    ) -> tuple[bytes, ...]:
        """Whole batches that hold numbers of [first, end), at least one where there is any, rising."""
        return self._reading.load_range(room, key, first, end, bytes_max, newest_first=newest_first)

    def load_arrivals(self, room: RoomId, number: int, rows_max: int, bytes_max: int) -> list[ArrivalRow]:
        """Rows from the one that holds this arrival number on, at least one where there is any."""
        return self._reading.load_arrivals(room, number, rows_max, bytes_max)

    def next_arrival(self, room: RoomId) -> int:
        """The number that the room's next arrival gets: 1 in an empty room."""
        return self._reading.next_arrival(room)

    def load_timeline(
        self, room: RoomId, before: TimelineKey | None, rows_max: int, bytes_max: int
    ) -> list[TimelineRow]:
        """The last rows before a place (None: the end) in timeline order."""
        return self._reading.load_timeline(room, before, rows_max, bytes_max)

    def find_batch(self, room: RoomId, message: MessageId) -> list[bytes]:
        """The stored batches that hold this number of this log, one a branch."""
        return self._reading.find_batch(room, message)

    def frontiers(self) -> list[tuple[RoomId, LogKey, bytes]]:
        """All packed frontiers."""
        found = []
        with self._begin_read() as transaction:
            for raw, value in transaction.cursor(db=self._databases["frontier"]):
                if len(raw) == LOG_KEY.size:
                    found.append((*unpack_log_key(raw), bytes(value)))
        return found

    def rows(self, table: str) -> list[tuple[bytes, bytes]]:
        """All rows of a small table in key order."""
        with self._begin_read() as transaction:
            return [(bytes(key), bytes(value)) for key, value in transaction.cursor(db=self._databases[table])]

    def get(self, table: str, key: bytes) -> bytes | None:
        """One row of a small table."""
        return self._reading.get(table, key)

    def stats(self) -> StoreStats:
        """Sizes, in bytes."""
        with self._gate.open():
            info, stat = self._environment.info(), self._environment.stat()
            with self._environment.begin() as transaction:
                batches = transaction.stat(self._databases["batches"])["entries"]
        status = os.stat(self._folder)
        return StoreStats(
            file_bytes=(info["last_pgno"] + 1) * stat["psize"],
            map_bytes=info["map_size"],
            used_bytes=(info["last_pgno"] + 1) * stat["psize"],
            disk_free_bytes=shutil.disk_usage(self._folder).free if status else 0,
            queued_bytes=self._writer.queued_bytes,
            groups=self._writer.groups,
            batches=batches,
        )

    def close(self) -> None:
        """Write what is queued, mark the store clean and let go of it; bounded by a few seconds."""
        if self._closed:
            return
        self._closed = True
        written = self._read_only or self._writer.close(CLOSE_TIMEOUT_S)
        self._threads.shutdown(wait=True)
        if written:
            if not self._read_only:
                self._mark_clean()
            with self._gate.closed():
                self._environment.close()
        with _open_files_lock:
            _open_files.discard(self._file)

    def _mark_clean(self) -> None:
        try:
            with self._environment.begin(write=True, db=self._databases["meta"]) as transaction:
                transaction.put(_CLEAN_KEY, b"\1")
        except lmdb.Error:
            return  # a full disk: the next start takes it for an unclean stop, which is the safe side


class _Gate:
    """Many readers, or one who resizes: an LMDB map may only change while no transaction runs."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._readers = 0
        self._shut = False

    @contextmanager
    def open(self) -> Iterator[None]:
        with self._condition:
            while self._shut:
                self._condition.wait()
            self._readers += 1
        try:
            yield
        finally:
            with self._condition:
                self._readers -= 1
                self._condition.notify_all()

    @contextmanager
    def closed(self) -> Iterator[None]:
        with self._condition:
            while self._shut:
                self._condition.wait()
            self._shut = True
            while self._readers:
                self._condition.wait()
        try:
            yield
        finally:
            with self._condition:
                self._shut = False
                self._condition.notify_all()


def open_store(
    folder: Path,
    notify: Notify,
    *,
    machine_id: bytes,
    boot_id: bytes,
    store_id: bytes,
    map_bytes: int = MAP_BYTES_MIN,
) -> LmdbStore:
    """Open the store in this folder, made where there is none; `store_id` is 16 random bytes for a new one.

    Raises StoreDamaged, StoreVersion, HomeUnusable or StoreFull; nothing is overwritten.
    """
    if folder.exists():
        check_file(folder)
    else:
        _make(folder, map_bytes)
    status = (folder / DATA_FILE).stat()
    file = (status.st_dev, status.st_ino)
    with _open_files_lock:
        if file in _open_files:
            raise HomeUnusable(f"the store {folder} is open in this process already: stop that node first")
        _open_files.add(file)
    try:
        store = LmdbStore(folder, notify, map_bytes=max(map_bytes, 2 * status.st_size))
        store.begin(machine_id, boot_id, store_id)
    except BaseException:
        with _open_files_lock:
            _open_files.discard(file)
        raise
    return store


def inspect_store(folder: Path) -> LmdbStore:
    """Open a store read-only, also while a node uses it: for `doctor` and backups in another process."""
    check_file(folder)
    size_bytes = (folder / DATA_FILE).stat().st_size
    return LmdbStore(folder, lambda _outcomes: None, map_bytes=max(MAP_BYTES_MIN, 4 * size_bytes), read_only=True)


def _make(folder: Path, map_bytes: int) -> None:
    """Make an empty store beside its place, then rename: a killed process leaves no half-made one."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(mode=0o700)
        LmdbStore(temporary, lambda _outcomes: None, map_bytes=map_bytes)._environment.close()
        temporary.rename(folder)
    except StoreDamaged as error:
        raise HomeUnusable(f"no store can be made in {folder.parent}: {error}") from error
    except OSError as error:
        raise HomeUnusable(
            f"no store can be made in {folder.parent} ({error.strerror}): free some room, or choose another folder with --home"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _opening_error(folder: Path, error: lmdb.Error) -> StoreDamaged | HomeUnusable:
    if isinstance(error, lmdb.CorruptedError | lmdb.InvalidError | lmdb.VersionMismatchError | lmdb.PageNotFoundError):
        return StoreDamaged(
            f"the store {folder} is damaged ({error}): restore it from a backup, or move the folder away and start "
            "again: what others hold comes back from them. Nothing was changed"
        )
    return HomeUnusable(f"the store {folder} can't be opened ({error}): is it yours, and is there room on the disk?")
