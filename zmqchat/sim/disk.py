"""A simulated disk: what one node has stored, with the reads that the machines need.

What is written is durable; that a write takes its time, and what a crash does to those under way, is up to the node's
process. Batches are kept once for all nodes of a run (`pool`), as most nodes hold the same. An arrival
row is kept until the application has read it; of the others only the next number is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from zmqchat.history.batch import peek
from zmqchat.model.ids import LogKey, RoomId
from zmqchat.protocol.assembly import Kept
from zmqchat.protocol.effects import LoadRange, PutArrival, PutBatch, PutFrontier, Write
from zmqchat.protocol.ownlog import OWN_LOG_ROW


class _Log:
    """The batches of one log, rising."""

    __slots__ = ("ends", "raws")

    def __init__(self, ends: Sequence[int] = (), raws: Sequence[bytes] = ()) -> None:
        self.ends = list(ends)
        self.raws = list(raws)

    def put(self, end: int, raw: bytes) -> None:
        at = bisect_left(self.ends, end)
        if at < len(self.ends) and self.ends[at] == end:
            self.raws[at] = raw
        else:
            self.ends.insert(at, end)
            self.raws.insert(at, raw)


class Disk:
    """One node's disk.

    pool        batches by themselves, shared by all disks of a run
    fsync_s     how long a commit takes
    full, broken, unreadable   what is wrong with it at the moment
    generation  counts the starts on it
    """

    def __init__(self, store_id: bytes, pool: dict[bytes, bytes]) -> None:
        self.store_id = store_id
        self.generation = 0
        self.fsync_s = 0.002
        self.read_s = 0.001
        self.full = False
        self.broken = False
        self.unreadable = False
        self.moved = False
        self.arrivals: dict[RoomId, list[PutArrival]] = {}
        self._pool = pool
        self._batches: dict[RoomId, dict[LogKey, _Log]] = {}
        self._frontiers: dict[tuple[RoomId, LogKey], bytes] = {}
        self._next_arrivals: dict[RoomId, int] = {}
        self._tables: dict[str, dict[bytes, bytes]] = {}

    def copy(self) -> Disk:
        """The same content on another disk, as a backup or a copied folder is."""
        other = Disk(self.store_id, self._pool)
        other.generation = self.generation
        other.fsync_s, other.read_s = self.fsync_s, self.read_s
        other.arrivals = {room: list(rows) for room, rows in self.arrivals.items()}
        for room, logs in self._batches.items():
            other._batches[room] = {key: _Log(log.ends, log.raws) for key, log in logs.items()}
        other._frontiers = dict(self._frontiers)
        other._next_arrivals = dict(self._next_arrivals)
        other._tables = {table: dict(rows) for table, rows in self._tables.items()}
        return other

    # Writing ---------------------------------------------------------------------------------------

    def write(self, writes: Sequence[Write]) -> None:
        """Keep these."""
        for write in writes:
            if isinstance(write, PutBatch):
                raw = self._pool.setdefault(write.raw, write.raw)
                self._batches.setdefault(write.room, {}).setdefault(write.key, _Log()).put(write.end, raw)
            elif isinstance(write, PutArrival):
                self.arrivals.setdefault(write.room, []).append(write)
                self._next_arrivals[write.room] = write.number + (write.end - write.first if write.batch_end else 1)
            elif isinstance(write, PutFrontier):
                _put(self._frontiers, (write.room, write.key), write.value)
            else:
                _put(self._tables.setdefault(write.table, {}), write.key, write.value)

    # Reading ---------------------------------------------------------------------------------------

    def kept(self, power_lost: bool) -> Kept:
        """What a node that starts on this disk takes up."""
        return Kept(
            rooms=[(RoomId(key), row) for key, row in sorted(self._tables.get("rooms", {}).items())],
            frontiers=[(room, key, row) for (room, key), row in sorted(self._frontiers.items())],
            next_arrivals=dict(sorted(self._next_arrivals.items())),
            members=sorted(self._tables.get("members", {}).items()),
            own_log=self._tables.get("meta", {}).get(OWN_LOG_ROW),
            moved=self.moved,
            power_lost=power_lost,
        )

    def load(self, load: LoadRange) -> tuple[bytes, ...]:
        """Whole batches that hold numbers of the range, as the store reads them."""
        log = self._batches.get(load.room, {}).get(load.key)
        if log is None:
            return ()
        begin = bisect_right(log.ends, load.first)
        found = []
        for at in range(begin, len(log.ends)):
            if _first(log.raws[at]) >= load.end:
                break
            found.append(log.raws[at])
        if load.newest_first:
            found.reverse()
        taken: list[bytes] = []
        size_bytes = 0
        for raw in found:
            size_bytes += len(raw)
            if taken and size_bytes > load.bytes_max:
                break
            taken.append(raw)
        return tuple(reversed(taken) if load.newest_first else taken)

    def batch(self, room: RoomId, key: LogKey, end: int) -> bytes | None:
        """The batch of this log that ends here."""
        log = self._batches.get(room, {}).get(key)
        at = bisect_left(log.ends, end) if log is not None else 0
        return log.raws[at] if log is not None and at < len(log.ends) and log.ends[at] == end else None

    def batches(self, room: RoomId) -> list[tuple[LogKey, bytes]]:
        """All batches of a room with the logs that they are stored under."""
        return [(key, raw) for key, log in self._batches.get(room, {}).items() for raw in log.raws]


def _put(table: dict, key: object, value: bytes | None) -> None:  # type: ignore[type-arg]  # keys of several types
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


def _first(raw: bytes) -> int:
    header = peek(raw)
    assert header is not None and not hasattr(header, "reason")
    return header.first
