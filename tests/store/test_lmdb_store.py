"""Opening, closing, crashing and copying the real store."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import lmdb
import pytest

from tests.protocol.test_keeping import BEGUN_S, Chosen, keeper, member
from tests.support.fakelink import FakeNet, lobby, quick
from tests.support.fakestore import FakeStore
from tests.support.sources import REPO
from tests.support.stores import LOG, ROOM, Outcomes, batch, make_read_only, open_here, put, small_disk, writes_of
from zmqchat.model.errors import HomeInUse, HomeUnusable, NotStored, StoreDamaged, StoreVersion, WrongProcess
from zmqchat.model.ids import LogKey
from zmqchat.model.limits import KEPT_BATCH_BYTES, KIB, MIB
from zmqchat.protocol.effects import DropBatch, PutRow, Store
from zmqchat.protocol.facts import Fact
from zmqchat.store.about import RECORD_KEY, SCHEMA, SCHEMA_KEY, SETTLED_BY
from zmqchat.store.checks import DATA_FILE
from zmqchat.store.lmdb_store import LmdbStore, inspect_store
from zmqchat.store.store import SMALL_TABLES, StoreInfo
from zmqchat.wire.batches import HEADER, HEADER_OFFSET

ALL = 1 << 30
KILLS = 12


def _about(folder: Path, key: bytes, value: bytes | None) -> None:
    """Change what a closed store tells of itself."""
    environment = lmdb.open(os.fspath(folder), max_dbs=24, map_size=64 * MIB)
    about = environment.open_db(b"about")
    with environment.begin(write=True) as transaction:
        if value is None:
            transaction.delete(key, db=about)
        else:
            transaction.put(key, value, db=about)
    environment.close()


def test_a_store_is_made_opened_again_and_told_apart(tmp_path: Path) -> None:
    """Fresh once, clean after a stop, a generation higher each time, the id for good, parents made."""
    folder = tmp_path / "deep" / "home" / "store"
    store = open_here(folder)
    first = store.info.generation
    assert first > 0 and store.info[:6] == (b"s" * 16, first, True, True, True, False)
    store.close()
    store = open_here(folder, store_id=b"another, ignored")
    later = store.info.generation
    assert later > first and store.info[:6] == (b"s" * 16, later, False, True, True, False)
    store.close()
    assert sorted(path.name for path in folder.iterdir()) == ["data.mdb", "lock.mdb", "reserve"]
    assert [path.name for path in folder.parent.iterdir()] == ["store"]
    assert stat.S_IMODE((folder / DATA_FILE).stat().st_mode) == 0o600


def test_a_half_made_store_is_made_anew(tmp_path: Path) -> None:
    """What a process left that was killed while it made one is removed."""
    leftover = tmp_path / ".store.new"
    leftover.mkdir()
    (leftover / DATA_FILE).write_bytes(b"half")
    (tmp_path / "store").mkdir()
    store = open_here(tmp_path / "store")
    assert store.info.fresh
    store.close()
    assert not leftover.exists()


def test_killed_at_any_moment_every_acknowledged_batch_is_there(tmp_path: Path) -> None:
    """SIGKILL again and again in mid-stream: the store opens without repair, and nothing acknowledged is missing."""
    folder = tmp_path / "store"
    acknowledged: set[int] = set()
    first = 0
    for kill in range(KILLS):
        with subprocess.Popen(
            [sys.executable, "-m", "tests.support.store_writer", os.fspath(folder), str(first)],
            cwd=REPO,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            lines = [int(process.stdout.readline()) for _ in range(3 + 29 * kill % 60)]
            process.send_signal(signal.SIGKILL)
            lines += [int(line) for line in process.stdout.read().splitlines()]
        acknowledged |= set(lines)
        store = open_here(folder)
        assert (store.info.clean, store.info.same_boot, store.info.moved) == (False, True, False)
        stored = [row.arrival.first for row in store.load_arrivals(ROOM, 0, 1 << 20, ALL) if row.raw is not None]
        assert acknowledged <= set(stored)
        assert stored == list(range(len(stored)))
        assert len(store.load_range(ROOM, LOG, 0, 1 << 40, ALL)) == len(stored)
        assert len(store.load_timeline(ROOM, None, 1 << 20, ALL)) == len(stored)
        assert store.frontiers() == [(ROOM, LOG, b"frontier to %d" % len(stored))]
        first = len(stored)
        # Not closed cleanly here either: each opening finds a crash.
        store.close()
        _unclean(folder)


def _unclean(folder: Path) -> None:
    environment = lmdb.open(os.fspath(folder), max_dbs=24, map_size=256 * MIB)
    about = environment.open_db(b"about")
    with environment.begin(write=True) as transaction:
        raw = bytearray(transaction.get(RECORD_KEY, db=about) or b"")
        raw[24] = 0
        transaction.put(RECORD_KEY, bytes(raw), db=about)
    environment.close()


def test_a_full_disk_refuses_reads_on_and_works_again(tmp_path: Path) -> None:
    """On a real small file system: StoreFull for batches, reading and small rows go on, room makes it work again."""
    with small_disk(tmp_path / "disk", 6 * MIB) as disk:
        outcomes = Outcomes()
        store = open_here(disk / "store", outcomes, map_bytes=256 * KIB)
        assert "after a reboot" in store.info.warnings[0]
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(2 * MIB))
        number = 0
        while put(store, outcomes, number, writes_of(batch(number, number + 1, body_bytes=60_000), number + 1)).ok:
            number += 1
        assert 5 < number < 100
        assert outcomes.of(number).full
        refused = put(store, outcomes, 1_000, writes_of(batch(number, number + 1, body_bytes=60_000), number + 1))
        assert (refused.ok, refused.full) == (False, True)
        for token in range(2_000, 2_050):
            assert put(store, outcomes, token, (PutRow("meta", b"read position", b"%d" % token),)).ok
        assert store.get("meta", b"read position") == b"2049"
        assert len(store.load_range(ROOM, LOG, 0, 1 << 40, ALL)) == number
        assert store.next_arrival(ROOM) == number + 1
        ballast.unlink()
        for later in range(number, number + 5):
            writes = writes_of(batch(later, later + 1, body_bytes=60_000), later + 1)
            assert put(store, outcomes, 3_000 + later, writes).ok
        store.close()
        store = open_here(disk / "store")
        assert store.info.clean
        assert len(store.load_range(ROOM, LOG, 0, 1 << 40, ALL)) == number + 5
        store.close()


def test_a_store_on_a_full_disk_opens_and_closes(tmp_path: Path) -> None:
    """The reserve lets a node start, read and stop where not a block is left."""
    with small_disk(tmp_path / "disk", 6 * MIB) as disk:
        outcomes = Outcomes()
        store = open_here(disk / "store", outcomes)
        assert put(store, outcomes, 0, writes_of(batch(0, 1, body_bytes=60_000), 1)).ok
        store.close()
        _fill(disk / "ballast")
        outcomes = Outcomes()
        store = open_here(disk / "store", outcomes)
        assert len(store.load_range(ROOM, LOG, 0, 9, ALL)) == 1
        assert put(store, outcomes, 0, writes_of(batch(1, 2, body_bytes=60_000), 2)).full
        store.close()
        (disk / "ballast").unlink()
        store = open_here(disk / "store", outcomes)
        assert put(store, outcomes, 1, writes_of(batch(1, 2, body_bytes=60_000), 2)).ok
        store.close()


def test_a_new_store_on_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    """Nothing half-made stays, and the message says what to do."""
    with small_disk(tmp_path / "disk", MIB) as disk:
        _fill(disk / "ballast")
        with pytest.raises(HomeUnusable, match="free some"):
            open_here(disk / "store")
        assert [path.name for path in disk.rglob("*") if path.is_file()] == ["ballast"]
        (disk / "ballast").unlink()
        open_here(disk / "store").close()


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


class _OnDiskToo(FakeStore):
    """A fake store whose writes go to a real one, too."""

    def __init__(self, store: LmdbStore, outcomes: Outcomes) -> None:
        super().__init__()
        self._store = store
        self._outcomes = outcomes

    def write(self, store: Store) -> Fact:
        """To both; they take it alike."""
        assert put(self._store, self._outcomes, self.commits, store.writes).ok
        return super().write(store)


def test_a_keeper_goes_on_from_what_it_has_kept_and_dropped_on_a_real_disk(tmp_path: Path) -> None:
    """Over its quota: the disk holds what the count says, after a restart too, and its space is used again."""
    quota = 64 * KIB
    net = FakeNet(config=quick(sync_interval_s=5.0, keeper_mib=quota / MIB))
    outcomes = Outcomes()
    store = open_here(tmp_path / "store", outcomes)
    ann = member(net, "ann")
    kim = keeper(net, "kim", ann, store=_OnDiskToo(store, outcomes))
    net.run(BEGUN_S)
    used_bytes = []
    for number in range(60):
        ann.say(f"{number} {'x' * 4_000}", room="den")
        net.run(1.0)
        used_bytes.append(store.stats().used_bytes)
    store.close()
    store = open_here(tmp_path / "store")
    den, key = lobby("den"), LogKey(ann.peer, ann.data.ledger.own_log)
    held = store.load_range(den, key, 0, 1 << 40, ALL)
    assert held == tuple(put.raw for put in kim.store.batches[den, key].values()) and len(held) < 20
    assert [row.raw for row in store.load_timeline(den, None, 1 << 20, ALL)] == list(held)
    assert dict(store.rows("kept")) == kim.store.tables["kept"]
    assert {(room, log): row for room, log, row in store.frontiers()} == kim.store.frontiers
    assert max(used_bytes) < 3 * used_bytes[20], "what was dropped makes room"
    later = FakeStore()
    later.tables = {table: dict(store.rows(table)) for table in SMALL_TABLES}
    later.frontiers = {(room, log): row for room, log, row in store.frontiers()}
    store.close()
    before = kim.data.custody.kept_bytes
    kim.kill()
    kim = net.node("kim", crypto=kim.crypto, store=later, choice=Chosen())
    assert kim.data.custody.kept_bytes == before == sum(len(raw) + KEPT_BATCH_BYTES for raw in held) <= quota


def test_dropping_goes_on_where_the_disk_is_full(tmp_path: Path) -> None:
    """What is kept for others may go though no batch finds room; it is gone after a restart, too."""
    with small_disk(tmp_path / "disk", 6 * MIB) as disk:
        outcomes = Outcomes()
        store = open_here(disk / "store", outcomes, map_bytes=256 * KIB)
        batches, number = [], 0
        while True:
            write = batch(number, number + 1, body_bytes=60_000)
            if not put(store, outcomes, number, writes_of(write, number + 1)).ok:
                break
            batches.append(write)
            number += 1
        for token, write in enumerate(batches[:20], start=1_000):
            drop = DropBatch(write.room, write.key, write.first, write.end, write.sealed_at)
            assert put(store, outcomes, token, (drop, PutRow("kept", b"log", b"%d" % token))).ok
        store.close()
        store = open_here(disk / "store")
        assert [row.raw for row in store.load_timeline(ROOM, None, 1 << 20, ALL)] == [row.raw for row in batches[20:]]
        assert store.get("kept", b"log") == b"1019"
        store.close()


def test_a_read_only_disk_is_one_clear_error(tmp_path: Path) -> None:
    """With a store on it or without."""
    with small_disk(tmp_path / "disk", 4 * MIB) as disk:
        open_here(disk / "store").close()
        make_read_only(disk)
        for name in ("store", "another"):
            with pytest.raises(HomeUnusable, match="writable"):
                open_here(disk / name)


@pytest.mark.parametrize(
    ("key", "value", "kind", "text"),
    [
        (SCHEMA_KEY, struct.pack(">Q", SCHEMA + 1), StoreVersion, "update zmqchat"),
        (SCHEMA_KEY, None, StoreDamaged, "backup"),
        (RECORD_KEY, b"short", StoreDamaged, "backup"),
    ],
)
def test_another_schema_or_none_is_refused_untouched(
    tmp_path: Path, key: bytes, value: bytes | None, kind: type[Exception], text: str
) -> None:
    """A newer store is not written to, by opening nor by looking, and can be opened once it is right again."""
    folder = tmp_path / "store"
    open_here(folder).close()
    _about(folder, key, value)
    before = (folder / DATA_FILE).read_bytes()
    for opener in (open_here, inspect_store):
        with pytest.raises(kind, match=text):
            opener(folder)
    assert (folder / DATA_FILE).read_bytes() == before


def test_a_second_opening_in_one_process_is_refused(tmp_path: Path) -> None:
    """By path, by link and for looking; and it harms the first one in nothing."""
    folder = tmp_path / "store"
    outcomes = Outcomes()
    store = open_here(folder, outcomes)
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    for again in (folder, tmp_path / "link"):
        with pytest.raises(HomeInUse):
            open_here(again)
        with pytest.raises(HomeInUse):
            inspect_store(again)
    assert put(store, outcomes, 0, writes_of(batch(0, 1), 1)).ok
    store.close()
    open_here(folder).close()


def test_another_process_looks_while_a_node_writes(tmp_path: Path) -> None:
    """An inspector reads what is durable, over growth of the map, and can't write."""
    outcomes = Outcomes()
    store = open_here(tmp_path / "store", outcomes, map_bytes=256 * KIB)
    assert put(store, outcomes, 0, writes_of(batch(0, 1), 1)).ok
    code = (
        "import sys; from pathlib import Path; from zmqchat.store.lmdb_store import inspect_store\n"
        "from tests.support.stores import ROOM\n"
        "store = inspect_store(Path(sys.argv[1]))\n"
        "for line in sys.stdin: print(store.next_arrival(ROOM), store.stats().batches, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, os.fspath(tmp_path / "store")],
        cwd=REPO,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "2 1\n"
        for number in range(1, 900):
            store.submit(number, writes_of(batch(number, number + 1, body_bytes=100_000), number + 1))
            assert outcomes.of(max(0, number - 100)).ok
        assert outcomes.of(899).ok
        assert store.stats().map_bytes > 64 * MIB
        process.stdin.write("\n")
        process.stdin.close()
        assert process.stdout.readline() == "901 900\n"
    store.close()
    looking = inspect_store(tmp_path / "store")
    assert looking.info.clean
    with pytest.raises(NotStored):
        looking.submit(0, ())
    looking.close()


def test_looking_where_there_is_no_store(tmp_path: Path) -> None:
    """Nothing is made."""
    with pytest.raises(HomeUnusable, match="there is no store"):
        inspect_store(tmp_path / "store")
    (tmp_path / "store").mkdir()
    with pytest.raises(HomeUnusable):
        inspect_store(tmp_path / "store")
    assert list((tmp_path / "store").iterdir()) == []


def test_copies_never_share_a_generation(tmp_path: Path) -> None:
    """What a peer remembers of one of them must not be believed of the other."""
    open_and_close(tmp_path / "store")
    shutil.copytree(tmp_path / "store", tmp_path / "copy")
    assert open_and_close(tmp_path / "store").generation != open_and_close(tmp_path / "copy").generation


def test_a_store_put_back_in_place_is_told_as_moved(tmp_path: Path) -> None:
    """A removed file's inode may be given to the one that is put back: it is another file all the same."""
    open_and_close(tmp_path / "store")
    shutil.copytree(tmp_path / "store", tmp_path / "backup")
    for _ in range(3):
        shutil.rmtree(tmp_path / "store")
        shutil.copytree(tmp_path / "backup", tmp_path / "store")
        assert open_and_close(tmp_path / "store").moved


def test_a_copied_store_is_told_as_moved_until_its_log_is_settled(tmp_path: Path) -> None:
    """The original stays itself; the copy, stopped before its first append, is told again; then no more."""
    open_here(tmp_path / "store").close()
    shutil.copytree(tmp_path / "store", tmp_path / "copy")
    assert open_and_close(tmp_path / "store").moved is False
    assert open_and_close(tmp_path / "copy").moved
    outcomes = Outcomes()
    copy = open_here(tmp_path / "copy", outcomes)
    assert copy.info.moved
    table, key = SETTLED_BY
    assert put(copy, outcomes, 0, (PutRow(table, key, b"new number"), *writes_of(batch(0, 1), 1))).ok
    copy.close()
    assert open_and_close(tmp_path / "copy").moved is False
    assert open_and_close(tmp_path / "copy", machine_id=b"another").moved


def open_and_close(folder: Path, **options: Any) -> StoreInfo:
    """What an opening finds."""
    store = open_here(folder, **options)
    store.close()
    return store.info


def test_a_forked_child_may_not_use_the_store(tmp_path: Path) -> None:
    """LMDB forbids it; the child gets one clear error and can open a store of its own."""
    outcomes = Outcomes()
    store = open_here(tmp_path / "store", outcomes)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            for use in (lambda: store.submit(0, ()), lambda: store.read(lambda: None)):
                with pytest.raises(WrongProcess):
                    use()
            store.close()
            open_here(tmp_path / "another").close()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert put(store, outcomes, 0, writes_of(batch(0, 1), 1)).ok
    store.close()


def test_closing_leaves_no_thread_and_no_open_file(tmp_path: Path) -> None:
    """A node that stopped is gone."""
    before = set(threading.enumerate())
    store = open_here(tmp_path / "store")
    for _ in range(8):
        store.read(lambda: store.get("meta", b"x")).result(30)
    store.close()
    assert set(threading.enumerate()) <= before
    descriptors = Path("/proc/self/fd")
    if descriptors.exists():
        names = [os.readlink(path) for path in descriptors.iterdir() if path.is_symlink()]
        assert not [name for name in names if os.fspath(tmp_path) in name]


def test_a_failed_opening_lets_go_of_everything(tmp_path: Path) -> None:
    """After any error the same folder can be opened in this process."""
    folder = tmp_path / "store"
    open_here(folder).close()
    good = (folder / DATA_FILE).read_bytes()
    (folder / DATA_FILE).write_bytes(b"")
    threads = threading.active_count()
    for _ in range(3):
        with pytest.raises(StoreDamaged):
            open_here(folder)
    assert threading.active_count() == threads
    (folder / DATA_FILE).write_bytes(good)
    open_here(folder).close()


def test_opening_a_large_store_maps_next_to_nothing(tmp_path: Path) -> None:
    """A million texts in batches of a thousand, opened and idle: mapped pages count, and few are touched."""
    folder = tmp_path / "store"
    outcomes = Outcomes()
    store = open_here(folder, outcomes)
    body = os.urandom(236 * KIB)
    for number in range(0, 1_000_000, 1_000):
        # One body the size of a thousand texts: what LMDB sees is the same, and it is made at once.
        write = batch(number, number + 1, body_bytes=1)
        raw = write.raw[:HEADER_OFFSET] + _header(number) + body
        store.submit(number, writes_of(write, number + 1)[1:])
        store.submit(number + 1, (type(write)(ROOM, LOG, number, number + 1_000, number + 1, raw),))
        while store.queued_bytes > 16 * MIB:
            outcomes.of(number - 20_000)
    outcomes.of(999_001)
    store.close()
    code = (
        "import sys; from pathlib import Path; from tests.support.stores import ROOM, open_here\n"
        "def kib(): return int(next(l for l in open('/proc/self/status') if l.startswith('VmRSS')).split()[1])\n"
        "before = kib(); store = open_here(Path(sys.argv[1])); store.frontiers(); store.next_arrival(ROOM)\n"
        "print(kib() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, os.fspath(folder)], cwd=REPO, capture_output=True, text=True, check=True
    )
    assert (folder / DATA_FILE).stat().st_size > 200 * MIB
    assert int(done.stdout) < 6 * 1024, f"{done.stdout.strip()} KiB more than before the opening"


def _header(number: int) -> bytes:
    return HEADER.pack(b"zmqchat-batch-1", 1, ROOM, LOG.author, LOG.log, number, 1_000, bytes(32), number + 1)
