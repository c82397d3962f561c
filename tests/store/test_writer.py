"""The writer: groups, order, and what each kind of failure tells."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import lmdb
import pytest

from tests.support.stores import LOG, ROOM, Outcomes, batch, writes_of
from zmqchat.model.errors import NodeClosed
from zmqchat.model.limits import KIB, MIB
from zmqchat.protocol.effects import PutFrontier, PutRow
from zmqchat.store import writer as writer_module
from zmqchat.store.environment import MAP_BYTES_MAX, Environment
from zmqchat.store.space import Space
from zmqchat.store.store import StoreOutcome
from zmqchat.store.writer import Writer


class Disk(Environment):
    """A double whose commits wait for a gate, or fail as a disk does."""

    def __init__(self, folder: Path, *, map_bytes_max: int = MAP_BYTES_MAX) -> None:
        super().__init__(folder, map_bytes=256 * KIB, map_bytes_max=map_bytes_max)
        self.may_commit = threading.Event()
        self.may_commit.set()
        self.waits = threading.Event()
        self.errors: list[lmdb.Error] = []
        self.loses_next = False
        self.reopened = 0

    def commit(self, transaction: lmdb.Transaction[bytes]) -> None:
        """Wait for the gate, then fail with the next error, lose the rows, or commit."""
        self.waits.set()
        assert self.may_commit.wait(30)
        if self.errors:
            transaction.abort()
            raise self.errors.pop(0)
        if self.loses_next:
            self.loses_next = False
            transaction.abort()
            return
        super().commit(transaction)

    def reopen(self) -> None:
        """Counted."""
        self.reopened += 1
        super().reopen()


class Bench:
    """A writer on such a disk."""

    def __init__(self, folder: Path, *, map_bytes_max: int = MAP_BYTES_MAX) -> None:
        self.disk = Disk(folder, map_bytes_max=map_bytes_max)
        self.space = Space(folder)
        self.outcomes = Outcomes()
        self.ended = threading.Event()
        self.listen: list[Exception] = []
        self.writer = Writer(self.disk, self.space, self._notify, complete=lambda _rows: None, last=self.ended.set)
        self.writer.start()

    def _notify(self, outcomes: Sequence[tuple[int, StoreOutcome]]) -> None:
        self.outcomes(outcomes)
        if self.listen:
            raise self.listen.pop()

    def put(self, token: int, key: bytes, value: bytes | None) -> None:
        """Submit one small row."""
        self.writer.submit(token, (PutRow("meta", key, value),))

    def value(self, key: bytes) -> bytes | None:
        """What is on disk."""
        with self.disk.reading() as (transaction, databases):
            return transaction.get(key, db=databases["meta"])


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A running writer."""
    made = Bench(tmp_path)
    yield made
    made.disk.may_commit.set()
    made.writer.close(30)
    made.disk.close(5)


def test_what_waits_during_a_commit_is_one_group_in_order(bench: Bench) -> None:
    """One fsync for all that came meanwhile, one call for all their outcomes, and the last write of a row counts."""
    bench.disk.may_commit.clear()
    bench.put(0, b"first", b"0")
    assert bench.disk.waits.wait(30)
    for token in range(1, 50):
        bench.put(token, b"key", b"%d" % token)
    bench.put(50, b"first", None)
    assert bench.outcomes.told == {}
    bench.disk.may_commit.set()
    assert bench.outcomes.of(50).ok
    assert [len(group) for group in bench.outcomes.groups] == [1, 50]
    assert bench.outcomes.order == list(range(51))
    assert bench.value(b"key") == b"49"
    assert bench.value(b"first") is None
    assert bench.writer.groups == 2
    assert bench.writer.queued_bytes == 0


