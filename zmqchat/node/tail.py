"""The live end of a room: what was delivered lately, kept in memory, and who waits for more.

A cursor that keeps up reads here and never touches the store; one that fell behind reads its pages from
the store until it is back in this window. Bounded by bytes, a room and all rooms together: the oldest go first.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import OrderedDict, deque
from typing import NamedTuple

from zmqchat.model.limits import HOT_BYTES_MAX, HOT_TOTAL_BYTES_MAX
from zmqchat.protocol.effects import PutArrival

GAP_BYTES = 64


class Row(NamedTuple):
    """An arrival and its batch, None for a gap."""

    arrival: PutArrival
    raw: bytes | None

    @property
    def end_number(self) -> int:
        """The arrival number after this row's last."""
        arrival = self.arrival
        return arrival.number + (1 if self.raw is None else arrival.end - arrival.first)


class HotBytes:
    """What the tails of all rooms hold together; the room that grew last stands last."""

    def __init__(self) -> None:
        self._tails: OrderedDict[Tail, None] = OrderedDict()
        self.total = 0

    def grew(self, tail: Tail) -> None:
        """A tail has a row more: others make room for it."""
        self._tails[tail] = None
        self._tails.move_to_end(tail)
        while self.total > HOT_TOTAL_BYTES_MAX:
            oldest = next(iter(self._tails))
            if oldest is tail:
                return
            oldest.drop_oldest()
            if oldest.is_empty:
                del self._tails[oldest]


class Tail:
    """The newest rows of one room in arrival order."""

    def __init__(self, next_number: int, hot: HotBytes | None = None) -> None:
        self._rows: deque[Row] = deque()
        self._bytes = 0
        self._hot = hot or HotBytes()
        self._waiting: list[asyncio.Future[None]] = []
        self.next_number = next_number

    def append(self, row: Row) -> None:
        """A row became deliverable: its number is the next one."""
        self._rows.append(row)
        size_bytes = _size_bytes(row)
        self._bytes += size_bytes
        self._hot.total += size_bytes
        self.next_number = row.end_number
        while self._bytes > HOT_BYTES_MAX and len(self._rows) > 1:
            self.drop_oldest()
        self._hot.grew(self)
        self.wake()

    @property
    def is_empty(self) -> bool:
        """Whether everything of this room lies in the store alone."""
        return not self._rows

    def drop_oldest(self) -> None:
        """The oldest row is in the store alone from now on."""
        size_bytes = _size_bytes(self._rows.popleft())
        self._bytes -= size_bytes
        self._hot.total -= size_bytes

    def wake(self) -> None:
        """Let all waiting cursors look again."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def changed(self) -> asyncio.Future[None]:
        """A future that is done when the tail has grown or the node stops."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        if len(self._waiting) > 64:
            self._waiting = [f for f in self._waiting if not f.done()]
        return future

    def rows_from(self, number: int, rows_max: int) -> list[Row] | None:
        """Rows from the one that holds this arrival number; None where they are in the store alone."""
        if not self._rows or number < self._rows[0].arrival.number:
            return None
        start = bisect_right(self._rows, number, key=lambda row: row.arrival.number) - 1
        return [self._rows[i] for i in range(start, min(start + rows_max, len(self._rows)))]


def _size_bytes(row: Row) -> int:
    return GAP_BYTES if row.raw is None else len(row.raw)
