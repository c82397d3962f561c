"""Where a store lies: the kind of file system, and the room that is left there.

LMDB needs shared memory maps and locks that work: network file systems have neither (LMDB's caveats).
Python's statvfs does not tell the kind, so on Linux the mount table is read; elsewhere it is not known.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import sys
from pathlib import Path
from typing import Final

from zmqchat.model.errors import HomeUnusable

NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "ncpfs", "afs", "9p", "ceph", "glusterfs", "lustre", "gfs2"}
    | {"ocfs2", "fuse.sshfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "davfs", "fuse.davfs2", "virtiofs"}
)
FORGETFUL: Final = frozenset({"tmpfs", "ramfs"})
_MOUNTS: Final = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")


_LONG: Final = struct.Struct("@l")
_GET_VERSION: Final = 0x80007601 | _LONG.size << 16
"""Linux' FS_IOC_GETVERSION on x86, Arm and RISC-V; where it is another number the answer is an error, and 0."""


def check_filesystem(folder: Path, *, unsafe_home: bool = False, mounts: Path = _MOUNTS) -> tuple[str, ...]:
    """Warnings about the file system of this folder; raises HomeUnusable where it is a network one."""
    kind = filesystem_kind(folder, mounts)
    if kind in NETWORK and not unsafe_home:
        raise HomeUnusable(
            f"{folder} is on a network file system ({kind}), where a store gets damaged: "
            "choose a folder on a local disk with --home"
        )
    if kind in NETWORK:
        return (f"{folder} is on a network file system ({kind}): the store may get damaged",)
    if kind in FORGETFUL:
        return (f"{folder} is in memory ({kind}): all that is stored is gone after a reboot; --home chooses a disk",)
    return ()


def filesystem_kind(folder: Path, mounts: Path = _MOUNTS) -> str | None:
    """The file system's name as Linux tells it ("ext4", "nfs4"); None where it is not known."""
    try:
        table = mounts.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    place = Path(os.path.realpath(folder))
    kind, depth = None, -1
    for line in table.splitlines():
        mount, _, source = line.partition(" - ")
        fields = mount.split()
        if len(fields) < 5 or not source:
            continue
        point = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4]))
        # The last of several mounts on one point is the one that is seen.
        if (point == place or point in place.parents) and len(point.parts) >= depth:
            kind, depth = source.split()[0], len(point.parts)
    return kind


def free_bytes(folder: Path) -> int | None:
    """Room left for this user on the folder's disk; None where it can't be asked."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def allocate(path: Path, size_bytes: int) -> None:
    """Have a file of at least this size with blocks of its own on the disk. Raises OSError, as where there is no room.

    A hole would hold nothing back: writing into it through a map kills the process (SIGBUS) on a full disk.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size_bytes)
        else:
            lacking = size_bytes - os.lseek(descriptor, 0, os.SEEK_END)
            os.write(descriptor, bytes(max(0, lacking)))
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder durable; where folders can't be synced (Windows) the system does it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_generation(path: Path) -> int:
    """What tells this file from others that had its inode before or will have it; 0 where that is not known.

    ext4 gives the inode of a file that was removed to the next one that is made, with another generation; XFS,
    Btrfs and F2FS tell theirs too. Elsewhere (macOS, Windows) inodes are not used again soon.
    """
    if sys.platform != "linux":
        return 0
    import fcntl

    try:
        with path.open("rb") as file:
            (generation,) = _LONG.unpack(fcntl.ioctl(file, _GET_VERSION, bytes(_LONG.size)))
    except OSError:
        return 0
    return int(generation)
