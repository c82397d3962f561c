"""A simulated disk: what one node has stored, with the reads that the machines need.

What is written is durable; that a write takes its time, and what a crash does to those under way, is up to the node's
process. Batches and rows are kept once for all nodes of a run (`pool`), as most nodes hold the same; and disks that
began as copies of one (`founding`) keep what differs. An arrival
row is kept until the application has read it; of the others only the next number is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final, TypeVar

from zmqchat.history.batch import BatchHeader, peek
from zmqchat.model.ids import LogKey, RoomId
from zmqchat.model.layered import Layered
from zmqchat.protocol.assembly import Kept
from zmqchat.protocol.data import NOTHING, TakenUp
from zmqchat.protocol.effects import DropBatch, LoadRange, PutArrival, PutBatch, PutFrontier, Write
from zmqchat.protocol.ownlog import OWN_LOG_ROW

Bytes = TypeVar("Bytes", bytes, "bytes | None")
Key = TypeVar("Key")


FSYNC_S: Final = 0.002
"""How long a commit of a good disk takes."""


class Disk:
    """One node's disk.

    pool        batches and rows by themselves, shared by all disks of a run
    fsync_s     how long a commit takes
    full, broken, unreadable   what is wrong with it at the moment
    generation  counts the starts on it
    """

    def __init__(self, store_id: bytes, pool: dict[bytes, bytes]) -> None:
        self.store_id = store_id
        self.generation = 0
        self.fsync_s = FSYNC_S
        self.read_s = 0.001
        self.full = False
        self.broken = False
        self.unreadable = False
        self.moved = False
        self.arrivals: dict[RoomId, list[PutArrival]] = {}
        self._pool = pool
        self._batches: dict[RoomId, Layered[LogKey, list[bytes]]] = {}
        self._frontiers: Layered[tuple[RoomId, LogKey], bytes] = Layered()
        self._next_arrivals: dict[RoomId, int] = {}
        self._tables: dict[str, Layered[bytes, bytes]] = {}
        self._taken_up = NOTHING

    @property
    def is_fine(self) -> bool:
        """Whether nothing is wrong with it, and it is as fast as it was made."""
        return self.fsync_s <= FSYNC_S and not (self.full or self.broken or self.unreadable)

    def copy(self, store_id: bytes | None = None) -> Disk:
        """The same content on another disk, as a backup or a copied folder is, or in a store of its own."""
        other = Disk(store_id or self.store_id, self._pool)
        other.generation = self.generation
        other.fsync_s, other.read_s = self.fsync_s, self.read_s
        other.arrivals = {room: list(rows) for room, rows in self.arrivals.items()}
        if self._frontiers.changes != {} or self._members.changes != {}:
            self._taken_up = NOTHING  # the layer below is not what it came from any more
        other._taken_up = self._taken_up
        other._batches = {room: logs.copy() for room, logs in self._batches.items()}
        other._frontiers = self._frontiers.copy()
        other._next_arrivals = dict(self._next_arrivals)
        other._tables = {table: rows.copy() for table, rows in self._tables.items()}
        return other

    @property
    def _members(self) -> Layered[bytes, bytes]:
        return self._tables.setdefault("members", Layered())

    def was_taken_up(self, as_this: TakenUp) -> None:
        """Whoever starts on it, or on a copy of it, need not read the rows of frontiers and members that it has now."""
        self._frontiers, self._tables["members"] = self._frontiers.copy(), self._members.copy()
        self._taken_up = as_this

    # Writing ---------------------------------------------------------------------------------------

    def write(self, writes: Sequence[Write]) -> None:
        """Keep these."""
        for write in writes:
            if isinstance(write, PutBatch):
                _put_batch(self._own_batches(write.room, write.key), write, self._once(write.raw))
            elif isinstance(write, DropBatch):
                raws = self._own_batches(write.room, write.key)
                at = bisect_left(raws, write.end, key=_end)
                if at < len(raws) and _end(raws[at]) == write.end:
                    del raws[at]
            elif isinstance(write, PutArrival):
                self.arrivals.setdefault(write.room, []).append(write)
                self._next_arrivals[write.room] = write.number + (write.end - write.first if write.batch_end else 1)
            elif isinstance(write, PutFrontier):
                _put(self._frontiers, (write.room, write.key), self._once(write.value))
            else:
                _put(self._tables.setdefault(write.table, Layered()), write.key, self._once(write.value))
                if write.key == OWN_LOG_ROW:
                    # As in the real store: that it is a copy is known until the new log's number is durable.
                    self.moved = False

    def _own_batches(self, room: RoomId, key: LogKey) -> list[bytes]:
        logs = self._batches.setdefault(room, Layered())
        raws = logs.own(key, list)
        if raws is None:
            raws = logs[key] = []
        return raws

    def _batches_of(self, room: RoomId, key: LogKey) -> list[bytes]:
        logs = self._batches.get(room)
        raws: list[bytes] = [] if logs is None else logs.get(key, [])
        return raws

    def _once(self, value: Bytes) -> Bytes:
        return value if value is None else self._pool.setdefault(value, value)

    # Reading ---------------------------------------------------------------------------------------

    def kept(self, power_lost: bool) -> Kept:
        """What a node that starts on this disk takes up."""
        taken_up = self._taken_up
        frontiers, members = self._frontiers.changes, self._members.changes
        if taken_up is NOTHING or frontiers is None or members is None:
            frontiers, members, taken_up = dict(self._frontiers.items()), dict(self._members.items()), NOTHING
        return Kept(
            rooms=[(RoomId(key), row) for key, row in self._rows("rooms")],
            frontiers=[(room, key, row) for (room, key), row in sorted(frontiers.items())],
            next_arrivals=dict(sorted(self._next_arrivals.items())),
            members=sorted(members.items()),
            kept=self._rows("kept"),
            own_log=dict(self._rows("meta")).get(OWN_LOG_ROW),
            moved=self.moved,
            power_lost=power_lost,
            taken_up=taken_up,
        )

    def _rows(self, table: str) -> list[tuple[bytes, bytes]]:
        rows = self._tables.get(table)
        return [] if rows is None else sorted(rows.items())

    def load(self, load: LoadRange) -> tuple[bytes, ...]:
        """Whole batches that hold numbers of the range, as the store reads them."""
        raws = self._batches_of(load.room, load.key)
        found = []
        for at in range(bisect_right(raws, load.first, key=_end), len(raws)):
            if _header(raws[at]).first >= load.end:
                break
            found.append(raws[at])
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
        raws = self._batches_of(room, key)
        at = bisect_left(raws, end, key=_end)
        return raws[at] if at < len(raws) and _end(raws[at]) == end else None

    def batches(self, room: RoomId) -> list[tuple[LogKey, bytes]]:
        """All batches of a room with the logs that they are stored under."""
        logs = self._batches.get(room)
        return [] if logs is None else [(key, raw) for key, raws in logs.items() for raw in raws]


def _put(table: Layered[Key, bytes], key: Key, value: bytes | None) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


def _put_batch(raws: list[bytes], write: PutBatch, raw: bytes) -> None:
    """Put a batch at its place among those of its log, mostly the last."""
    at = len(raws)
    if raws and _end(raws[-1]) >= write.end:
        at = bisect_left(raws, write.end, key=_end)
    if at < len(raws) and _end(raws[at]) == write.end:
        raws[at] = raw
    else:
        raws.insert(at, raw)


def _header(raw: bytes) -> BatchHeader:
    header = peek(raw)
    assert isinstance(header, BatchHeader), header
    return header


def _end(raw: bytes) -> int:
    return _header(raw).end
