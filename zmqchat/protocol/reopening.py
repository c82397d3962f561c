"""Reopening: a room that was kept for others is joined, and what was let go of it there is wanted again.

How it works. A keeper's floor says that nothing below it is wanted: it was too old to be kept, or too much. A member
wants all of it. So each log of the room with a floor gets it back to nothing: the first batch that is held is loaded,
the log's chain begins there from now on, and what is below is missing and comes as backfill. The log's row in table
`kept` goes in the same commit: what a crash interrupts is found by it at the next start.

Peers that found the room equal before tell no more of a log that has not changed there, so what is missing is asked of
all that take part in the room, now and whenever one comes. After a restart they compare anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from zmqchat.history.batch import Batch, open_stored
from zmqchat.history.crypto import Crypto
from zmqchat.history.frontier import LogFrontier
from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.protocol.custodylog import KEPT_TABLE, Place, pack_place
from zmqchat.protocol.data_facts import BehindPeer, CommitWanted, InterestTold
from zmqchat.protocol.effects import Effect, LoadRange, SetTimer
from zmqchat.protocol.facts import Fact, Instant, NodeStarted, RangeLoaded, TimerFired
from zmqchat.protocol.interests import Interests
from zmqchat.protocol.ledger import Group, Ledger
from zmqchat.protocol.machine import Machine

RETRY_S = 60.0
"""How long a log rests after a load or a commit failed."""


class Reopening(Machine):
    """The machine of floors that go down, and a source of `committing`."""

    timer = "reopening"

    def __init__(self, crypto: Crypto, ledger: Ledger, tokens: Iterator[int], interests: Interests) -> None:
        super().__init__()
        self._interests = interests
        self._crypto = crypto
        self._ledger = ledger
        self._tokens = tokens
        self._waiting: deque[Place] = deque()
        self._token: int | None = None
        self._first: Batch | None = None
        self._ready = False
        self._under_way: list[Place] = []
        self._missing: dict[RoomId, dict[LogKey, int]] = {}
        self.facts = {
            NodeStarted: self._go_on,
            InterestTold: self._told,
            RangeLoaded: self._loaded,
            TimerFired: self._go_on,
        }

    def open(self, place: Place) -> None:
        """A log of a room that was kept and is joined; it is done in the next commits."""
        self._waiting.append(place)

    def _main(self, place: Place) -> tuple[RoomId, LogKey]:
        room, author, log = place
        return room, LogKey(author, log)

    def contribute(self, group: Group, at: Instant) -> None:
        """Open the logs that need no look at the disk, and the one that was loaded."""
        while self._waiting and self._token is None:
            place = self._waiting[0]
            frontier = group.frontier(*self._main(place))
            extents = [] if frontier is None else frontier.stored(0, frontier.end)
            if frontier is not None and frontier.floor and extents and not self._ready:
                self._load(place, extents[0].branch, extents[0].first, extents[0].end, group.notes)
                return
            if frontier is not None and frontier.floor:
                self._lower(group, place, frontier)
            self._ready, self._first = False, None
            self._under_way.append(self._waiting.popleft())
            group.put_row(KEPT_TABLE, pack_place(place), None)

    def _lower(self, group: Group, place: Place, frontier: LogFrontier) -> None:
        room, key = self._main(place)
        held = tuple(each for each in frontier.ranges if each.extents)
        first = self._first
        self._missing.setdefault(room, {})[key] = held[0].first if held else frontier.floor
        if held and first is not None and first.first == held[0].first:
            opened = held[0]._replace(
                start=first.first, opening=first.digest, previous=first.previous, opened_at=first.sealed_at
            )
            group.put_frontier(room, key, frontier._replace(floor=0, ranges=(opened, *held[1:])))
        elif not held:
            group.put_frontier(room, key, None)

    def _load(self, place: Place, branch: bytes, first: int, end: int, out: list[Effect | Fact]) -> None:
        room, key = self._main(place)
        self._token = next(self._tokens)
        out.append(
            LoadRange(token=self._token, room=room, key=key._replace(branch=branch), first=first, end=end, bytes_max=1)
        )

    def _loaded(self, fact: RangeLoaded, at: Instant) -> None:
        if fact.token != self._token:
            return
        self._token = None
        if fact.failed:
            self.outbox.append(SetTimer(name=(self.timer,), at_s=at.now_s + RETRY_S))
            return
        batch = open_stored(fact.batches[0], self._crypto) if fact.batches else None
        self._first, self._ready = (batch if isinstance(batch, Batch) else None), True
        self.outbox.append(CommitWanted())

    def _go_on(self, _fact: NodeStarted | TimerFired, _at: Instant) -> None:
        if self._waiting:
            self.outbox.append(CommitWanted())

    def committed(self, _group: Group, _at: Instant) -> list[Effect | Fact]:
        """What is below is missing now."""
        under_way, self._under_way = self._under_way, []
        out: list[Effect | Fact] = []
        for room, key in map(self._main, under_way):
            for peer in self._interests.peers_in(room):
                self._ask(peer, room, [key], out)
        return out

    def _told(self, fact: InterestTold, _at: Instant) -> None:
        for room in fact.added:
            self._ask(fact.peer, room, list(self._missing.get(room, ())), self.outbox)

    def _ask(self, peer: PeerId, room: RoomId, keys: list[LogKey], out: list[Effect | Fact]) -> None:
        missing = self._missing.get(room, {})
        for key in keys:
            frontier = self._ledger.frontier(room, key)
            if key in missing and (frontier is None or frontier.stored(0, 1) == []):
                out.append(BehindPeer(peer=peer, room=room, key=key, end=missing[key]))
            else:
                missing.pop(key, None)

    def failed(self, _group: Group, _full: bool, _detail: str, at: Instant) -> list[Effect | Fact]:
        """They are tried again after a while."""
        self._waiting.extendleft(reversed(self._under_way))
        self._under_way = []
        return [SetTimer(name=(self.timer,), at_s=at.now_s + RETRY_S)] if self._waiting else []
