"""What becomes of writes when the disk is full: batches are refused, small rows use a reserve.

How it works. A file of STORE_RESERVE_BYTES is laid down while there is room. When a commit finds the disk
full, batches are refused from then on without trying, until there is room again for them and the reserve,
or RETRY_S have passed (LMDB may have free pages inside its file). A submission without a batch (read
positions, peers, deletions) may give the reserve up to get through. The reserve comes back with room.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import lmdb

from zmqchat.model.limits import STORE_FREE_BYTES_MIN, STORE_RESERVE_BYTES
from zmqchat.store.filesystems import allocate, free_bytes

RESERVE_FILE: Final = "reserve"
RETRY_S: Final = 5.0
_FULL_TEXTS: Final = ("No space left", "Disk quota exceeded", "not enough space")


class Space:
    """The room for one store; used by its writer thread only."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._reserve = folder / RESERVE_FILE
        self._now = now
        self._retry_at_s = 0.0
        self.full = False
        self._restore()

    def admits(self, size_bytes: int, *, bulky: bool) -> bool:
        """Whether a commit of this size is worth trying; `bulky` says that it holds batches."""
        if not self.full or not bulky:
            return True
        if not self._restore():
            return False
        free = free_bytes(self._folder)
        return free is None or free >= self._needed(size_bytes) or self._now() >= self._retry_at_s

    def lacks(self, error: Exception, size_bytes: int) -> bool:
        """Whether a failed commit of this size failed for want of room."""
        # LMDB tells a short write as "Input/output error", so the disk is asked too.
        if isinstance(error, lmdb.DiskError) or any(text in str(error) for text in _FULL_TEXTS):
            return True
        free = free_bytes(self._folder)
        return free is not None and free < self._needed(size_bytes)

    def ran_full(self) -> None:
        """A commit found no room."""
        self.full = True
        self._retry_at_s = self._now() + RETRY_S

    def give_up_reserve(self) -> bool:
        """Turn the reserve into room; False where it is gone already."""
        try:
            self._reserve.unlink()
        except OSError:
            return False
        return True

    def committed(self, *, bulky: bool) -> None:
        """A commit went well: one of a batch shows that there is room again."""
        if self.full and (bulky or self._roomy()) and self._restore():
            self.full = False

    def _restore(self) -> bool:
        """Have the reserve, made anew where there is room for it."""
        if self._reserve.exists():
            return True
        if not self._roomy():
            return False
        try:
            allocate(self._reserve, STORE_RESERVE_BYTES)
        except OSError:
            self._reserve.unlink(missing_ok=True)
            return False
        return True

    def _roomy(self) -> bool:
        free = free_bytes(self._folder)
        return free is None or free >= 2 * STORE_RESERVE_BYTES + STORE_FREE_BYTES_MIN

    def _needed(self, size_bytes: int) -> int:
        return 2 * size_bytes + STORE_FREE_BYTES_MIN
