"""How far this home has read each room: an end a log, durable, so that a restart repeats little and skips nothing.

Kept as numbers a log and not as a place in the list, because what arrives late stands before what was
read. The lowest arrival number that may hold something unread is kept beside it, as where to start.
What fills an old gap stands below the end of its log: of that, the arrivals that were read are kept as ranges.
Writes are coalesced: at most one under way, at most one a WRITE_DELAY_S.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.model.limits import FRAME_BYTES_MAX, PACK_VALUES_MAX
from zmqchat.protocol.effects import PutRow
from zmqchat.protocol.facts import ReadUpTo
from zmqchat.wire.packing import Malformed, pack, unpack

WRITE_DELAY_S = 0.1
LOG_BYTES_MAX = 64
RANGES_KEPT_MAX = 64
"""Ranges of late arrivals that were read, a room; older ones count as unread again."""

LOGS_KEPT_MAX = min(PACK_VALUES_MAX // 6, FRAME_BYTES_MAX // LOG_BYTES_MAX - 1)
"""Logs in a room's row, those that moved last: more than can be unpacked again would lose them all."""
_PREFIX = b"read:"


@dataclass(slots=True)
class _Position:
    start: int = 1
    ends: dict[LogKey, int] = field(default_factory=dict)
    fresh: dict[LogKey, int] = field(default_factory=dict)
    late: list[tuple[int, int]] = field(default_factory=list)
    is_dirty: bool = False


class ReadPositions:
    """The read positions of all rooms."""

    def __init__(self, write: Callable[[tuple[PutRow, ...]], None], tell: Callable[[ReadUpTo], None]) -> None:
        self._write = write
        self._tell = tell
        self._positions: dict[RoomId, _Position] = {}
        self._timer: asyncio.TimerHandle | None = None

    def restore(self, rows: list[tuple[bytes, bytes]]) -> None:
        """Take what the store's meta table has."""
        for key, value in rows:
            if not key.startswith(_PREFIX):
                continue
            try:
                start, ends, *late = unpack(value, array_max=PACK_VALUES_MAX)
                self._positions[RoomId(key[len(_PREFIX) :])] = _Position(
                    start,
                    {LogKey(PeerId(author), log, branch): end for author, log, branch, end in ends},
                    late=[(first, end) for first, end in late],
                )
            except (Malformed, TypeError, ValueError):
                continue  # a damaged row costs reading again, nothing else

    def start(self, room: RoomId) -> int:
        """The arrival number from which something may be unread."""
        position = self._positions.get(room)
        return 1 if position is None else position.start

    def ends(self, room: RoomId) -> dict[LogKey, int]:
        """How far each log of the room is read."""
        position = self._positions.get(room)
        return {} if position is None else dict(position.ends)

    def move(self, room: RoomId, key: LogKey, end: int, arrival_end: int | None = None) -> None:
        """This log is read below `end`; a cursor that reads in order says besides up to which arrival."""
        position = self._positions.setdefault(room, _Position())
        if end > position.ends.get(key, 0):
            position.ends.pop(key, None)  # what moved last stands last
            position.ends[key] = end
            position.fresh[key] = end
            position.is_dirty = True
        if arrival_end is not None:
            self.move_start(room, arrival_end)
        self._write_soon()

    def late(self, room: RoomId) -> list[tuple[int, int]]:
        """The ranges of arrivals that filled old gaps and were read."""
        position = self._positions.get(room)
        return [] if position is None else list(position.late)

    def move_late(self, room: RoomId, number: int) -> None:
        """What filled an old gap as this arrival was read."""
        position = self._positions.setdefault(room, _Position())
        if number < position.start or any(first <= number < end for first, end in position.late):
            return
        if position.late and position.late[-1][1] == number:
            position.late[-1] = (position.late[-1][0], number + 1)
        else:
            position.late = [*position.late[1 - RANGES_KEPT_MAX :], (number, number + 1)]
        position.is_dirty = True
        self._write_soon()

    def move_start(self, room: RoomId, arrival_end: int) -> None:
        """A cursor that reads in order has passed all arrivals below this number, gaps and backfill among them."""
        position = self._positions.setdefault(room, _Position())
        if arrival_end > position.start:
            position.start = arrival_end
            position.late = [(first, end) for first, end in position.late if end > arrival_end]
            position.is_dirty = True
            self._write_soon()

    def _write_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WRITE_DELAY_S, self.flush)

    def flush(self) -> None:
        """Write and tell what has moved."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for room, position in self._positions.items():
            if not position.is_dirty:
                continue
            position.is_dirty = False
            ends, position.fresh = position.fresh, {}
            kept = islice(position.ends.items(), max(0, len(position.ends) - LOGS_KEPT_MAX), None)
            value = pack([position.start, [[*key, end] for key, end in kept], *map(list, position.late)])
            self._write((PutRow("meta", _PREFIX + room, value),))
            if ends:
                self._tell(ReadUpTo(room=room, ends=ends))
