"""The ledger: what is durable here of each room, shared by the data machines; and a group of changes to it.

How it works. The ledger holds only what is on disk: it changes when a commit has succeeded, so whoever
reads it (HAVE, summaries, answers to WANT) can't tell of what a failing disk may still lose. A `Group` is
one commit in the making: the machines place batches and give arrival numbers in it one after another, each
seeing what the earlier ones did. `seal` takes the writes out of it and puts the frontiers back as they
are on disk; `Ledger.apply` makes the changes when the store says that they are durable.

One group is under way at a time (`committing`), so a failed one leaves nothing behind: no number was
given twice or skipped, and no later write rests on one that is not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from zmqchat.history.batch import Batch
from zmqchat.history.frontier import Load, LogFrontier, Outcome, Placement, RoomFrontier
from zmqchat.history.ranges import Link
from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.protocol.data_facts import StoredBatch
from zmqchat.protocol.effects import Deliver, DropBatch, Effect, PutArrival, PutBatch, PutFrontier, PutRow, Write
from zmqchat.protocol.facts import Fact

FIRST_ARRIVAL = 1
"""The arrival number of a room's first event, so that 0 stands before all of them."""

_JOINED = 1
_LATEST_FIRST = 2
_KEPT = 4
_KEEPING = 8
_PARTING = 16
_ROW_VERSION = 1


@dataclass(slots=True)
class RoomLedger:
    """One room.

    kept           we hold it for others only, and were never in it ourselves; no name is known of it
    keeping        we are one of its keepers now: what is said there is taken in
    parting        we have left it, and nobody there is known to have all that we said: it is still given to others
    frontier       what is durable of it
    next_arrival   the arrival number of what becomes deliverable next
    up_to_date_at  the clock value at which nothing that peers hold was missing here; None before
    changed        by log, the ledger's version when it last changed
    """

    room: RoomId
    name: str = ""
    joined: bool = False
    latest_first: bool = False
    kept: bool = False
    keeping: bool = False
    parting: bool = False
    frontier: RoomFrontier = field(default_factory=RoomFrontier)
    next_arrival: int = FIRST_ARRIVAL
    up_to_date_at: int | None = None
    changed: dict[LogKey, int] = field(default_factory=dict)

    def row(self) -> bytes:
        """The row of table `rooms`."""
        flags = (_JOINED if self.joined else 0) | (_LATEST_FIRST if self.latest_first else 0)
        flags |= (_KEPT if self.kept else 0) | (_KEEPING if self.keeping else 0) | (_PARTING if self.parting else 0)
        return bytes((_ROW_VERSION, flags)) + self.name.encode()

    @property
    def is_shared(self) -> bool:
        """Whether we take in what is said there, and give it to others."""
        return self.joined or self.keeping

    @property
    def is_given(self) -> bool:
        """Whether we give what we have of it to others."""
        return self.is_shared or self.parting

    @property
    def reads_latest(self) -> bool:
        """Whether what is newest is read first, and gaps before it wait for nothing."""
        return self.latest_first and self.up_to_date_at is None

    def is_live(self, sealed_at: int, pushed: bool) -> bool:
        """Whether a message counts as live."""
        return pushed or (self.up_to_date_at is not None and sealed_at > self.up_to_date_at)


