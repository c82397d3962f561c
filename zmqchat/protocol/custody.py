"""Custody: how much is kept for others, and what goes when it is too much or too old.

How it works. What is stored of a room that we only keep is counted by log, in pieces (`custodylog`), in the same
commit. The oldest piece at the front of a log goes when

    it is older than keeper_days            looked for every CHECK_S
    all of it takes over keeper_mib         of all logs the oldest, or of those of an author that takes over
                                            AUTHOR_PART of it: who writes without end makes room for himself

Its batches are loaded (their headers tell where their rows are), dropped page by page, and the log's floor rises with
them in the same commit, so that nothing of it is asked for again. A forked log goes as a whole.

Intake asks before it places a batch (`takes`): one that is older than keeper_days, or as old as what would have to go
for it, is not taken, and the floor rises above it instead. As keepers fetch the newest first, a room that is larger
than the quota is thus fetched as far as there is room for it. When the disk can't follow, nothing more is taken for
the moment; it comes again by sync.

    room kept no more, nothing of it left  --> its rows go too, FORGET_S after its custody has ended
    room joined                            --> nothing of it is counted any more (`reopening`)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile

from zmqchat.history.batch import Batch, BatchHeader, peek
from zmqchat.history.clock import wall_ms_of
from zmqchat.history.frontier import LogFrontier
from zmqchat.model.config import Config
from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.model.limits import KEPT_BATCH_BYTES, KEPT_LOGS_MAX, LOGS_PER_AUTHOR_MAX, MIB
from zmqchat.protocol.custodylog import (
    KEPT_TABLE,
    Piece,
    Place,
    pack,
    pack_place,
    unpack,
    unpack_place,
    with_batch,
    without_below,
)
from zmqchat.protocol.data_facts import CommitWanted, CustodyBegun, CustodyEnded, FloorRaised
from zmqchat.protocol.effects import Effect, LoadRange, SetTimer
from zmqchat.protocol.facts import Fact, Instant, NodeStarted, RangeLoaded, TimerFired
from zmqchat.protocol.ledger import Group, Ledger
from zmqchat.protocol.machine import Machine, Size

ROOMS_TABLE = "rooms"
CHECK_S = 600.0
"""How often it is looked for what is too old."""
FORGET_S = 600.0
"""How long a room stays known whose custody has ended: exchanges that name it have ended long before."""
AUTHOR_PART = 0.25
"""The part of the quota that one author may take where there is too little of it."""
PIECES = 256
"""The parts of the quota that go at a time."""
LOAD_BYTES_MAX = MIB
"""What is brought into memory at a time, to be dropped."""
OVER_BYTES_MAX = 16 * MIB
"""What may be kept above the quota while older batches are being dropped."""
ROOMS_FORGOTTEN_AT_ONCE = 16


_DAY_MS = 86_400_000


@dataclass(slots=True)
class _Dropping:
    """The front of a log on its way off the disk.

    below    what is below this number goes
    is_forked  it goes with all of its branches
    extents  under which keys its rows still lie, the first being loaded
    loaded   the batches that the load brought, None until then
    """

    place: Place
    below: int
    is_forked: bool
    extents: deque[tuple[LogKey, int, int]]
    token: int = 0
    loaded: tuple[bytes, ...] | None = None


@dataclass(slots=True)
class _Change:
    """What a group makes of the count, by log (None where it is forgotten), rooms that go, floors that rise."""

    pieces: dict[Place, list[Piece] | None] = field(default_factory=dict)
    rooms: list[RoomId] = field(default_factory=list)
    floors: dict[tuple[RoomId, PeerId], None] = field(default_factory=dict)


class Custody(Machine):
    """The machine that bounds what is kept for others, and a source of `committing`."""

    timer = "custody"

    def __init__(self, config: Config, ledger: Ledger, tokens: Iterator[int], reopen: Callable[[Place], None]) -> None:
        super().__init__()
        self._reopen = reopen
        self._ledger = ledger
        self._tokens = tokens
        self._quota_bytes = int(config.keeper_mib * MIB)
        self._piece_bytes = max(1, self._quota_bytes // PIECES)
        self._keep_ms = int(config.keeper_days * _DAY_MS)
        self._logs: dict[Place, list[Piece]] = {}
        self._by_author: dict[PeerId, int] = {}
        self._floors: dict[Place, int] = {}
        self._taken_ms: dict[bytes, int] = {}
        self._ended_s: dict[RoomId, float] = {}
        self._aged: dict[Place, int] = {}
        self._over: dict[PeerId, None] = {}
        self._emptied: list[Place] = []
        self._dropping: _Dropping | None = None
        self._change = _Change()
        self._timer_set = False
        self.kept_bytes = 0
        self.facts = {
            NodeStarted: self._started,
            CustodyBegun: self._begun,
            CustodyEnded: self._ended,
            RangeLoaded: self._loaded,
            TimerFired: self._timer_fired,
        }

    def restore(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take up the rows of table `kept`; damaged ones are left out, and rooms joined since are opened."""
        for key, row in rows:
            pieces, place = unpack(row), unpack_place(key)
            if place is not None and self._ledger.is_joined(place[0]):
                self._reopen(place)
            elif place is not None and pieces and self._is_kept(place[0]):
                self._put(place, pieces)

    def sizes(self) -> tuple[Size, ...]:
        """What is kept, and of how many logs."""
        return (
            Size("kept bytes", self.kept_bytes, self._quota_bytes + 2 * OVER_BYTES_MAX),
            Size("kept logs", len(self._logs), KEPT_LOGS_MAX),
        )

    def _is_kept(self, room: RoomId) -> bool:
        entry = self._ledger.rooms.get(room)
        return entry is not None and entry.kept

    # Taking ------------------------------------------------------------------------------------

    def takes_log(self, room: RoomId, key: LogKey) -> bool:
        """Whether a batch of this log may be taken at all: any of a room that we are in, else of few enough logs."""
        return not self._is_kept(room) or (room, *key[:2]) in self._logs or len(self._logs) < KEPT_LOGS_MAX

    def takes(self, batch: Batch, pushed: bool, at: Instant) -> bool:
        """Whether a batch is to be placed: any of a room that we are in, else what is not too old or too much.

        What is pushed is new, whatever its author's clock says.
        """
        if not self._is_kept(batch.room):
            return True
        place = (batch.room, batch.author, batch.log)
        if self.kept_bytes > self._quota_bytes + OVER_BYTES_MAX:
            return False
        sealed_ms = at.wall_ms if pushed else min(at.wall_ms, wall_ms_of(batch.sealed_at))
        is_old = sealed_ms < at.wall_ms - self._keep_ms
        if not is_old and self.kept_bytes + _cost(batch.raw) > self._quota_bytes:
            oldest = self._too_much()
            is_old = oldest is not None and sealed_ms <= self._logs[oldest][0].at_ms
        if is_old:
            self._floors[place] = max(batch.end, self._floors.get(place, 0))
        else:
            self._taken_ms[batch.digest] = sealed_ms
        return not is_old

    # Committing --------------------------------------------------------------------------------

    def contribute(self, group: Group, at: Instant) -> None:
        """Count what the group stores, drop what was loaded for it, raise floors."""
        change = self._change = _Change()
        for stored in group.stored:
            batch = stored.batch
            if self._is_kept(batch.room):
                place = (batch.room, batch.author, batch.log)
                at_ms = self._taken_ms.get(batch.digest, at.wall_ms)
                new = Piece(batch.first, batch.end, _cost(batch.raw), at_ms)
                change.pieces[place] = with_batch(self._pieces(place), new, self._piece_bytes)
        self._taken_ms.clear()
        floors, self._floors = self._floors, {}
        for place, number in floors.items():
            if self._is_kept(place[0]):
                self._raise_floor(group, place, number, at)
        dropping = self._dropping
        if dropping is not None and dropping.loaded is not None and self._is_as_it_was(dropping):
            self._drop(group, dropping, at)
        self._forget(group, at)
        for place, pieces in change.pieces.items():
            group.put_row(KEPT_TABLE, pack_place(place), None if pieces is None else pack(pieces))

    def _pieces(self, place: Place) -> list[Piece]:
        """What is kept of a log, with the changes of the group under way."""
        changed = self._change.pieces.get(place)
        return changed if changed is not None else self._logs.get(place, [])

    def _raise_floor(self, group: Group, place: Place, number: int, at: Instant) -> None:
        """Want nothing below this number where nothing is held there: a batch that is not taken ends here."""
        room, author, log = place
        key = LogKey(author, log)
        frontier = group.frontier(room, key)
        logs = self._ledger.rooms[room].frontier
        if frontier is None and (len(logs.of_author(author)) >= LOGS_PER_AUTHOR_MAX or logs.is_forked(author, log)):
            return
        frontier = frontier or LogFrontier()
        if number > frontier.floor and not frontier.stored(frontier.floor, number):
            group.put_frontier(room, key, _let_go(frontier, number))
            self._change.floors[room, author] = None
            self._change.pieces[place] = self._pieces(place) or [Piece(number, number, 0, at.wall_ms)]

    def _drop(self, group: Group, dropping: _Dropping, at: Instant) -> None:
        """Take a page of batches off the disk; the floor rises with it, of a forked log at the end."""
        room, author, log = dropping.place
        key, _first, end = dropping.extents.popleft()
        loaded, dropping.loaded = dropping.loaded or (), None
        headers = [header for raw in loaded if isinstance(header := peek(raw), BatchHeader)]
        for header in headers:
            group.drop(room, key, header.first, header.end, header.sealed_at)
        reached = min(end, headers[-1].end) if headers else end
        if reached < end:
            dropping.extents.appendleft((key, reached, end))
        logs, main = self._ledger.rooms[room].frontier, LogKey(author, log)
        frontier = group.frontier(room, main) or LogFrontier()
        if dropping.is_forked:
            if dropping.extents:
                return
            reached = dropping.below
            for branch in logs.branches(author, log):
                group.put_frontier(room, branch, None)
            frontier = LogFrontier()
        group.put_frontier(room, main, _let_go(frontier, reached))
        self._change.floors[room, author] = None
        dropped_bytes = sum(map(_cost, loaded))
        self._change.pieces[dropping.place] = without_below(
            self._pieces(dropping.place), reached, dropped_bytes, at.wall_ms
        )

    def _forget(self, group: Group, at: Instant) -> None:
        """Forget logs of which nothing has been held for long, and rooms that are kept no more and empty."""
        emptied, self._emptied = self._emptied, []
        for place in emptied:
            room, author, log = place
            pieces = self._pieces(place)
            if self._is_kept(room) and pieces and not any(piece.size_bytes for piece in pieces):
                group.put_frontier(room, LogKey(author, log), None)
                self._change.pieces[place] = None
        for room, ended_s in list(self._ended_s.items()):
            if at.now_s - ended_s >= FORGET_S and self._is_kept(room) and not self._ledger.is_shared(room):
                places = [place for place in self._logs if place[0] == room]
                if not any(piece.size_bytes for place in places for piece in self._pieces(place)):
                    for key in list(self._ledger.rooms[room].frontier):
                        group.put_frontier(room, key, None)
                    self._change.pieces.update(dict.fromkeys(places))
                    self._change.rooms.append(room)
                    group.put_row(ROOMS_TABLE, room, None)

    def committed(self, _group: Group, at: Instant) -> list[Effect | Fact]:
        """The count is as it is on disk; what is too much goes next."""
        change, self._change = self._change, _Change()
        for place, pieces in change.pieces.items():
            if pieces is None or self._is_kept(place[0]):
                self._put(place, pieces)
        for room in change.rooms:
            self._ended_s.pop(room, None)
            if self._is_kept(room) and not self._ledger.is_shared(room):
                del self._ledger.rooms[room]
        out: list[Effect | Fact] = [FloorRaised(room=room, author=author) for room, author in change.floors]
        self._go_on(out)
        if self._logs:
            self._set_timer(out, at)
        return out

    def failed(self, _group: Group, _full: bool, _detail: str, at: Instant) -> list[Effect | Fact]:
        """Nothing was dropped: it is looked at again with the next check, or the next commit."""
        self._change = _Change()
        self._dropping = None
        out: list[Effect | Fact] = []
        self._set_timer(out, at)
        return out

    def _put(self, place: Place, pieces: list[Piece] | None) -> None:
        before = self._logs.pop(place, ())
        if pieces is not None:
            self._logs[place] = pieces
        more = sum(piece.size_bytes for piece in pieces or ()) - sum(piece.size_bytes for piece in before)
        self.kept_bytes += more
        author = place[1]
        held = self._by_author.pop(author, 0) + more
        if held:
            self._by_author[author] = held
        if held > self._quota_bytes * AUTHOR_PART:
            self._over[author] = None
        else:
            self._over.pop(author, None)

    # What goes ---------------------------------------------------------------------------------

    def _too_much(self) -> Place | None:
        """Which log makes room, where there is too little."""
        over = next(iter(self._over), None)
        held = (
            place for place, pieces in self._logs.items() if pieces[0].size_bytes and (over is None or place[1] == over)
        )
        return min(held, key=lambda place: (self._logs[place][0].at_ms, place), default=None)

    def _go_on(self, out: list[Effect | Fact]) -> None:
        """Load the next page of what goes, unless one is on its way."""
        dropping = self._dropping
        if dropping is not None and (not dropping.extents or not self._is_as_it_was(dropping)):
            dropping = self._dropping = None
        while dropping is None:
            going = self._next()
            if going is None:
                return
            dropping = self._dropping = self._begin(*going)
        if not dropping.token:
            key, first, end = dropping.extents[0]
            dropping.token = next(self._tokens)
            out.append(
                LoadRange(
                    token=dropping.token,
                    room=dropping.place[0],
                    key=key,
                    first=first,
                    end=end,
                    bytes_max=LOAD_BYTES_MAX,
                )
            )

    def _next(self) -> tuple[Place, int] | None:
        """Of which log something goes, and below which number."""
        while self._aged:
            place = next(iter(self._aged))
            below = self._aged.pop(place)
            if place in self._logs:
                return place, below
        fullest = self._too_much() if self.kept_bytes > self._quota_bytes else None
        return None if fullest is None else (fullest, self._logs[fullest][0].end)

    def _begin(self, place: Place, below: int) -> _Dropping | None:
        """What is to be dropped of a log; None, and nothing counted, where nothing is there."""
        room, author, log = place
        logs = self._ledger.rooms[room].frontier
        is_forked = logs.is_forked(author, log)
        keys = logs.branches(author, log)
        if is_forked:
            below = max(logs[key].end for key in keys)
        extents = deque(
            (key._replace(branch=extent.branch), extent.first, extent.end)
            for key in keys
            for extent in logs[key].stored(0, below)
        )
        if not extents:
            last_ms = self._logs[place][-1].at_ms
            self._put(place, without_below(self._logs[place], below, self.kept_bytes, last_ms))
            return None
        return _Dropping(place, below, is_forked, extents)

    def _loaded(self, fact: RangeLoaded, at: Instant) -> None:
        dropping = self._dropping
        if dropping is None or not dropping.token or dropping.token != fact.token:
            return
        dropping.token = 0
        if fact.failed or not self._is_as_it_was(dropping):
            self._dropping = None
            self._set_timer(self.outbox, at)
        else:
            dropping.loaded = fact.batches
            self.outbox.append(CommitWanted())

    def _is_as_it_was(self, dropping: _Dropping) -> bool:
        """Whether the log is still kept for others only, and has not forked since."""
        room, author, log = dropping.place
        return self._is_kept(room) and self._ledger.rooms[room].frontier.is_forked(author, log) == dropping.is_forked

    # Rooms and time ----------------------------------------------------------------------------

    def _started(self, _fact: NodeStarted, at: Instant) -> None:
        for room, entry in self._ledger.rooms.items():
            if entry.kept and not entry.keeping:
                self._ended_s[room] = at.now_s
        if self._logs or self._ended_s:
            self._set_timer(self.outbox, at)

    def _begun(self, fact: CustodyBegun, _at: Instant) -> None:
        self._ended_s.pop(fact.room, None)

    def _ended(self, fact: CustodyEnded, at: Instant) -> None:
        if not self._ledger.is_joined(fact.room):
            self._ended_s[fact.room] = at.now_s
            self._set_timer(self.outbox, at)
            return
        self._ended_s.pop(fact.room, None)
        for place in [place for place in self._logs if place[0] == fact.room]:
            self._put(place, None)
            self._reopen(place)
        self.outbox.append(CommitWanted())

    def _timer_fired(self, _fact: TimerFired, at: Instant) -> None:
        self._timer_set = False
        oldest_ms = at.wall_ms - self._keep_ms
        for place, pieces in self._logs.items():
            if pieces[0].at_ms < oldest_ms:
                if pieces[0].size_bytes:
                    self._aged[place] = [*takewhile(lambda piece: piece.at_ms < oldest_ms, pieces)][-1].end
                else:
                    self._emptied.append(place)
        self._go_on(self.outbox)
        if self._emptied or self._ended_s:
            self.outbox.append(CommitWanted())
        if self._logs or self._ended_s:
            self._set_timer(self.outbox, at)

    def _set_timer(self, out: list[Effect | Fact], at: Instant) -> None:
        if not self._timer_set:
            self._timer_set = True
            out.append(SetTimer(name=(self.timer,), at_s=at.now_s + CHECK_S))


def _let_go(frontier: LogFrontier, number: int) -> LogFrontier:
    """Nothing is wanted below this number; who joins is told of a gap there, or given it in its turn."""
    return frontier.with_floor(number).with_delivered(0)


def _cost(raw: bytes) -> int:
    return len(raw) + KEPT_BATCH_BYTES