def test_a_group_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than STORE_GROUP_BYTES_MAX waits for the next transaction, and one that alone is larger goes alone."""
    monkeypatch.setattr(writer_module, "STORE_GROUP_BYTES_MAX", 1000)
    bench.disk.may_commit.clear()
    bench.put(0, b"first", b"0")
    assert bench.disk.waits.wait(30)
    for token in range(1, 7):
        bench.put(token, b"%d" % token, bytes(300))
    bench.put(7, b"large", bytes(5000))
    bench.disk.may_commit.set()
    assert bench.outcomes.of(7).ok
    assert [len(group) for group in bench.outcomes.groups] == [1, 2, 2, 2, 1]


def test_a_full_queue_refuses_in_its_turn(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound a submission is told as not kept; what waited already is kept."""
    monkeypatch.setattr(writer_module, "STORE_QUEUE_BYTES_MAX", 1000)
    bench.disk.may_commit.clear()
    bench.put(0, b"0", b"")
    assert bench.disk.waits.wait(30)
    bench.put(1, b"1", bytes(500))
    bench.put(2, b"2", bytes(500))
    bench.put(3, b"3", b"")
    assert bench.writer.queued_bytes <= 1000
    bench.disk.may_commit.set()
    assert [bench.outcomes.of(token).ok for token in range(4)] == [True, True, False, True]
    assert bench.outcomes.order == [0, 1, 2, 3]
    assert not bench.outcomes.of(2).full
    assert "too much waits" in bench.outcomes.of(2).detail
    assert bench.value(b"2") is None
    bench.put(4, b"2", bytes(500))
    assert bench.outcomes.of(4).ok


def test_the_map_grows_as_far_as_a_group_needs(bench: Bench) -> None:
    """Whatever was foreseen, a group that finds the map full is run again from its inputs."""
    bench.disk.make_room = lambda bytes_ahead: None  # type: ignore[method-assign]  # nothing is foreseen
    bench.put(0, b"large", bytes(3 * MIB))
    assert bench.outcomes.of(0).ok
    assert bench.value(b"large") == bytes(3 * MIB)


def test_at_the_limit_of_the_map_each_submission_stands_alone(tmp_path: Path) -> None:
    """The large one is told that there is no room, the small ones around it are kept, reading goes on."""
    bench = Bench(tmp_path, map_bytes_max=512 * KIB)
    bench.disk.may_commit.clear()
    bench.put(0, b"0", b"before")
    assert bench.disk.waits.wait(30)
    bench.put(1, b"1", b"small")
    bench.put(2, b"2", bytes(2 * MIB))
    bench.put(3, b"3", b"small")
    bench.disk.may_commit.set()
    assert [bench.outcomes.of(token).ok for token in range(4)] == [True, True, False, True]
    assert bench.outcomes.of(2).full
    assert bench.value(b"0") == b"before"
    assert bench.value(b"3") == b"small"
    assert bench.writer.close(30)
    bench.disk.close(5)


def test_a_failed_fsync_is_made_good_from_a_new_environment(bench: Bench) -> None:
    """A retry on the same file proves nothing: it is opened again, written anew, read back, then told as kept."""
    bench.disk.errors.append(lmdb.Error("mdb_txn_commit: Input/output error"))
    bench.put(0, b"key", b"value")
    assert bench.outcomes.of(0).ok
    assert bench.disk.reopened == 1
    assert bench.value(b"key") == b"value"
    bench.put(1, b"key", b"again")
    assert bench.outcomes.of(1).ok


def test_a_disk_that_fails_twice_gets_nothing_more(bench: Bench) -> None:
    """Nothing is acknowledged any more, the reason is told, reading goes on and the end marks nothing clean."""
    bench.put(0, b"key", b"value")
    assert bench.outcomes.of(0).ok
    bench.disk.errors += [lmdb.Error("Input/output error"), lmdb.Error("Input/output error")]
    bench.put(1, b"key", b"lost")
    bench.put(2, b"key", b"lost too")
    for token in (1, 2):
        outcome = bench.outcomes.of(token)
        assert (outcome.ok, outcome.full) == (False, False)
        assert "check the disk" in outcome.detail
    assert bench.value(b"key") == b"value"
    assert bench.writer.close(30)
    assert not bench.ended.is_set()


