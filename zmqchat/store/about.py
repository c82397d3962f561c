"""What a store knows of itself: schema, id, openings, and whether this may be a copy of it.

How it works. One row tells where the store was last used in good order: machine, boot and which file it is, by
its inode and, as that is given to another file once this one is removed, the inode's generation. An opening
compares. Where all agrees, or the stop before was clean on the same machine, the place is recorded anew at
once. Where it does not (a moved home, or power lost) the old place stays on record until the own log is
settled: the transaction that stores `OWN_LOG_ROW` records the new one. So a node that is killed before its
first append still finds at its next start that it must draw a new log number.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from zmqchat.model.errors import StoreDamaged, StoreVersion
from zmqchat.protocol.ownlog import OWN_LOG_ROW
from zmqchat.store.checks import FIX
from zmqchat.store.layout import ABOUT
from zmqchat.store.store import StoreInfo

SCHEMA: Final = 1
"""Raised when an older zmqchat could no longer read what this one writes; there is no older one to migrate yet."""

SCHEMA_KEY: Final = b"schema"
RECORD_KEY: Final = b"record"
SETTLED_BY: Final = ("meta", OWN_LOG_ROW)
"""The row whose writing settles under which number the node goes on."""

_SCHEMA_ROW: Final = struct.Struct(">Q")
_RECORD: Final = struct.Struct(">16sQB16s16sQ")


class Place(NamedTuple):
    """Where a store is used: digests of machine and boot id, and a mark of its file."""

    machine: bytes
    boot: bytes
    file: int


class Record(NamedTuple):
    """What is on disk about the store itself."""

    store_id: bytes
    generation: int
    clean: bool
    place: Place

    def rows(self) -> dict[bytes, bytes]:
        """The record as rows of the database `about`."""
        raw = _RECORD.pack(self.store_id, self.generation, self.clean, *self.place)
        return {SCHEMA_KEY: _SCHEMA_ROW.pack(SCHEMA), RECORD_KEY: raw}


def place(machine_id: bytes, boot_id: bytes, inode: int, generation: int = 0) -> Place:
    """The place of an opening; the ids may be of any length, the generation is 0 where there is none."""
    inode &= 2**64 - 1
    if generation:
        digest = hashlib.blake2b(b"%d %d" % (inode, generation), digest_size=8, person=b"zmqchat-file-1").digest()
        return Place(_digest(machine_id), _digest(boot_id), int.from_bytes(digest, "big"))
    return Place(_digest(machine_id), _digest(boot_id), inode)


def read_record(get: Callable[[str, bytes], bytes | None], where: str) -> Record:
    """The record of the store that `get` reads from. Raises StoreVersion or StoreDamaged."""
    schema, raw = get(ABOUT, SCHEMA_KEY), get(ABOUT, RECORD_KEY)
    if schema is None or len(schema) != _SCHEMA_ROW.size:
        raise StoreDamaged(f"the store {where} does not tell its version: {FIX}")
    (version,) = _SCHEMA_ROW.unpack(schema)
    if version > SCHEMA:
        raise StoreVersion(
            f"the store {where} was written by a newer zmqchat (schema {version}, this one knows {SCHEMA}): "
            "update zmqchat; nothing was changed"
        )
    if raw is None or len(raw) != _RECORD.size:
        raise StoreDamaged(f"the store {where} does not tell its id: {FIX}")
    store_id, generation, clean, machine, boot, file = _RECORD.unpack(raw)
    return Record(store_id, generation, bool(clean), Place(machine, boot, file))


def first_record(store_id: bytes) -> Record:
    """The record of a store that is being made; its first opening makes it generation 1."""
    return Record(store_id, 0, True, Place(bytes(16), bytes(16), 0))


def opened(before: Record, here: Place, step: int = 1) -> tuple[Record, StoreInfo]:
    """The record from now on, and what the opening found.

    step  by how much the generation rises: drawn at random, so that two copies of a store never come to one and the
          same, as what a peer remembers of the one would then be believed of the other
    """
    fresh = before.generation == 0
    moved = not fresh and (before.place.machine, before.place.file) != (here.machine, here.file)
    same_boot = fresh or before.place.boot == here.boot
    in_order = not moved and (before.clean or same_boot)
    record = Record(before.store_id, before.generation + step, False, here if in_order else before.place)
    info = StoreInfo(
        store_id=before.store_id,
        generation=record.generation,
        fresh=fresh,
        clean=before.clean,
        same_boot=same_boot,
        moved=moved,
    )
    return record, info


def closed(record: Record, here: Place) -> Record:
    """The record of a clean stop; while the own log is not settled no stop counts as clean."""
    return record._replace(clean=record.place == here)


def _digest(identifier: bytes) -> bytes:
    return hashlib.blake2b(identifier, digest_size=16, person=b"zmqchat-place-1").digest()
