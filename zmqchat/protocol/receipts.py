"""Receipts: who holds our own events on its disk, who does not yet, and who has read them.

How it works. Everything is an end a log: a peer that holds (or has read) below `end` does so for every number
below it, so nothing is kept a message. Who was live when an event was stored is kept as steps: one entry
each time the linked members of the room are others than at the batch before.

What a peer holds comes by HAVE, through relays (`merging`) where it is not linked, by its frontiers in an
exchange, and by an exchange that finds the room the same on both sides: of the branches of a forked log only by
that, as numbers alone name no branch; once the fork is known here, what was told before counts up to it. It is
the peer's word; `held` counts distinct peers, never ourselves. Keepers of a room that they are not in hold, too, but
nothing is delivered to them: with no member live, a message is held by them and waits for the first member to come.
A keeper has nothing of a log below the floor that it tells of by LET GO, until it says as a member that it has.
Whoever is unknown here may be a member that joined elsewhere: once its own word in the room has come, it counts.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from zmqchat.model.ids import MAIN_BRANCH, LogKey, PeerId, RoomId
from zmqchat.model.limits import MEMBERS_PER_ROOM_MAX, NUMBER_MAX
from zmqchat.protocol.data_effects import ReceiptsChanged
from zmqchat.protocol.data_facts import BatchesStored, ExchangeEnded, ForkGrew, HolderTold, PeerHolds, ReadTold
from zmqchat.protocol.facts import Instant
from zmqchat.protocol.ledger import Ledger
from zmqchat.protocol.machine import Machine, Size
from zmqchat.wire.frames import LetGo

STEPS_MAX = 1_024
"""Changes of who was live that are remembered a log; what is older counts as the oldest one."""


class ReceiptState(NamedTuple):
    """What is known of one event of ours; each tuple is sorted.

    held       who has it on its disk
    delivered  those of the members live when it was stored that have it; with none live then, all that have it
    pending    those of them that have not
    read       who has read it
    """

    held: tuple[PeerId, ...]
    delivered: tuple[PeerId, ...]
    pending: tuple[PeerId, ...]
    read: tuple[PeerId, ...]


@dataclass(slots=True)
class _Log:
    holds: dict[PeerId, int] = field(default_factory=dict)
    floors: dict[PeerId, int] = field(default_factory=dict)
    read: dict[PeerId, int] = field(default_factory=dict)
    firsts: list[int] = field(default_factory=list)
    live: list[tuple[PeerId, ...]] = field(default_factory=list)
    common: int = NUMBER_MAX

    def live_at(self, number: int) -> tuple[PeerId, ...]:
        """The members that were live when this event was stored; before the first step none is known."""
        index = bisect.bisect_right(self.firsts, number) - 1
        return self.live[index] if index >= 0 else ()


class Receipts(Machine):
    """The machine that knows how far our own events have got.

    live_in     the other members of a room that are live now, sorted
    is_outside  whether a peer is known not to be, or never to have been, in a room
    """

    timer = "receipts"

    def __init__(
        self,
        ledger: Ledger,
        live_in: Callable[[RoomId], tuple[PeerId, ...]],
        is_outside: Callable[[RoomId, PeerId], bool],
    ) -> None:
        super().__init__()
        self._ledger = ledger
        self._live_in = live_in
        self._is_outside = is_outside
        self._logs: dict[tuple[RoomId, int], _Log] = {}
        self._outside: dict[tuple[RoomId, PeerId], bool] = {}
        self.facts = {
            BatchesStored: self._stored,
            PeerHolds: self._holds,
            HolderTold: self._holder_told,
            ExchangeEnded: self._exchange_ended,
            ForkGrew: self._fork_grew,
            ReadTold: self._read,
        }
        self.frames = {LetGo: self._let_go}

    def state(self, room: RoomId, log: int, number: int) -> ReceiptState:
        """Who holds, lacks and has read the event of this number in one of our logs."""
        entry = self._logs.get((room, log))
        if entry is None:
            return ReceiptState((), (), (), ())
        # Copies, as a blocking program looks from another thread.
        floors = entry.floors
        held = {peer for peer, end in list(entry.holds.items()) if end > number >= floors.get(peer, 0)}
        live = entry.live_at(number) or tuple(sorted(peer for peer in held if not self._is_outside(room, peer)))
        return ReceiptState(
            tuple(sorted(held)),
            tuple(peer for peer in live if peer in held),
            tuple(peer for peer in live if peer not in held),
            tuple(sorted(peer for peer, end in list(entry.read.items()) if end > number)),
        )

    def held_below(self, room: RoomId, log: int, copies: int = 1, first: int = 0) -> int:
        """The number below which at least `copies` peers hold all of this log of ours from `first` on."""
        entry = self._logs.get((room, log), _Log())
        ends = sorted((end for peer, end in entry.holds.items() if entry.floors.get(peer, 0) <= first), reverse=True)
        return ends[copies - 1] if 0 < copies <= len(ends) else 0

    def is_all_held(self, room: RoomId) -> bool:
        """Whether of each log of ours in the room somebody holds the end; of a forked one nobody is known to."""
        logs = self._ledger.rooms[room].frontier
        return all(
            self.held_below(room, key.log, first=frontier.end - 1) >= frontier.end
            for key, frontier in logs.of_author(self._ledger.me)
            if frontier.end > frontier.floor and not logs.is_forked(key.author, key.log)
        )

    def delivered_below(self, room: RoomId, log: int, first: int, end: int) -> int:
        """The number up to which [first, end) is held by all who were live when it was stored.

        Where nobody was live, whoever comes first and holds it counts.
        """
        ends = self._holds_of(room, log)
        inside = {peer: held for peer, held in ends.items() if not self._is_outside(room, peer)}
        return self._below(room, log, first, end, inside)

    def read_below(self, room: RoomId, log: int, first: int, end: int) -> int:
        """The same for having been read."""
        entry = self._logs.get((room, log))
        return self._below(room, log, first, end, {} if entry is None else entry.read)

    def _below(self, room: RoomId, log: int, first: int, end: int, ends: dict[PeerId, int]) -> int:
        entry = self._logs.get((room, log))
        while entry is not None and first < end:
            live = entry.live_at(first)
            index = bisect.bisect_right(entry.firsts, first)
            step_end = min(end, entry.firsts[index]) if index < len(entry.firsts) else end
            reached = min(ends.get(peer, 0) for peer in live) if live else max(ends.values(), default=0)
            if reached < step_end:
                return max(first, reached)
            first = step_end
        return first

    def _holds_of(self, room: RoomId, log: int) -> dict[PeerId, int]:
        entry = self._logs.get((room, log))
        return {} if entry is None else entry.holds

    def lacking(self, room: RoomId, peer: PeerId, *, speaks: bool) -> int | None:
        """How many of our events in the room this peer is not known to hold.

        speaks  it tells us itself what it holds, so no word of a log means nothing of it; of others None where any log
                has no word
        """
        count = 0
        for key, frontier in self._ledger.rooms[room].frontier.of_author(self._ledger.me):
            held = self._holds_of(room, key.log).get(peer)
            if key.branch != MAIN_BRANCH or frontier.end == frontier.floor:
                continue
            if held is None and not speaks:
                return None
            count += max(0, frontier.end - max(held or 0, frontier.floor))
        return count

    def sizes(self) -> tuple[Size, ...]:
        """Steps of who was live, and peers that hold, of the log with the most."""
        return (
            Size("steps", max((len(log.firsts) for log in self._logs.values()), default=0), STEPS_MAX),
            Size("holders", max((len(log.holds) for log in self._logs.values()), default=0), MEMBERS_PER_ROOM_MAX),
        )

    def _stored(self, fact: BatchesStored, _at: Instant) -> None:
        for stored in fact.batches:
            room, author = stored.batch.room, stored.batch.author
            if stored.peer is not None:
                if self._outside.pop((room, author), False) and not self._is_outside(room, author):
                    self.outbox.append(ReceiptsChanged(room=room))
                continue
            entry = self._logs.setdefault((stored.batch.room, stored.batch.log), _Log())
            live = self._live_in(stored.batch.room)
            if not entry.live or entry.live[-1] != live:
                entry.firsts.append(stored.batch.first)
                entry.live.append(live)
                if len(entry.firsts) > STEPS_MAX:
                    del entry.firsts[0], entry.live[0]

    def _let_go(self, peer: PeerId, frame: LetGo, _at: Instant) -> None:
        for log, floor in frame.entries:
            if self._ledger.frontier(frame.room, LogKey(self._ledger.me, log)) is None:
                continue
            entry = self._logs.setdefault((frame.room, log), _Log())
            if peer in entry.floors or len(entry.floors) < MEMBERS_PER_ROOM_MAX:
                entry.floors[peer] = floor
                self.outbox.append(ReceiptsChanged(room=frame.room))

    def _holds(self, fact: PeerHolds, _at: Instant) -> None:
        entry = self._logs.get((fact.room, fact.key.log))
        if entry is not None and fact.peer in entry.floors and not self._is_outside(fact.room, fact.peer):
            del entry.floors[fact.peer]  # It has joined, and wants all that it had let go of.
        self._note_held(fact.peer, fact.room, fact.key, fact.end)

    def _holder_told(self, fact: HolderTold, _at: Instant) -> None:
        self._note_held(fact.holder, fact.room, fact.key, fact.end)

    def _note_held(self, holder: PeerId, room: RoomId, key: LogKey, end: int) -> None:
        if key.author != self._ledger.me or key.branch != MAIN_BRANCH:
            return
        # Who has more than there is here has another history (we are a restored backup): its numbers are not ours.
        frontier = self._ledger.frontier(room, key)
        if frontier is None or end > frontier.end:
            return
        if self._ledger.rooms[room].frontier.is_forked(key.author, key.log):
            end = min(end, self._common_end(room, key.log))
        self._note(room, key.log, holder, end, lambda log: log.holds)

    def _read(self, fact: ReadTold, _at: Instant) -> None:
        self._note(fact.room, fact.log, fact.peer, fact.end, lambda log: log.read)

    def _note(
        self, room: RoomId, log: int, peer: PeerId, end: int, table_of: Callable[[_Log], dict[PeerId, int]]
    ) -> None:
        # A claim beyond what there is says nothing of what will be written there.
        branches = (
            self._ledger.rooms[room].frontier.branches(self._ledger.me, log) if room in self._ledger.rooms else ()
        )
        end = min(end, max((self._ledger.rooms[room].frontier[key].end for key in branches), default=0))
        if end <= 0 or peer == self._ledger.me:
            return
        table = table_of(self._logs.setdefault((room, log), _Log()))
        if end > table.get(peer, 0) and (peer in table or len(table) < MEMBERS_PER_ROOM_MAX):
            table[peer] = end
            if self._is_outside(room, peer) and len(self._outside) < MEMBERS_PER_ROOM_MAX:
                self._outside[room, peer] = True
            self.outbox.append(ReceiptsChanged(room=room))

    def _fork_grew(self, fact: ForkGrew, _at: Instant) -> None:
        """What was told of numbers beyond a fork of ours may have meant the other history: it counts no more."""
        for (room, log), entry in self._logs.items():
            if room != fact.room or not self._ledger.rooms[room].frontier.is_forked(self._ledger.me, log):
                continue
            common = self._common_end(room, log)
            if common < entry.common:
                entry.common = common
                for table in (entry.holds, entry.read):
                    table.update({peer: min(end, common) for peer, end in table.items()})
                self.outbox.append(ReceiptsChanged(room=room))

    def _common_end(self, room: RoomId, log: int) -> int:
        """The number below which this log of ours, forked, has one history only."""
        frontier = self._ledger.rooms[room].frontier
        keys = frontier.branches(self._ledger.me, log)
        sides = [held.first for key in keys if key.branch != MAIN_BRANCH for held in frontier[key].ranges]
        return min([*sides, *(frontier[key].end for key in keys if key.branch == MAIN_BRANCH)], default=0)

    def _exchange_ended(self, fact: ExchangeEnded, _at: Instant) -> None:
        for room in fact.equal:
            for key, frontier in self._ledger.rooms[room].frontier.of_author(self._ledger.me):
                self._note(room, key.log, fact.peer, frontier.end, lambda log: log.holds)
