"""The other half of the bench's floor: one LMDB commit with fsync, as any durable message costs."""

from __future__ import annotations

from pathlib import Path

import lmdb

MAP_BYTES = 1 << 28


class PlainCommits:
    """A bare LMDB environment."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._environment = lmdb.open(str(folder), map_size=MAP_BYTES)
        self._count = 0

    def commit(self, payload: bytes) -> None:
        """Make one value durable."""
        self._count += 1
        with self._environment.begin(write=True) as transaction:
            transaction.put(self._count.to_bytes(8, "big"), payload)

    def close(self) -> None:
        """Let go of the file."""
        self._environment.close()
