"""A full disk: what is refused, what may use the reserve, when it is tried again."""

from __future__ import annotations

from pathlib import Path

import lmdb
import pytest

from zmqchat.model.limits import MIB, STORE_RESERVE_BYTES
from zmqchat.store import space as space_module
from zmqchat.store.space import RESERVE_FILE, RETRY_S, Space


class Disk:
    """The free bytes that the module sees, and a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free: int | None = 100 * MIB
        self.now_s = 0.0
        monkeypatch.setattr(space_module, "free_bytes", lambda _folder: self.free)

    def now(self) -> float:
        """Monotonic seconds."""
        return self.now_s


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """A disk with room."""
    return Disk(monkeypatch)


def test_the_reserve_is_laid_down_with_real_blocks(tmp_path: Path, disk: Disk) -> None:
    """A sparse file would reserve nothing."""
    Space(tmp_path, disk.now)
    status = (tmp_path / RESERVE_FILE).stat()
    assert status.st_size == STORE_RESERVE_BYTES
    assert status.st_blocks * 512 >= STORE_RESERVE_BYTES


def test_a_disk_without_room_gets_no_reserve(tmp_path: Path, disk: Disk) -> None:
    """The last bytes are not taken for it."""
    disk.free = MIB
    Space(tmp_path, disk.now)
    assert not (tmp_path / RESERVE_FILE).exists()


def test_batches_are_refused_while_full_and_tried_again_later(tmp_path: Path, disk: Disk) -> None:
    """Without room a try comes every RETRY_S; with room, and for small rows, at once."""
    space = Space(tmp_path, disk.now)
    disk.free = 0
    space.ran_full()
    assert not space.admits(1000, bulky=True)
    assert space.admits(1000, bulky=False)
    disk.now_s = RETRY_S
    assert space.admits(1000, bulky=True)
    space.ran_full()
    assert not space.admits(1000, bulky=True)
    disk.free = 50 * MIB
    assert space.admits(1000, bulky=True)
    space.committed(bulky=True)
    assert not space.full


def test_a_reserve_that_was_given_up_must_be_back_before_batches(tmp_path: Path, disk: Disk) -> None:
    """What the reserve set free is for small rows, not for one more batch."""
    space = Space(tmp_path, disk.now)
    disk.free = 0
    space.ran_full()
    assert space.give_up_reserve()
    assert not space.give_up_reserve()
    disk.free = STORE_RESERVE_BYTES
    disk.now_s = 2 * RETRY_S
    assert not space.admits(10, bulky=True)
    space.committed(bulky=False)
    assert space.full
    disk.free = 50 * MIB
    assert space.admits(10, bulky=True)
    assert (tmp_path / RESERVE_FILE).exists()


def test_want_of_room_is_told_from_a_failing_disk(tmp_path: Path, disk: Disk) -> None:
    """LMDB tells a short write as an I/O error, so the disk is asked; a plain I/O error is none of room."""
    space = Space(tmp_path, disk.now)
    assert not space.lacks(lmdb.Error("Input/output error"), 1000)
    assert space.lacks(lmdb.Error("No space left on device"), 1000)
    assert space.lacks(lmdb.DiskError("mdb_txn_commit"), 1000)
    disk.free = 1000
    assert space.lacks(lmdb.Error("Input/output error"), 1000)
    disk.free = None
    assert not space.lacks(lmdb.Error("Input/output error"), 1000)
