"""Files that LMDB must not open are told before it does: no SIGBUS, no repair, nothing written."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest

from tests.support.stores import Outcomes, batch, open_here, put, writes_of
from zmqchat.model.errors import HomeUnusable, StoreDamaged, ZmqChatError
from zmqchat.store.checks import DATA_FILE, check_file

PAGE_BYTES = 4096


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with some rows, closed."""
    outcomes = Outcomes()
    store = open_here(tmp_path / "store", outcomes)
    for token in range(20):
        assert put(store, outcomes, token, writes_of(batch(token, token + 1, body_bytes=9_000), token + 1)).ok
    store.close()
    return tmp_path / "store"


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _cut_last_page(path: Path) -> None:
    # The last page in use of a store of this kind is never a free one: the newest meta page's tree ends there.
    os.truncate(path, 3 * PAGE_BYTES)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _scribble(at: int, data: bytes) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(at)
            file.write(data)

    return change


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_truncate, "truncated"),
        (_cut_last_page, "truncated"),
        (lambda path: os.truncate(path, 100), "truncated"),
        (_empty, "is empty"),
        (_scribble(0, bytes(64)), "header is none"),
        (_scribble(PAGE_BYTES, b"\xff" * 200), "header is none"),
        (_scribble(16 + 4, struct.pack("=I", 99)), "format is LMDB's 99"),
        (_scribble(0, os.urandom(2 * PAGE_BYTES)), "header is none"),
    ],
)
def test_a_damaged_file_is_one_clear_error_and_stays_as_it_is(
    folder: Path, damage: Callable[[Path], None], reason: str
) -> None:
    """The message says what is wrong and what to do, and not a byte is changed."""
    path = folder / DATA_FILE
    damage(path)
    before = hashlib.sha256(path.read_bytes()).digest()
    with pytest.raises(StoreDamaged, match=reason) as caught:
        open_here(folder)
    assert "backup" in str(caught.value)
    assert hashlib.sha256(path.read_bytes()).digest() == before


def test_a_meta_page_that_tells_nonsense_is_damage(folder: Path) -> None:
    """A last page far beyond the file, or a free list that leads nowhere, is not followed."""
    path = folder / DATA_FILE
    for at in (0, PAGE_BYTES):
        _scribble(at + 16 + 120, struct.pack("=Q", 2**60))(path)
    with pytest.raises(StoreDamaged):
        check_file(folder)
    for at in (0, PAGE_BYTES):
        _scribble(at + 16 + 64, struct.pack("=Q", 2**59))(path)
    with pytest.raises(StoreDamaged):
        check_file(folder)


@pytest.mark.parametrize("seed", range(40))
def test_a_scribbled_page_never_kills_the_process(folder: Path, seed: int) -> None:
    """Whatever page is overwritten, opening and reading all gives rows or an error of our tree."""
    path = folder / DATA_FILE
    pages = path.stat().st_size // PAGE_BYTES
    page = 2 + hashlib.blake2b(bytes([seed])).digest()[0] % (pages - 2)
    noise = hashlib.shake_128(bytes([seed])).digest(PAGE_BYTES) if seed % 2 else bytes(PAGE_BYTES)
    _scribble(page * PAGE_BYTES, noise)(path)
    try:
        store = open_here(folder)
    except ZmqChatError:
        return
    try:
        for table in ("batches", "frontier", "timeline", "arrivals", "meta"):
            store.rows(table)
    except ZmqChatError:
        pass
    finally:
        store.close()


def test_a_file_that_ends_before_free_pages_is_sound(tmp_path: Path) -> None:
    """LMDB never writes pages that one transaction took and gave back; such a store opens."""
    folder = tmp_path / "store"
    open_here(folder).close()
    environment = lmdb.open(os.fspath(folder), map_size=64 << 20, max_dbs=24)
    batches = environment.open_db(b"batches")
    with environment.begin(write=True) as transaction:
        transaction.put(b"k" * 72, bytes(1 << 20), db=batches)
        transaction.delete(b"k" * 72, db=batches)
    last_page = environment.info()["last_pgno"]
    environment.close()
    size_bytes = (folder / DATA_FILE).stat().st_size
    assert size_bytes < (last_page + 1) * PAGE_BYTES, "LMDB writes such pages now: this test can go"
    assert check_file(folder) == size_bytes
    open_here(folder).close()
    os.truncate(folder / DATA_FILE, size_bytes - 8 * PAGE_BYTES)
    with pytest.raises(StoreDamaged, match="truncated"):
        check_file(folder)


def test_a_long_list_of_free_pages_is_read(tmp_path: Path) -> None:
    """A store from which much was removed has free pages by the thousand, in lists over several pages."""
    folder = tmp_path / "store"
    open_here(folder).close()
    environment = lmdb.open(os.fspath(folder), map_size=256 << 20, max_dbs=24)
    batches = environment.open_db(b"batches")
    for number in range(40):
        with environment.begin(write=True) as transaction:
            transaction.put(b"%072d" % number, bytes(1 << 20), db=batches)
    for number in range(39):
        with environment.begin(write=True) as transaction:
            transaction.delete(b"%072d" % number, db=batches)
    with environment.begin(write=True) as transaction:
        transaction.put(b"l" * 72, bytes(60 << 20), db=batches)
        transaction.delete(b"l" * 72, db=batches)
    last_page = environment.info()["last_pgno"]
    environment.close()
    assert (folder / DATA_FILE).stat().st_size < (last_page + 1) * PAGE_BYTES
    check_file(folder)


def test_a_folder_without_a_file_is_unusable(tmp_path: Path) -> None:
    """What is not there is no damage."""
    with pytest.raises(HomeUnusable, match="can't be read"):
        check_file(tmp_path)


@pytest.mark.parametrize(
    ("error", "text"),
    [(PermissionError(13, "Permission denied"), "owns it"), (OSError(5, "Input/output error"), "check the disk")],
)
def test_a_file_that_can_not_be_read_says_why(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, text: str
) -> None:
    """Another user's file, or a failing disk; root may read all, so the system's answer is given by hand."""

    def refuse(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(HomeUnusable, match=text):
        check_file(folder)