def test_a_disk_that_drops_what_it_acknowledged_is_found_out(bench: Bench) -> None:
    """After a failure the rows are read back: a commit that says yes and stores nothing is no success."""
    bench.disk.errors.append(lmdb.Error("Input/output error"))

    def fail_then_lose() -> None:
        Environment.reopen(bench.disk)
        bench.disk.loses_next = True

    bench.disk.reopen = fail_then_lose  # type: ignore[method-assign]  # the disk lies once it is back
    bench.put(0, b"key", b"value")
    assert not bench.outcomes.of(0).ok
    assert "read back" in bench.outcomes.of(0).detail


def test_a_full_disk_refuses_batches_and_lets_small_rows_through(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reserve is given up for a read position, not for a message."""
    full = lmdb.DiskError("mdb_txn_commit: No space left on device")
    monkeypatch.setattr(bench.space, "_roomy", lambda: False)
    monkeypatch.setattr("zmqchat.store.space.free_bytes", lambda _folder: 0)
    bench.disk.errors.append(full)
    bench.writer.submit(0, writes_of(batch(0, 1), 1))
    assert bench.outcomes.of(0).full
    bench.disk.errors.append(full)
    bench.put(1, b"read", b"5")
    assert bench.outcomes.of(1).ok
    bench.disk.errors.append(full)
    bench.put(2, b"read", b"6")
    assert bench.outcomes.of(2).full
    bench.writer.submit(3, writes_of(batch(0, 1), 1))
    assert bench.outcomes.of(3).full
    monkeypatch.undo()
    bench.writer.submit(4, writes_of(batch(0, 1), 1))
    assert bench.outcomes.of(4).ok


def test_a_listener_that_raises_does_not_stop_the_store(bench: Bench) -> None:
    """A loop that is closed, say: later groups are written and told all the same."""
    bench.listen.append(RuntimeError("loop is closed"))
    bench.put(0, b"key", b"0")
    assert bench.outcomes.of(0).ok
    bench.put(1, b"key", b"1")
    assert bench.outcomes.of(1).ok


def test_a_fault_of_ours_is_told_and_stops_writing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever, whatever goes wrong on the thread."""

    def fault(*_args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(writer_module, "_put_all", fault)
    bench.put(0, b"key", b"0")
    assert "start again" in bench.outcomes.of(0).detail
    monkeypatch.undo()
    bench.put(1, b"key", b"1")
    assert not bench.outcomes.of(1).ok


def test_closing_writes_what_is_queued_then_takes_no_more(bench: Bench) -> None:
    """What was submitted is kept and told before the thread ends."""
    bench.disk.may_commit.clear()
    for token in range(10):
        bench.put(token, b"%d" % token, b"x")
    bench.disk.may_commit.set()
    assert bench.writer.close(30)
    assert all(bench.outcomes.told[token].ok for token in range(10))
    assert bench.ended.is_set()
    with pytest.raises(NodeClosed):
        bench.put(10, b"10", b"x")


def test_closing_does_not_wait_for_a_disk_that_hangs(bench: Bench) -> None:
    """The end of a node is bounded."""
    bench.disk.may_commit.clear()
    bench.put(0, b"key", b"x")
    assert bench.disk.waits.wait(30)
    assert not bench.writer.close(0.01)


def test_removing_a_frontier_removes_its_row(bench: Bench) -> None:
    """None takes a row away, whether or not it was there."""
    bench.writer.submit(0, (PutFrontier(ROOM, LOG, b"frontier"), PutRow("meta", b"absent", None)))
    bench.writer.submit(1, (PutFrontier(ROOM, LOG, None),))
    assert bench.outcomes.of(1).ok
    with bench.disk.reading() as (transaction, databases):
        assert transaction.stat(db=databases["frontier"])["entries"] == 0
