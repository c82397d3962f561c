"""Looking at a store's file before LMDB touches it: a truncated one would open and then kill the process.

LMDB's first two pages are its meta pages; the newer one (higher transaction id) names the last page in
use. Layout: LMDB 0.9 `mdb.c`, `MDB_page` (16 B header) and `MDB_meta`.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

from zmqchat.model.errors import HomeUnusable, StoreDamaged

DATA_FILE: Final = "data.mdb"
_META: Final = struct.Struct("=IIQQ")
_META_AT: Final = 16
_PAGE_SIZE_AT: Final = 40
_LAST_PAGE_AT: Final = 136
_MAGIC: Final = 0xBEEFC0DE
_DATA_VERSION: Final = 1
_PAGE_SIZES: Final = frozenset({4096, 8192, 16384, 32768, 65536})
_SCAN_TIMEOUT_S: Final = 120


class _Meta(NamedTuple):
    page_bytes: int
    last_page: int
    transaction: int


def check_file(folder: Path) -> None:
    """Raise StoreDamaged or HomeUnusable where the file must not be opened; nothing is written."""
    path = folder / DATA_FILE
    try:
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(2 * 65536)
    except PermissionError as error:
        raise HomeUnusable(f"the store {path} can't be read: {error.strerror}; run as the user that owns it") from error
    except OSError as error:
        raise StoreDamaged(f"the store {path} can't be read: {error.strerror}; {_FIX}") from error
    metas = _metas(head)
    if not metas:
        raise StoreDamaged(f"the store {path} is damaged (no valid header); {_FIX}")
    newest = max(metas, key=lambda meta: meta.transaction)
    if size_bytes < (newest.last_page + 1) * newest.page_bytes and not _scan_in_child(folder):
        raise StoreDamaged(f"the store {path} is truncated; {_FIX}")


_FIX: Final = (
    "restore it from a backup, or move the folder away and start again: what others hold comes back from them. "
    "Nothing was changed"
)


def _metas(head: bytes) -> list[_Meta]:
    if len(head) < _PAGE_SIZE_AT + 4:
        return []
    (page_bytes,) = struct.unpack_from("=I", head, _PAGE_SIZE_AT)
    if page_bytes not in _PAGE_SIZES:
        return []
    metas = []
    for at in (0, page_bytes):
        if len(head) < at + _LAST_PAGE_AT + 16:
            continue
        magic, version, _address, _map = _META.unpack_from(head, at + _META_AT)
        last_page, transaction = struct.unpack_from("=QQ", head, at + _LAST_PAGE_AT)
        if magic == _MAGIC and version == _DATA_VERSION:
            metas.append(_Meta(page_bytes, last_page, transaction))
    return metas


def _scan_in_child(folder: Path) -> bool:
    """Read all of the store in another process, which may die of it: LMDB leaves unused last pages unwritten."""
    done = subprocess.run(
        [sys.executable, "-m", "zmqchat.store.scan", os.fspath(folder)],
        check=False,
        capture_output=True,
        timeout=_SCAN_TIMEOUT_S,
    )
    return done.returncode == 0
