"""The timeline: one order of all events of a room, the same on every node that holds the same batches.

Events are ordered by their batch's `sealed_at`, then author, log and number. Only two branches of a forked
log can tie in these; the batch's digest decides between them. All events of a batch stand together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar


class Placed(Protocol):
    """What the order looks at; `zmqchat.history.batch.Batch` is one."""

    @property
    def sealed_at(self) -> int:
        """The batch's clock value."""
        ...

    @property
    def author(self) -> bytes:
        """Its author."""
        ...

    @property
    def log(self) -> int:
        """The number of its log."""
        ...

    @property
    def first(self) -> int:
        """The number of its first event."""
        ...

    @property
    def digest(self) -> bytes:
        """Its digest."""
        ...


TimelineKey = tuple[int, bytes, int, int, bytes]

P = TypeVar("P", bound=Placed)


def timeline_key(batch: Placed) -> TimelineKey:
    """Where a batch stands in its room's timeline, for sorting."""
    return batch.sealed_at, batch.author, batch.log, batch.first, batch.digest


def in_timeline_order(batches: Iterable[P]) -> list[P]:
    """The batches as a reader sees them, oldest first."""
    return sorted(batches, key=timeline_key)
