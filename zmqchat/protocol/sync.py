"""Sync: two nodes compare what they hold of the rooms that they share, as members or as keepers.

How it works. One side begins, the other answers; numbers are odd on the side with the larger id, so that
both may begin at once:

    begin   Interest, Summary(hash over all shared rooms)  -->
            <--  Summary(reply) where it is the same: both end
            <--  RoomHashes, a hash a room, where it differs
    compare Frontiers, for each room that differs          -->   LogOffered at the other side
    LogOffered here                                        <--  Frontiers, once a room
    end     Summary(reply) when all rooms are answered     -->   ends at the other side

Both then ask for what they lack (`fetching`); this machine asks for no batch. A room found to be the same
is remembered with the ledger's version, by the peer's store and its generation (a restart begins anew):
the next Frontiers of that room to that store hold only the logs that changed here since then.

It happens on a new link (the smaller id begins), on a room joined, every sync_interval_s with one linked
peer at random, and soon after a forked log has changed (only when its branches have their names here can
others tell what is missing). EXCHANGES_AT_ONCE_MAX of ours run at once, others wait; one without progress for
sync_idle_s is dropped. A peer has one exchange with us at a time: a new one replaces the old.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from zmqchat.history.frontier import LogFrontier
from zmqchat.model.config import Config
from zmqchat.model.faults import Fault
from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.model.limits import EXCHANGES_AT_ONCE_MAX, KIB, SUMMARY_ENTRIES_MAX
from zmqchat.protocol.data_facts import (
    CustodyBegun,
    ExchangeEnded,
    ForkGrew,
    InterestTold,
    LogOffered,
    OwnLogAhead,
    PeerHolds,
    RoomJoined,
)
from zmqchat.protocol.effects import SetTimer
from zmqchat.protocol.facts import Instant, NodeStarted, TimerFired
from zmqchat.protocol.interests import Interests
from zmqchat.protocol.ledger import Ledger
from zmqchat.protocol.machine import Machine, PeerFaulted, PeerUnlinked, SendFrame, Size
from zmqchat.wire.frames import (
    Frame,
    Frontiers,
    Have,
    HaveEntry,
    LogState,
    RangeState,
    RoomHash,
    RoomHashes,
    Summary,
    encode,
)

EXCHANGE_LOGS_MAX = 65_536
"""Logs that a peer may list in one exchange: far above any honest mesh's, and some seconds of work."""

STORES_REMEMBERED_MAX = 256
"""Peers' stores of which it is remembered when a room was the same."""

FRAME_BYTES_AIM = 192 * KIB
"""What a frame of frontiers is filled to by estimate."""

FORK_WAIT_S = 1.0
"""How long changes of forked logs are gathered before peers are asked to compare: forks are rare, or an attack."""

LATE_FRAMES = 8
LATE_FRAMES_MAX = 64
"""Answers to an exchange given up as idle that may still come without blame, and in all: of a peer on a slow line."""

_STATE_BYTES = 72
_RANGE_BYTES = 90
_HASH_LABEL = b"zmqchat-rooms-1"


@dataclass(slots=True)
class _Exchange:
    """One comparison with a peer, begun or answered by us.

    open     rooms whose answer is awaited (begun by us)
    differ   rooms for which frontiers were exchanged
    rooms    rooms that we think are shared, with the ledger's version when our hash of it was taken
    same     rooms of which both were seen to have the same hash
    logs     logs that the peer has listed
    """

    number: int
    at_s: float
    rooms: dict[RoomId, int] = field(default_factory=dict)
    open: dict[RoomId, None] = field(default_factory=dict)
    differ: dict[RoomId, None] = field(default_factory=dict)
    same: dict[RoomId, None] = field(default_factory=dict)
    hashed: bool = False
    logs: int = 0