class Ledger:
    """All rooms, and the number of our own current log."""

    def __init__(self, me: PeerId) -> None:
        self.me = me
        self.own_log = 0
        self.version = 0
        self.rooms: dict[RoomId, RoomLedger] = {}
        self._joined: list[RoomId] = []
        self._shared: list[RoomId] = []
        self._parting: list[RoomId] = []

    def restore(
        self,
        rooms: Iterable[tuple[RoomId, bytes]],
        frontiers: Iterable[tuple[RoomId, LogKey, bytes]],
        next_arrivals: Mapping[RoomId, int],
        taken_up: Mapping[RoomId, RoomFrontier] | None = None,
    ) -> list[str]:
        """Take up what the store holds; what is damaged is left out and named in the answer.

        rooms          rows of table `rooms`
        frontiers      packed frontiers by room and log
        taken_up       of rooms whose rows others have taken up before: of these `frontiers` has what differs
        next_arrivals  by room, the number after the last that was given (absent: none was)
        """
        damaged = []
        for room, row in rooms:
            entry = self.room(room)
            if len(row) >= 2 and row[0] == _ROW_VERSION:
                entry.joined = bool(row[1] & _JOINED)
                entry.latest_first = bool(row[1] & _LATEST_FIRST)
                entry.kept, entry.keeping = bool(row[1] & _KEPT), bool(row[1] & _KEEPING)
                entry.parting = bool(row[1] & _PARTING)
                entry.name = row[2:].decode(errors="replace")
            else:
                damaged.append(f"room {room.hex()}")
        for room, same in (taken_up or {}).items():
            self.room(room).frontier = same.copy()
        for room, key, row in frontiers:
            frontier = LogFrontier.unpack(row)
            if frontier is None:
                damaged.append(f"log {key.log} of {key.author.hex()[:8]} in room {room.hex()}")
            else:
                self.room(room).frontier.put(key, frontier)
        for room, number in next_arrivals.items():
            self.room(room).next_arrival = max(number, FIRST_ARRIVAL)
        self.rooms_changed()
        return damaged

    def room(self, room: RoomId) -> RoomLedger:
        """The entry of a room, made where there is none; only for rooms that we are in or keep."""
        entry = self.rooms.get(room)
        if entry is None:
            entry = self.rooms[room] = RoomLedger(room)
        return entry

    def rooms_changed(self) -> None:
        """Rooms were joined or left, are kept or not, are parting or not."""
        self._joined = sorted(room for room, entry in self.rooms.items() if entry.joined)
        self._shared = sorted(room for room, entry in self.rooms.items() if entry.is_shared)
        self._parting = sorted(room for room, entry in self.rooms.items() if entry.parting)

    def joined_rooms(self) -> list[RoomId]:
        """The rooms that we are in, sorted."""
        return self._joined

    def is_joined(self, room: RoomId) -> bool:
        """Whether we are in this room."""
        entry = self.rooms.get(room)
        return entry is not None and entry.joined

    def shared_rooms(self) -> list[RoomId]:
        """The rooms that we are in or a keeper of, sorted."""
        return self._shared

    def is_shared(self, room: RoomId) -> bool:
        """Whether we are in this room or one of its keepers."""
        entry = self.rooms.get(room)
        return entry is not None and entry.is_shared

    def parting_rooms(self) -> list[RoomId]:
        """The rooms that we have left without being known to be heard, sorted."""
        return self._parting

    def is_parting(self, room: RoomId) -> bool:
        """Whether this room is one of them."""
        entry = self.rooms.get(room)
        return entry is not None and entry.parting

    def is_given(self, room: RoomId) -> bool:
        """Whether we give what we have of this room to others."""
        entry = self.rooms.get(room)
        return entry is not None and entry.is_given

    def is_current(self, key: LogKey) -> bool:
        """Whether this is the log that we write under now."""
        return key.author == self.me and key.log == self.own_log

    def frontier(self, room: RoomId, key: LogKey) -> LogFrontier | None:
        """What is durable of a log; None for nothing."""
        entry = self.rooms.get(room)
        return None if entry is None else entry.frontier.get(key)

    def contiguous_end(self, room: RoomId, key: LogKey) -> int:
        """The number below which nothing of the log is missing here, its floor counted as held."""
        frontier = self.frontier(room, key)
        return 0 if frontier is None else frontier.contiguous_end

    def apply(self, group: Group) -> None:
        """Take up what a group has made durable."""
        self.version += 1
        for (room, key), frontier in group.after.items():
            entry = self.rooms[room]
            entry.frontier.put(key, frontier)
            entry.changed[key] = self.version
        for room, number in group.arrivals.items():
            self.rooms[room].next_arrival = number

    def drop(self, group: Group) -> None:
        """Forget a group that was not stored."""
        for room in dict.fromkeys(room for room, _key in group.after):
            self.rooms[room].frontier.forget_recent()


