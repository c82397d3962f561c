"""Looking at a store's file before LMDB touches it: a truncated one would open and then kill the process.

The first two pages are LMDB's meta pages; the newer one (higher transaction id) tells the last page in use.
A file may rightly end before that page: pages that one transaction took and gave back are never written.
They are then in the list of free pages, so a short file is sound where all that it lacks is free.

Layout of LMDB 0.9 on a 64-bit machine (its `mdb.c`: MDB_page, MDB_meta, MDB_db, MDB_node), native byte order:

    page   number u64, pad u16, flags u16, then by kind: lower u16, upper u16 | overflow pages u32
    meta   page header, magic u32, version u32, address u64, map bytes u64, two MDB_db, last page u64, transaction u64
    db     page bytes u32 (in the first one), flags u16, depth u16, four counts u64, root u64
    node   low u16, high u16, flags u16, key bytes u16, key, data
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import IO, Final, NamedTuple

from zmqchat.model.errors import HomeUnusable, StoreDamaged

DATA_FILE: Final = "data.mdb"

_PAGE_HEADER_BYTES: Final = 16
_PAGE: Final = struct.Struct("=QHHHH")
_META: Final = struct.Struct("=IIQQ I4xQQQQQ 40xQ QQ")
_NODE: Final = struct.Struct("=HHHH")
_MAGIC: Final = 0xBEEFC0DE
_DATA_VERSION: Final = 1
_PAGE_SIZES: Final = frozenset(1 << bits for bits in range(8, 17))
_NO_PAGE: Final = 2**64 - 1
_BRANCH, _LEAF, _META_PAGE = 0x01, 0x02, 0x08
_BIG_DATA: Final = 0x01
FIX: Final = (
    "restore it from a backup, or move the folder away and start again: what others hold comes back from them. "
    "Nothing was changed"
)


class _Meta(NamedTuple):
    page_bytes: int
    free_root: int
    last_page: int
    transaction: int


class _Unsound(Exception):
    """The file can't be what LMDB wrote."""


def check_file(folder: Path) -> int:
    """The size in bytes of a file that may be opened; raises StoreDamaged or HomeUnusable, and writes nothing."""
    path = folder / DATA_FILE
    try:
        with path.open("rb") as file:
            size_bytes = file.seek(0, 2)
            if size_bytes == 0:
                raise StoreDamaged(f"the store {path} is empty, its content is lost: {FIX}")
            # Another layout, which LMDB itself must judge: 32-bit machines have no room for large stores anyway.
            if sys.maxsize > 2**32:
                _check(file, size_bytes)
    except PermissionError as error:
        raise HomeUnusable(
            f"the store {path} can't be read ({error.strerror}): run as the user that owns it"
        ) from error
    except OSError as error:
        raise HomeUnusable(f"the store {path} can't be read ({error.strerror}): check the disk") from error
    except _Unsound as error:
        raise StoreDamaged(f"the store {path} is damaged ({error}): {FIX}") from error
    return size_bytes


def _check(file: IO[bytes], size_bytes: int) -> None:
    first = _meta(file, 0)
    newest = max(first, _meta(file, first.page_bytes), key=lambda meta: meta.transaction)
    pages_there = size_bytes // newest.page_bytes
    lacking = newest.last_page + 1 - pages_there
    if lacking <= 0:
        return
    free = _free_pages(file, newest)
    if lacking > len(free) or not free.issuperset(range(pages_there, newest.last_page + 1)):
        raise _Unsound("it is truncated")


def _meta(file: IO[bytes], at: int) -> _Meta:
    head = _read(file, at, _PAGE_HEADER_BYTES + _META.size)
    _number, _pad, flags, _lower, _upper = _PAGE.unpack_from(head)
    magic, version, _address, _map, page_bytes, *_counts, free_root, _root, last, transaction = _META.unpack_from(
        head, _PAGE_HEADER_BYTES
    )
    if magic != _MAGIC or not flags & _META_PAGE or page_bytes not in _PAGE_SIZES:
        raise _Unsound("its header is none of a store")
    if version != _DATA_VERSION:
        raise _Unsound(f"its format is LMDB's {version}, not {_DATA_VERSION}")
    return _Meta(page_bytes, free_root, last, transaction)


def _free_pages(file: IO[bytes], meta: _Meta) -> set[int]:
    """All pages in the tree of free pages, whose values are lists of page numbers led by their count."""
    free: set[int] = set()
    seen: set[int] = set()
    waiting = [] if meta.free_root == _NO_PAGE else [meta.free_root]
    while waiting:
        number = waiting.pop()
        if number in seen or number > meta.last_page:
            raise _Unsound("its free pages are in disorder")
        seen.add(number)
        page = _read(file, number * meta.page_bytes, meta.page_bytes)
        _number, _pad, flags, lower, _upper = _PAGE.unpack_from(page)
        for at in struct.unpack_from(f"={max(0, lower - _PAGE_HEADER_BYTES) // 2}H", page, _PAGE_HEADER_BYTES):
            low, high, node_flags, key_bytes = _NODE.unpack(_slice(page, at, _NODE.size))
            if flags & _BRANCH:
                waiting.append(low | high << 16 | node_flags << 32)
            elif flags & _LEAF:
                data_at = at + _NODE.size + key_bytes
                if node_flags & _BIG_DATA:
                    (overflow,) = struct.unpack("=Q", _slice(page, data_at, 8))
                    value = _read(file, overflow * meta.page_bytes + _PAGE_HEADER_BYTES, low | high << 16)
                else:
                    value = _slice(page, data_at, low | high << 16)
                free.update(_page_numbers(value))
            else:
                raise _Unsound("its free pages are in disorder")
    return free


def _page_numbers(value: bytes) -> tuple[int, ...]:
    (count,) = struct.unpack("=Q", _slice(value, 0, 8))
    return struct.unpack(f"={count}Q", _slice(value, 8, 8 * count))


def _slice(page: bytes, at: int, size: int) -> bytes:
    part = page[at : at + size]
    if len(part) != size:
        raise _Unsound("a page of it is in disorder")
    return part


def _read(file: IO[bytes], at: int, size: int) -> bytes:
    data = b""
    # A number that a damaged page tells may be beyond what a file can have.
    if at + size <= sys.maxsize:
        file.seek(at)
        data = file.read(size)
    if len(data) != size:
        raise _Unsound("it is truncated")
    return data
