"""Delivery: arrival numbers for what is stored but could not be delivered in its turn.

How it works. A batch that goes on where its log's delivery stands gets its arrival numbers in the same
commit (`ledger.Group.keep`). This machine does the rest, looking at each log that a commit has moved:

    what can be delivered lies on the disk   it is loaded, a few batches at a time, and given numbers
    (a gap was filled, a restart, a fork)    in the next commit, until delivery stands at its end
    what is held lies above a gap            it waits gap_wait_s, but only GRACE of that where nobody is
                                             sending the missing part; then a gap gets a number, and what
                                             is above it follows. What fills it later is backfill

A store that can't be read says nothing of what it holds, so that load is tried again after RETRY_S; what a
readable store turns out not to hold is a gap.

In a room that is read latest first a gap waits for nothing until the room was up to date once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

from zmqchat.history.batch import BatchHeader, peek
from zmqchat.history.clock import hlc_of
from zmqchat.history.frontier import LogFrontier
from zmqchat.model.config import Config
from zmqchat.model.ids import LogKey, RoomId
from zmqchat.model.limits import MIB
from zmqchat.protocol.data_facts import CommitWanted, RoomJoined, UpToDate
from zmqchat.protocol.effects import Effect, LoadRange, SetTimer
from zmqchat.protocol.facts import Fact, Instant, RangeLoaded, TimerFired
from zmqchat.protocol.ledger import Group, Ledger
from zmqchat.protocol.machine import Machine, Size

LOAD_BYTES_MAX = MIB
"""What one load brings into memory for numbering."""

LOADS_AT_ONCE_MAX = 4
"""Logs that are being numbered at once."""

RETRY_S = 1.0
"""How long a log rests after a load or a commit failed."""

GRACE = 0.1
"""The part of gap_wait_s that a gap is given though nobody is known to send what is missing."""

_Place = tuple[RoomId, LogKey]


@dataclass(slots=True)
class _Backlog:
    """A log whose stored batches are being numbered.

    first     where the load begins
    end       where it ends
    loaded    what the load brought; None until then
    numbered  the group under way has them
    """

    token: int
    stored: LogKey
    first: int
    end: int
    loaded: tuple[bytes, ...] | None = None
    numbered: bool = False


class Delivery(Machine):
    """The machine of gaps and backlogs, and a source of `committing`."""

    timer = "delivery"

    def __init__(
        self, config: Config, ledger: Ledger, tokens: Iterator[int], is_fetching: Callable[[RoomId, LogKey], bool]
    ) -> None:
        super().__init__()
        self._config = config
        self._ledger = ledger
        self._tokens = tokens
        self._is_fetching = is_fetching
        self._backlogs: dict[_Place, _Backlog] = {}
        self._queue: dict[_Place, None] = {}
        self._gaps: dict[_Place, float] = {}
        self._retries: dict[_Place, float] = {}
        self._due: dict[_Place, None] = {}
        self._told: dict[_Place, None] = {}
        self._timer_at_s: float | None = None
        self.facts = {
            RoomJoined: self._joined,
            RangeLoaded: self._range_loaded,
            UpToDate: self._up_to_date,
            TimerFired: self._timer_fired,
        }

    def waits(self, room: RoomId, key: LogKey) -> bool:
        """Whether something of this log is held that is not delivered yet."""
        place = (room, key)
        return any(place in waiting for waiting in (self._gaps, self._retries, self._backlogs, self._queue))

    def sizes(self) -> tuple[Size, ...]:
        """Logs whose stored batches are in memory to be numbered."""
        loaded = (sum(map(len, backlog.loaded or ())) for backlog in self._backlogs.values())
        return (
            Size("backlogs", len(self._backlogs), LOADS_AT_ONCE_MAX),
            Size("bytes of a backlog", max(loaded, default=0), LOAD_BYTES_MAX),
        )

    # Looking at logs ---------------------------------------------------------------------------

    def _joined(self, fact: RoomJoined, at: Instant) -> None:
        # In a large room nearly all of a thousand logs are delivered to their ends.
        for key, frontier in list(self._ledger.rooms[fact.room].frontier.items()):
            if frontier.end > frontier.delivered or (fact.room, key) in self._gaps:
                self._look((fact.room, key), self.outbox, at)
        self._set_timer(self.outbox, at)

    def _look(self, place: _Place, out: list[Effect | Fact], at: Instant) -> None:
        frontier = self._ledger.frontier(*place)
        if frontier is None or not self._ledger.is_joined(place[0]):
            self._gaps.pop(place, None)
        elif frontier.deliverable_end > frontier.delivered:
            self._gaps.pop(place, None)
            self._retries.pop(place, None)
            self._queue[place] = None
            self._load_next(out)
        elif frontier.next_held(frontier.delivered) is None:
            self._gaps.pop(place, None)
        else:
            self._gaps.setdefault(place, at.now_s)

    def _load_next(self, out: list[Effect | Fact]) -> None:
        for place in list(self._queue):
            if len(self._backlogs) >= LOADS_AT_ONCE_MAX:
                return
            if place in self._backlogs:
                continue
            del self._queue[place]
            room, key = place
            frontier = self._ledger.frontier(room, key)
            if frontier is None or frontier.deliverable_end <= frontier.delivered:
                continue
            extent = frontier.stored(frontier.delivered, frontier.deliverable_end)[0]
            backlog = _Backlog(next(self._tokens), key._replace(branch=extent.branch), extent.first, extent.end)
            self._backlogs[place] = backlog
            out.append(
                LoadRange(
                    token=backlog.token,
                    room=room,
                    key=backlog.stored,
                    first=extent.first,
                    end=extent.end,
                    bytes_max=LOAD_BYTES_MAX,
                )
            )

    def _range_loaded(self, fact: RangeLoaded, at: Instant) -> None:
        place = next((place for place, backlog in self._backlogs.items() if backlog.token == fact.token), None)
        if place is None:
            return
        if fact.failed:
            self._give_way(place, self.outbox, at)
            self._load_next(self.outbox)
        else:
            self._backlogs[place].loaded = fact.batches
            self.outbox.append(CommitWanted())

    def _give_way(self, place: _Place, out: list[Effect | Fact], at: Instant) -> None:
        """Nothing could be numbered: others take its turn, and it is looked at again after a while."""
        del self._backlogs[place]
        self._retries[place] = at.now_s + RETRY_S
        self._set_timer(out, at)

    def _up_to_date(self, fact: UpToDate, at: Instant) -> None:
        room = self._ledger.rooms[fact.room]
        if room.joined and room.up_to_date_at is None:
            room.up_to_date_at = hlc_of(at.wall_ms)

    # Committing --------------------------------------------------------------------------------

    def contribute(self, group: Group, at: Instant) -> None:
        """Number what was loaded, and the gaps that have waited long enough."""
        for (room, key), backlog in list(self._backlogs.items()):
            if backlog.loaded is not None:
                frontier = group.frontier(room, key)
                backlog.numbered = frontier is not None and self._number(group, room, key, backlog, frontier)
                if not backlog.numbered:
                    # It writes nothing, so perhaps there is no commit whose end would look at it again.
                    self._give_way((room, key), group.notes, at)
        self._told, self._due = self._due, {}
        for room, key in self._told:
            frontier = group.frontier(room, key)
            held = None if frontier is None else frontier.next_held(frontier.delivered)
            if frontier is not None and held is not None and held > frontier.delivered:
                group.arrive(room, key, frontier.delivered, held, 0, None)
                group.put_frontier(room, key, frontier.with_delivered(held))

    def _number(self, group: Group, room: RoomId, key: LogKey, backlog: _Backlog, frontier: LogFrontier) -> bool:
        """Give numbers from where delivery stands; whether there were any to give."""
        position = frontier.delivered
        # A fork that came since the load may have given what was loaded to a branch, which delivers it then.
        end = frontier.contiguous_from(position)
        entry = self._ledger.rooms[room]
        loaded = [(header, raw) for raw in backlog.loaded or () if isinstance(header := peek(raw), BatchHeader)]
        held = min((header.first for header, _raw in loaded), default=backlog.end)
        if position == backlog.first < held <= end:
            # The rows that the frontier names are not there: a gap is better than a cursor that stands still.
            group.arrive(room, key, position, held, 0, None)
            position = held
        for header, raw in loaded:
            if header.first <= position < header.end <= end:
                live = entry.is_live(header.sealed_at, pushed=False)
                group.arrive(room, backlog.stored, position, header.end, header.end, raw, live=live)
                position = frontier.after_given(header.end)
        if position == frontier.delivered:
            return False
        group.put_frontier(room, key, frontier.with_delivered(position))
        return True

    def committed(self, group: Group, at: Instant) -> list[Effect | Fact]:
        """Look at each log that moved: more to load, another gap, or done."""
        out: list[Effect | Fact] = []
        for place in dict.fromkeys((*group.after, *self._forget_numbered(), *self._told)):
            self._look(place, out, at)
        self._load_next(out)
        self._set_timer(out, at)
        return out

    def failed(self, _group: Group, _full: bool, _detail: str, at: Instant) -> list[Effect | Fact]:
        """Nothing was numbered: what waits is tried again after a while, as a gap that is due is."""
        for place in self._forget_numbered():
            self._retries[place] = at.now_s + RETRY_S
        for place in self._told:
            self._gaps[place] = at.now_s + RETRY_S
        out: list[Effect | Fact] = []
        self._set_timer(out, at)
        return out

    def _forget_numbered(self) -> list[_Place]:
        numbered = [place for place, backlog in self._backlogs.items() if backlog.numbered]
        for place in numbered:
            del self._backlogs[place]
        return numbered

    # Time --------------------------------------------------------------------------------------

    def _due_s(self, place: _Place, since_s: float) -> float:
        room = self._ledger.rooms[place[0]]
        if room.reads_latest:
            return since_s
        wait_s = self._config.gap_wait_s
        return since_s + (wait_s if self._is_fetching(*place) else wait_s * GRACE)

    def _look_s(self, place: _Place, since_s: float, now_s: float) -> float:
        """When it is due, or may be: who was sending the missing part may be gone before it has come."""
        return min(self._due_s(place, since_s), next_look_s(since_s, self._config.gap_wait_s * GRACE, now_s))

    def _timer_fired(self, _fact: TimerFired, at: Instant) -> None:
        self._timer_at_s = None
        for place in [place for place, at_s in self._retries.items() if at_s <= at.now_s]:
            del self._retries[place]
            self._look(place, self.outbox, at)
        for place, since_s in list(self._gaps.items()):
            if self._due_s(place, since_s) <= at.now_s:
                del self._gaps[place]
                self._tell_gap(place, at)
        self._set_timer(self.outbox, at)

    def _tell_gap(self, place: _Place, at: Instant) -> None:
        frontier = self._ledger.frontier(*place)
        if frontier is not None and frontier.deliverable_end > frontier.delivered:
            self._look(place, self.outbox, at)
        else:
            self._due[place] = None
            self.outbox.append(CommitWanted())

    def _set_timer(self, out: list[Effect | Fact], at: Instant) -> None:
        due_s = (self._look_s(place, since_s, at.now_s) for place, since_s in self._gaps.items())
        at_s = min(chain(due_s, self._retries.values()), default=None)
        if at_s is not None:
            at_s = max(at_s, at.now_s)
        if at_s != self._timer_at_s:
            self._timer_at_s = at_s
            out.append(SetTimer(name=(self.timer,), at_s=at_s))


def next_look_s(since_s: float, pause_s: float, now_s: float) -> float:
    """The first moment after now of those that lie whole pauses after `since_s`, always the same for the same pause.

    Division may round down at such a moment itself: a timer set to now would fire for ever.
    """
    look_s = since_s + pause_s * (1 + int(max(0.0, now_s - since_s) / pause_s))
    return look_s if look_s > now_s else look_s + pause_s