class Group:
    """The changes of one commit.

    stored    the batches in it, in order
    delivers  what cursors may go on to once it is durable
    notes     what a source has to say at once, whatever becomes of the group
    after     once sealed, the frontiers by room and log; None removes one
    arrivals  the next arrival number by room
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._before: dict[tuple[RoomId, LogKey], LogFrontier | None] = {}
        self._writes: list[Write] = []
        self.size_bytes = 0
        self.stored: list[StoredBatch] = []
        self.delivers: list[Deliver] = []
        self.notes: list[Effect | Fact] = []
        self.after: dict[tuple[RoomId, LogKey], LogFrontier | None] = {}
        self.arrivals: dict[RoomId, int] = {}

    def place(self, batch: Batch, loaded: Mapping[Load, list[Link]]) -> Placement:
        """Where the batch belongs, behind all that the group holds already; it is applied where it is PLACED."""
        frontier = self._ledger.rooms[batch.room].frontier
        placement = frontier.place(batch, loaded)
        if placement.outcome is Outcome.PLACED:
            for key, _after in placement.changes:
                self._before.setdefault((batch.room, key), frontier.get(key))
            frontier.apply(placement)
        return placement

    def keep(self, batch: Batch, placement: Placement, peer: PeerId | None, live: bool) -> None:
        """Store a placed batch, and let its events arrive if it is their turn or they fill an old gap."""
        room, key = batch.room, placement.key
        self.stored.append(StoredBatch(batch, key, peer))
        self.size_bytes += len(batch.raw)
        self._writes.append(PutBatch(room, placement.stored, batch.first, batch.end, batch.sealed_at, batch.raw))
        entry = self._ledger.rooms[room]
        if not entry.joined:
            return  # It is kept for others: nobody reads it here.
        frontier = entry.frontier[key]
        if entry.reads_latest and frontier.next_held(frontier.delivered) == batch.first > frontier.delivered:
            # The newest is to be read at once; what is older comes behind it, as backfill.
            self.arrive(room, key, frontier.delivered, batch.first, 0, None)
            frontier = frontier.with_delivered(batch.first)
        if batch.end <= frontier.delivered:
            self.arrive(room, placement.stored, batch.first, batch.end, batch.end, batch.raw, backfill=True)
        elif batch.first <= frontier.delivered:
            first = frontier.delivered
            self.arrive(room, placement.stored, first, batch.end, batch.end, batch.raw, live=live)
            self.put_frontier(room, key, frontier.with_delivered(batch.end))

    def drop(self, room: RoomId, key: LogKey, first: int, end: int, sealed_at: int) -> None:
        """Forget a batch that is stored under this key; its log's floor rises above it."""
        self._writes.append(DropBatch(room, key, first, end, sealed_at))

    def frontier(self, room: RoomId, key: LogKey) -> LogFrontier | None:
        """The frontier of a log with the group's changes, until the group is sealed."""
        return self._ledger.frontier(room, key)

    def put_frontier(self, room: RoomId, key: LogKey, frontier: LogFrontier | None) -> None:
        """Set the frontier of a log; None removes it."""
        held = self._ledger.rooms[room].frontier
        self._before.setdefault((room, key), held.get(key))
        held.put(key, frontier)

    def arrive(
        self,
        room: RoomId,
        key: LogKey,
        first: int,
        end: int,
        batch_end: int,
        raw: bytes | None,
        *,
        live: bool = False,
        backfill: bool = False,
    ) -> None:
        """Give events, or a gap (raw None, batch_end 0), the next arrival numbers of the room."""
        number = self.arrivals.get(room, self._ledger.rooms[room].next_arrival)
        self.arrivals[room] = number + (end - first if batch_end else 1)
        arrival = PutArrival(room, number, key, first, end, batch_end, live, backfill)
        self._writes.append(arrival)
        self.delivers.append(Deliver(arrival=arrival, raw=raw))

    def put_row(self, table: str, key: bytes, value: bytes | None) -> None:
        """Write a row of a small table."""
        self._writes.append(PutRow(table, key, value))

    def seal(self) -> tuple[Write, ...]:
        """All writes; the ledger is from now on again what is on disk."""
        for (room, key), before in self._before.items():
            held = self._ledger.rooms[room].frontier
            after = held.get(key)
            self.after[(room, key)] = after
            self._writes.append(PutFrontier(room, key, None if after is None else after.pack()))
            held.put(key, before)
        return tuple(self._writes)
