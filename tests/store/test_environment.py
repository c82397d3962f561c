"""The environment: the map grows under readers, and errors of LMDB become ours."""

from __future__ import annotations

import threading
from pathlib import Path

import lmdb
import pytest

from zmqchat.model.errors import HomeUnusable, NodeClosed, StoreBroken, StoreDamaged
from zmqchat.model.limits import KIB, MIB
from zmqchat.store.environment import Environment, opening_error

TINY_MAP_BYTES = 256 * KIB


def _put(environment: Environment, number: int, size_bytes: int) -> None:
    environment.write(
        lambda transaction, databases: transaction.put(
            b"%08d" % number, bytes([number % 256]) * size_bytes, db=databases["meta"]
        )
    )


def _value(environment: Environment, number: int) -> bytes | None:
    with environment.reading() as (transaction, databases):
        return transaction.get(b"%08d" % number, db=databases["meta"])


def test_the_map_grows_while_others_read(tmp_path: Path) -> None:
    """From a tiny map over several doublings, four readers see only whole values and no error."""
    environment = Environment(tmp_path, map_bytes=TINY_MAP_BYTES)
    _put(environment, 0, 5000)
    done = threading.Event()
    faults: list[object] = []
    reads = [0, 0, 0, 0]

    def read(reader: int) -> None:
        while not done.is_set():
            try:
                value = _value(environment, 0)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test must tell it
                faults.append(error)
                return
            if value != bytes(5000):
                faults.append(value)
            reads[reader] += 1

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for number in range(1, 200):
        environment.make_room(20_000)
        _put(environment, number, 20_000)
    done.set()
    for thread in threads:
        thread.join(30)
    assert faults == []
    assert all(reads)
    size = environment.size()
    assert size.map_bytes >= 16 * TINY_MAP_BYTES
    assert size.used_bytes <= size.map_bytes * 3 // 4
    assert environment.close(1)


def test_a_map_at_its_limit_does_not_grow(tmp_path: Path) -> None:
    """Growing tells that it can't; LMDB's own error stands, and what is there is read on."""
    environment = Environment(tmp_path, map_bytes=TINY_MAP_BYTES, map_bytes_max=TINY_MAP_BYTES)
    _put(environment, 0, 10)
    assert not environment.grow()
    with pytest.raises(lmdb.MapFullError):
        _put(environment, 1, MIB)
    assert _value(environment, 0) == bytes(10)
    _put(environment, 2, 10)
    environment.close(1)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """An error in the middle of a transaction keeps none of it, and the next one works."""
    environment = Environment(tmp_path, map_bytes=TINY_MAP_BYTES)

    def fill(transaction: lmdb.Transaction[bytes], databases: dict[str, lmdb._Database]) -> None:
        transaction.put(b"%08d" % 1, b"half", db=databases["meta"])
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        environment.write(fill)
    assert _value(environment, 1) is None
    _put(environment, 1, 3)
    assert _value(environment, 1) == b"\1\1\1"
    environment.close(1)


def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    """Reopening changes nothing but the handles."""
    environment = Environment(tmp_path, map_bytes=TINY_MAP_BYTES)
    _put(environment, 5, 100)
    environment.reopen()
    assert _value(environment, 5) == bytes([5]) * 100
    environment.close(1)


def test_when_reopening_fails_reads_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that went away ends in errors of our tree, on reads and writes."""
    environment = Environment(tmp_path, map_bytes=TINY_MAP_BYTES)

    def gone(*_args: object, **_options: object) -> None:
        raise lmdb.Error("Input/output error")

    monkeypatch.setattr(lmdb, "open", gone)
    with pytest.raises(HomeUnusable):
        environment.reopen()
    with pytest.raises(StoreBroken):
        _value(environment, 0)


def test_a_closed_environment_tells_that_it_is_closed(tmp_path: Path) -> None:
    """Late reads of a node that stops get an error, not a crash."""
    environment = Environment(tmp_path, map_bytes=TINY_MAP_BYTES)
    assert environment.close(1)
    assert environment.close(1)
    with pytest.raises(NodeClosed):
        _value(environment, 0)


def test_closing_waits_for_a_reader_only_so_long(tmp_path: Path) -> None:
    """Unmapping under a reader would crash, so the file stays open until it has left."""
    environment = Environment(tmp_path, map_bytes=TINY_MAP_BYTES)
    with environment.reading():
        assert not environment.close(0.01)
        assert not environment.close(0.01)
    assert environment.close(1)


def test_an_error_while_reading_is_damage(tmp_path: Path) -> None:
    """LMDB's errors never leave the store."""
    environment = Environment(tmp_path, map_bytes=TINY_MAP_BYTES)
    with pytest.raises(StoreDamaged, match="can't be read"), environment.reading():
        raise lmdb.CorruptedError("mdb_cursor_get")
    environment.close(1)


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (lmdb.CorruptedError("x"), StoreDamaged, "damaged"),
        (lmdb.InvalidError("x"), StoreDamaged, "damaged"),
        (lmdb.Error("store: Permission denied"), HomeUnusable, "run as its owner"),
        (lmdb.Error("store: Read-only file system"), HomeUnusable, "make it writable"),
        (lmdb.Error("store: Cannot allocate memory"), HomeUnusable, "can't be opened"),
    ],
)
def test_opening_errors_say_what_to_do(error: lmdb.Error, kind: type[Exception], text: str) -> None:
    """One line of our tree each."""
    found = opening_error(Path("store"), error)
    assert type(found) is kind
    assert text in str(found)