class Sync(Machine):
    """The comparing machine; emits LogOffered, PeerHolds and ExchangeEnded."""

    timer = "sync"

    def __init__(self, me: PeerId, config: Config, ledger: Ledger, interests: Interests, rng: Random) -> None:
        super().__init__()
        self._me = me
        self._config = config
        self._ledger = ledger
        self._interests = interests
        self._rng = rng
        self._numbers = 0
        self._begun: dict[PeerId, _Exchange] = {}
        self._late: dict[PeerId, int] = {}
        self._answered: dict[PeerId, _Exchange] = {}
        self._queue: dict[PeerId, None] = {}
        self._forked: dict[RoomId, None] = {}
        self._same: dict[tuple[bytes, int], dict[RoomId, int]] = {}
        self.facts = {
            NodeStarted: self._started,
            InterestTold: self._interest_told,
            RoomJoined: self._room_joined,
            CustodyBegun: self._room_joined,
            ForkGrew: self._fork_grew,
            PeerUnlinked: self._unlinked,
            TimerFired: self._timer_fired,
        }
        self.frames = {Summary: self._summary, RoomHashes: self._room_hashes, Frontiers: self._frontiers}

    @property
    def exchanges(self) -> int:
        """How many exchanges of ours are under way."""
        return len(self._begun)

    def sizes(self) -> tuple[Size, ...]:
        """Exchanges under way, and what is remembered of those before."""
        return (
            Size("exchanges", len(self._begun), EXCHANGES_AT_ONCE_MAX),
            Size("stores", len(self._same), STORES_REMEMBERED_MAX),
        )

    # When --------------------------------------------------------------------------------------

    def _started(self, _fact: NodeStarted, at: Instant) -> None:
        self._set_round_timer(at)

    def _interest_told(self, fact: InterestTold, at: Instant) -> None:
        if fact.added and self._me < fact.peer:
            self._begin_soon(fact.peer, at)

    def _room_joined(self, fact: RoomJoined | CustodyBegun, at: Instant) -> None:
        for peer in self._interests.peers_in(fact.room):
            self._begin_soon(peer, at)

    def _fork_grew(self, fact: ForkGrew, at: Instant) -> None:
        if not self._forked:
            self.outbox.append(SetTimer(name=(self.timer, "fork"), at_s=at.now_s + FORK_WAIT_S))
        self._forked[fact.room] = None

    def _unlinked(self, fact: PeerUnlinked, at: Instant) -> None:
        self._begun.pop(fact.peer, None)
        self._answered.pop(fact.peer, None)
        self._late.pop(fact.peer, None)
        self._queue.pop(fact.peer, None)
        self._begin_next(at)

    def _timer_fired(self, fact: TimerFired, at: Instant) -> None:
        if fact.name[1] == "round":
            peers = [peer for peer in self._interests.linked() if self._interests.shared_with(peer)]
            if peers:
                self._begin_soon(self._rng.choice(peers), at)
            self._set_round_timer(at)
        if fact.name[1] == "fork":
            forked, self._forked = self._forked, {}
            for peer in dict.fromkeys(peer for room in forked for peer in self._interests.peers_in(room)):
                self._begin_soon(peer, at)
        for table in (self._begun, self._answered):
            for peer in [peer for peer, e in table.items() if at.now_s - e.at_s >= self._config.sync_idle_s]:
                del table[peer]
                self._late[peer] = min(LATE_FRAMES_MAX, self._late.get(peer, 0) + LATE_FRAMES)
        self._begin_next(at)

    def _set_round_timer(self, at: Instant) -> None:
        jitter = self._config.sync_jitter
        wait_s = self._config.sync_interval_s * self._rng.uniform(1 - jitter, 1 + jitter)
        self.outbox.append(SetTimer(name=(self.timer, "round"), at_s=at.now_s + wait_s))

    def begin(self, peer: PeerId, at: Instant) -> None:
        """Compare with this peer soon (`doctor`, tests); nothing happens where it is not linked."""
        if self._interests.is_linked(peer):
            self._begin_soon(peer, at)

    def _begin_soon(self, peer: PeerId, at: Instant) -> None:
        # What is under way may have passed the room that has changed: it is compared once more.
        self._queue[peer] = None
        self._begin_next(at)

    def _begin_next(self, at: Instant) -> None:
        for peer in list(self._queue):
            if len(self._begun) >= EXCHANGES_AT_ONCE_MAX:
                return
            if peer not in self._begun:
                del self._queue[peer]
                self._begin(peer, at)

    def _begin(self, peer: PeerId, at: Instant) -> None:
        self._numbers += 1
        number = 2 * self._numbers + (self._me > peer)
        exchange = self._begun[peer] = _Exchange(number, at.now_s, self._versions(peer))
        self.outbox += [SendFrame(peer=peer, payload=payload) for payload in self._interests.frames_told()]
        self._send(peer, Summary(exchange=exchange.number, hash=self._hash(exchange), reply=False))

    # Hashes ------------------------------------------------------------------------------------

    def _versions(self, peer: PeerId) -> dict[RoomId, int]:
        return dict.fromkeys(self._interests.shared_with(peer), self._ledger.version)

    def _hash(self, exchange: _Exchange) -> bytes:
        parts = b"".join(room + self._ledger.rooms[room].frontier.hash for room in exchange.rooms)
        return hashlib.blake2b(parts, digest_size=16, person=_HASH_LABEL).digest()

    def _summary(self, peer: PeerId, frame: Summary, at: Instant) -> None:
        if frame.reply:
            self._closed(peer, frame, at)
            return
        exchange = _Exchange(frame.exchange, at.now_s, self._versions(peer))
        ours = self._hash(exchange)
        if ours == frame.hash:
            self._answered.pop(peer, None)
            self._send(peer, Summary(exchange=frame.exchange, hash=ours, reply=True))
            exchange.same.update(dict.fromkeys(exchange.rooms))
            self._ended(peer, exchange, at)
            return
        self._answered[peer] = exchange
        entries = [RoomHash(room, self._ledger.rooms[room].frontier.hash) for room in exchange.rooms]
        for start in range(0, max(1, len(entries)), SUMMARY_ENTRIES_MAX):
            part = tuple(entries[start : start + SUMMARY_ENTRIES_MAX])
            final = start + SUMMARY_ENTRIES_MAX >= len(entries)
            self._send(peer, RoomHashes(exchange=frame.exchange, entries=part, final=final))

    def _closed(self, peer: PeerId, frame: Summary, at: Instant) -> None:
        begun, answered = self._begun.get(peer), self._answered.get(peer)
        if begun is not None and begun.number == frame.exchange:
            begun.same.update(dict.fromkeys(begun.rooms))
            self._end_begun(peer, begun, at)
        elif answered is not None and answered.number == frame.exchange:
            del self._answered[peer]
            if frame.hash == self._hash(answered):
                answered.rooms = dict.fromkeys(answered.rooms, self._ledger.version)
                answered.same.update(dict.fromkeys(answered.rooms))
            self._ended(peer, answered, at)

    def _room_hashes(self, peer: PeerId, frame: RoomHashes, at: Instant) -> None:
        exchange = self._begun.get(peer)
        if exchange is None or exchange.number != frame.exchange or exchange.hashed:
            self._unasked(peer, "hashes of rooms")
            return
        exchange.at_s = at.now_s
        theirs = dict(frame.entries)
        for room in [room for room in exchange.rooms if room in theirs]:
            exchange.rooms[room] = self._ledger.version
            if theirs[room] != self._ledger.rooms[room].frontier.hash:
                exchange.open[room] = exchange.differ[room] = None
                self._tell(peer, frame.exchange, room)
            else:
                exchange.same[room] = None
                self._tell_equal(peer, room)
        exchange.hashed = frame.final
        self._close_if_done(peer, exchange, at)

    def _tell_equal(self, peer: PeerId, room: RoomId) -> None:
        """Each has all that the other has said in the room: here we know, and the other side waits to hear it."""
        frontier = self._ledger.rooms[room].frontier
        for key, held in frontier.of_author(self._me):
            self.outbox.append(PeerHolds(peer=peer, room=room, key=key, end=held.contiguous_end))
        entries = [
            HaveEntry(key.author, key.log, key.branch, held.contiguous_end)
            for key, held in frontier.of_author(peer)
            if held.contiguous_end
        ]
        if entries:
            self._send(peer, Have(room=room, holder=self._me, entries=tuple(entries)))

    # Frontiers ---------------------------------------------------------------------------------

    def _tell(self, peer: PeerId, number: int, room: RoomId) -> None:
        since = self._same.get(self._interests.store_of(peer), {}).get(room)
        parts = list(_frames(self._changed(room, since)))
        for index, entries in enumerate(parts):
            self._send(
                peer, Frontiers(exchange=number, room=room, entries=tuple(entries), final=index == len(parts) - 1)
            )

    def _changed(self, room: RoomId, since: int | None) -> list[LogState]:
        entry = self._ledger.rooms[room]
        return [
            _state(key, frontier)
            for key, frontier in sorted(entry.frontier.items())
            if since is None or entry.changed.get(key, 0) > since
        ]

    def _frontiers(self, peer: PeerId, frame: Frontiers, at: Instant) -> None:
        begun, answered = self._begun.get(peer), self._answered.get(peer)
        room = frame.room
        if begun is not None and begun.number == frame.exchange and room in begun.open:
            self._listed(peer, begun, frame, at)
            if frame.final:
                del begun.open[room]
                self._close_if_done(peer, begun, at)
        elif answered is not None and answered.number == frame.exchange and room in answered.rooms:
            self._listed(peer, answered, frame, at)
            if frame.final and room not in answered.differ:
                answered.differ[room] = None
                self._tell(peer, frame.exchange, room)
        else:
            self._unasked(peer, "frontiers")

    def _listed(self, peer: PeerId, exchange: _Exchange, frame: Frontiers, at: Instant) -> None:
        exchange.at_s = at.now_s
        exchange.logs += len(frame.entries)
        if exchange.logs > EXCHANGE_LOGS_MAX:
            fault = Fault(reason="limit", detail=f"{exchange.logs} logs in one exchange", score=-50)
            self.outbox.append(PeerFaulted(peer=peer, fault=fault))
            return
        if not self._ledger.is_shared(frame.room):
            return
        for state in frame.entries:
            key = LogKey(state.author, state.log, state.branch)
            end = _contiguous_end(state)
            if self._ledger.is_current(key) and any(
                held.end > self._ledger.contiguous_end(frame.room, key) for held in state.ranges
            ):
                self.outbox.append(OwnLogAhead(peer=peer, proven=False))
            if end:
                self.outbox.append(PeerHolds(peer=peer, room=frame.room, key=key, end=end))
            self.outbox.append(LogOffered(peer=peer, room=frame.room, key=key, ranges=state.ranges, floor=state.floor))

    def _close_if_done(self, peer: PeerId, exchange: _Exchange, at: Instant) -> None:
        if exchange.hashed and not exchange.open:
            self._send(peer, Summary(exchange=exchange.number, hash=self._hash(exchange), reply=True))
            self._end_begun(peer, exchange, at)

    # End ---------------------------------------------------------------------------------------

    def _end_begun(self, peer: PeerId, exchange: _Exchange, at: Instant) -> None:
        del self._begun[peer]
        self._ended(peer, exchange, at)
        self._begin_next(at)

    def _ended(self, peer: PeerId, exchange: _Exchange, _at: Instant) -> None:
        equal = tuple(exchange.same)
        compared = tuple(dict.fromkeys((*equal, *exchange.differ)))
        store = self._interests.store_of(peer)
        same = self._same.pop(store, {})
        same.update({room: exchange.rooms[room] for room in equal})
        self._same[store] = same
        if len(self._same) > STORES_REMEMBERED_MAX:
            del self._same[next(iter(self._same))]
        still = tuple(room for room in equal if not self._has_said_more(room, exchange.rooms[room]))
        self.outbox.append(ExchangeEnded(peer=peer, rooms=compared, equal=still))

    def _has_said_more(self, room: RoomId, version: int) -> bool:
        """Whether a log of ours has grown since the hash was taken: the peer is not known to hold that."""
        changed = self._ledger.rooms[room].changed
        own = self._ledger.rooms[room].frontier.of_author(self._me)
        return any(changed.get(key, 0) > version for key, _held in own)

    def _unasked(self, peer: PeerId, what: str) -> None:
        # An honest peer may answer an exchange that we have dropped meanwhile.
        late = self._late.pop(peer, 0)
        if late > 0:
            self._late[peer] = late - 1
            return
        fault = Fault(reason="protocol", detail=f"{what} that nobody asked for", score=-10)
        self.outbox.append(PeerFaulted(peer=peer, fault=fault))

    def _send(self, peer: PeerId, frame: Frame) -> None:
        self.outbox.append(SendFrame(peer=peer, payload=encode(frame)))


def _state(key: LogKey, frontier: LogFrontier) -> LogState:
    ranges = tuple(
        RangeState(held.first, held.end, held.head, held.previous) for held in frontier.ranges if held.extents
    )
    return LogState(key.author, key.log, key.branch, frontier.floor, ranges)


def _contiguous_end(state: LogState) -> int:
    """The number below which nothing is missing there; 0 where its log begins with a gap, or is let go of."""
    for held in state.ranges:
        if held.first <= state.floor < held.end:
            return held.end
    return 0


def _frames(states: list[LogState]) -> Iterator[list[LogState]]:
    """The states in parts that each fit a frame; one empty part where there are none."""
    part: list[LogState] = []
    size_bytes = 0
    for state in states:
        state_bytes = _STATE_BYTES + _RANGE_BYTES * len(state.ranges)
        if part and (size_bytes + state_bytes > FRAME_BYTES_AIM or len(part) >= SUMMARY_ENTRIES_MAX):
            yield part
            part, size_bytes = [], 0
        part.append(state)
        size_bytes += state_bytes
    yield part
