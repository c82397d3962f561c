"""Which file system a folder lies on, and what that means for a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from zmqchat.model.errors import HomeUnusable
from zmqchat.store.filesystems import (
    allocate,
    check_filesystem,
    file_generation,
    filesystem_kind,
    free_bytes,
    sync_folder,
)


def _mounts(tmp_path: Path, *lines: str) -> Path:
    table = tmp_path / "mountinfo"
    table.write_text("\n".join(lines), encoding="utf-8")
    return table


def test_the_deepest_mount_decides(tmp_path: Path) -> None:
    """A network share inside a local disk is found, and its neighbour is not."""
    share = tmp_path / "with space"
    share.mkdir()
    octal = str(share).replace(" ", "\\040")
    table = _mounts(
        tmp_path,
        "20 1 8:1 / / rw - ext4 /dev/sda1 rw",
        f"21 20 0:50 / {octal} rw,relatime shared:1 - nfs4 server:/x rw",
        "a line that is none",
    )
    assert filesystem_kind(share / "home", table) == "nfs4"
    assert filesystem_kind(tmp_path, table) == "ext4"


def test_a_network_file_system_is_refused_unless_asked_for(tmp_path: Path) -> None:
    """LMDB gets damaged there; who insists gets a warning."""
    table = _mounts(tmp_path, "20 1 0:50 / / rw - cifs //server/x rw")
    with pytest.raises(HomeUnusable, match=r"network file system .cifs.*--home"):
        check_filesystem(tmp_path, mounts=table)
    assert "may get damaged" in check_filesystem(tmp_path, unsafe_home=True, mounts=table)[0]


def test_memory_is_told_and_a_disk_is_fine(tmp_path: Path) -> None:
    """A home in memory works, and its owner learns what a reboot does."""
    assert (
        "after a reboot" in check_filesystem(tmp_path, mounts=_mounts(tmp_path, "20 1 0:5 / / rw - tmpfs tmpfs rw"))[0]
    )
    assert check_filesystem(tmp_path, mounts=_mounts(tmp_path, "20 1 8:1 / / rw - ext4 /dev/sda1 rw")) == ()


def test_without_a_mount_table_nothing_is_claimed(tmp_path: Path) -> None:
    """Other systems have no such table."""
    assert filesystem_kind(tmp_path, tmp_path / "missing") is None
    assert check_filesystem(tmp_path, mounts=tmp_path / "missing") == ()


def test_room_and_syncing_bear_a_missing_folder(tmp_path: Path) -> None:
    """Neither raises where there is nothing."""
    assert free_bytes(tmp_path / "missing") is None
    assert (free_bytes(tmp_path) or 0) > 0
    sync_folder(tmp_path)
    sync_folder(tmp_path / "missing")


def test_an_allocated_file_has_its_blocks_and_keeps_its_content(tmp_path: Path) -> None:
    """A hole would hold nothing back."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    allocate(path, 100_000)
    status = path.stat()
    assert status.st_size == 100_000
    assert status.st_blocks * 512 >= 100_000
    assert path.read_bytes()[:8] == b"content\0"
    allocate(path, 10)
    assert path.stat().st_size == 100_000


def test_files_are_allocated_where_the_system_has_no_call_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """macOS and Windows: what lacks is written."""
    monkeypatch.delattr("os.posix_fallocate", raising=False)
    (tmp_path / "file").write_bytes(b"content")
    allocate(tmp_path / "file", 5_000)
    assert (tmp_path / "file").read_bytes() == b"content" + bytes(4_993)


def test_a_file_s_generation_stays_and_is_not_given_to_the_next(tmp_path: Path) -> None:
    """Writing, renaming and reading leave it; a file that gets the same inode has another."""
    path = tmp_path / "file"
    path.write_text("first")
    first = (path.stat().st_ino, file_generation(path))
    path.write_text("more")
    path = path.rename(tmp_path / "renamed")
    assert (path.stat().st_ino, file_generation(path)) == first
    path.unlink()
    path.write_text("second")
    assert (path.stat().st_ino, file_generation(path)) != first
    assert file_generation(tmp_path / "none") == 0
