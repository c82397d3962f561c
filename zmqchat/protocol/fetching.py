"""Fetching: asking peers for the parts of logs that are missing here.

How it works. What a peer offers and we lack is kept as spans of numbers, by log and peer. A request is a part
of one span, asked of one peer, and no number is asked of two at once, so several holders share the
work of a large gap in chunks (one holder is asked for all of it):

    offered --schedule--> requested --Page, Page--> settled --Credit--> ... --done, all settled--> next

Pages are settled by `intake` when their batches are durable (or held already); each settled page pays for
another one, so a peer never has more than REQUESTS_PER_PEER x CREDIT pages on the way to a slow disk. What
is not kept (forged, no room on the disk), what does not come for sync_idle_s, and what a lost link takes
away is left to other holders and to the next exchange. A holder of whom many ask the same answers by an empty
page that is not the last (`copies`): that log rests with it, while others that offer it are asked at once.
Oldest first, or newest first in a room that is read latest first.

When everything that linked peers offered of a compared room is here, UpToDate says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from zmqchat.history.ranges import Span, without
from zmqchat.model.config import Config
from zmqchat.model.faults import Fault
from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.model.limits import PAGES_IN_FLIGHT_MAX
from zmqchat.protocol.copies import Copies
from zmqchat.protocol.data_facts import (
    BatchReceived,
    BatchSettled,
    BehindPeer,
    CustodyEnded,
    ExchangeEnded,
    LogOffered,
    RoomLeft,
    UpToDate,
)
from zmqchat.protocol.effects import SetTimer
from zmqchat.protocol.facts import Instant, TimerFired
from zmqchat.protocol.interests import Interests
from zmqchat.protocol.ledger import Ledger
from zmqchat.protocol.machine import Machine, PeerFaulted, PeerUnlinked, SendFrame, Size
from zmqchat.wire.frames import Credit, Frame, Page, Want, encode

REQUESTS_PER_PEER = 2
"""Requests at a peer at once: it prepares the next while the last pages of one are settled here."""

CREDIT = PAGES_IN_FLIGHT_MAX // REQUESTS_PER_PEER
"""Pages a request that may be on the way."""

REQUESTS_PER_LOG = 4
"""Requests of one log at once: each may open a range, and a log has RANGES_MAX of them."""

CHUNK_NUMBERS = 65_536
"""What is asked of one of several holders at a time: about 16 MiB of short texts. A batch across the border of two
chunks comes twice, and may have 1,000 numbers: larger chunks fetch less twice, smaller ones share a log among more."""

WANTED_LOGS_MAX = 16_384
"""Logs that are being fetched; offers beyond it come again with the next exchange."""

REST_S = 3.0
REST_ALONE_S = 0.3
"""How long a log rests with a holder that is busy with it: where others will soon have it, and where few others are."""

REST_LOOK_S = 0.1
"""How often it is looked whether a rest is over."""

OTHERS = 2
"""Other links in the room from which a log may come."""

REFUSALS_MAX = 6
"""An offer that was not kept so often is void until the next exchange. An honest holder keeps it at the fourth time."""

_Place = tuple[RoomId, LogKey]


@dataclass(slots=True)
class _Wanted:
    """What is missing of one log: the spans that each peer holds of it.

    forked   what is held under these numbers is another branch, so it takes nothing away
    asked    the spans under way, by request
    refused  how often each peer was busy with it
    """

    spans: dict[PeerId, list[Span]] = field(default_factory=dict)
    forked: bool = False
    asked: dict[int, Span] = field(default_factory=dict)
    refused: dict[PeerId, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Request:
    """A WANT under way; `pages` counts the unsettled batches of each page that came."""

    peer: PeerId
    place: _Place
    span: Span
    at_s: float
    credit: int = CREDIT
    pages: deque[int] = field(default_factory=deque)
    done: bool = False


class Fetching(Machine):
    """The asking machine; emits BatchReceived and UpToDate."""

    timer = "fetching"

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        interests: Interests,
        takes_log: Callable[[RoomId, LogKey], bool],
        copies: Copies,
    ) -> None:
        super().__init__()
        self._copies = copies
        self._resting: dict[tuple[PeerId, _Place], float] = {}
        self._rest_timer_set = False
        self._takes_log = takes_log
        self._config = config
        self._ledger = ledger
        self._interests = interests
        self._wanted: dict[_Place, _Wanted] = {}
        self._queues: dict[PeerId, dict[_Place, None]] = {}
        self._requests: dict[int, _Request] = {}
        self._by_peer: dict[PeerId, dict[int, None]] = {}
        self._numbers = 0
        self._compared: dict[RoomId, None] = {}
        self._timer_set = False
        self.facts = {
            LogOffered: self._offered,
            BehindPeer: self._behind,
            BatchSettled: self._settled,
            ExchangeEnded: self._exchange_ended,
            PeerUnlinked: self._unlinked,
            RoomLeft: self._room_left,
            CustodyEnded: self._custody_ended,
            TimerFired: self._timer_fired,
        }
        self.frames = {Page: self._page}

    def is_fetching(self, room: RoomId, key: LogKey) -> bool:
        """Whether a linked peer is known to hold more of this log, and is or will be asked for it."""
        return (room, key) in self._wanted

    def missing(self) -> int:
        """About how many events linked peers are known to hold that are not here yet, in all rooms that we are in."""
        count = 0
        for place, wanted in self._wanted.items():
            if not self._ledger.is_joined(place[0]):
                continue
            held = self._held(place)
            lefts = (without(spans, held) for spans in wanted.spans.values())
            count += max((sum(end - first for first, end in left) for left in lefts), default=0)
        return count

    @property
    def requests(self) -> int:
        """How many requests are under way."""
        return len(self._requests)

    def sizes(self) -> tuple[Size, ...]:
        """What is wanted, and what is asked for."""
        asked = max((len(numbers) for numbers in self._by_peer.values()), default=0)
        return (
            Size("wanted logs", len(self._wanted), WANTED_LOGS_MAX),
            Size("requests of a peer", asked, REQUESTS_PER_PEER),
        )

    # Offers ------------------------------------------------------------------------------------

    def _offered(self, fact: LogOffered, at: Instant) -> None:
        if self._ledger.is_shared(fact.room):
            frontier = self._ledger.rooms[fact.room].frontier
            self._want(fact.peer, fact.room, fact.key, frontier.missing(fact.key, fact.ranges, fact.floor), at)

    def _behind(self, fact: BehindPeer, at: Instant) -> None:
        if self._ledger.is_shared(fact.room):
            frontier = self._ledger.frontier(fact.room, fact.key)
            floor, held = (0, []) if frontier is None else (frontier.floor, frontier.held())
            self._want(fact.peer, fact.room, fact.key, without([(floor, fact.end)], held), at)

    def _want(self, peer: PeerId, room: RoomId, key: LogKey, spans: list[Span], at: Instant) -> None:
        place = (room, key)
        wanted = self._wanted.get(place)
        if not spans:
            if wanted is not None and wanted.spans.pop(peer, None) is not None:
                self._forget_if_done(place, wanted)
            return
        if not self._interests.is_linked(peer) or (wanted is None and len(self._wanted) >= WANTED_LOGS_MAX):
            return
        if wanted is None and not self._takes_log(room, key):
            return
        if wanted is None:
            wanted = self._wanted[place] = _Wanted()
        held = self._held(place)
        wanted.forked = wanted.forked or without(spans, held) != without(spans, [])
        wanted.spans[peer] = spans
        self._queues.setdefault(peer, {})[place] = None
        self._schedule(at)

    def _held(self, place: _Place) -> list[Span]:
        frontier = self._ledger.frontier(*place)
        return [] if frontier is None else frontier.held()

    # Requests ----------------------------------------------------------------------------------

    def _schedule(self, at: Instant) -> None:
        for peer, queue in self._queues.items():
            active = self._by_peer.setdefault(peer, {})
            if len(active) >= REQUESTS_PER_PEER:
                continue
            for place in list(queue):
                while len(active) < REQUESTS_PER_PEER and self._ask(peer, place, at):
                    pass
                if len(active) >= REQUESTS_PER_PEER:
                    break
                # Nothing of it is left for this peer unless a request elsewhere fails.
                del queue[place]
                wanted = self._wanted.get(place)
                if wanted is not None:
                    self._forget_if_done(place, wanted)
        self._set_timer(at)

    def _ask(self, peer: PeerId, place: _Place, at: Instant) -> bool:
        wanted = self._wanted.get(place)
        if wanted is None or len(wanted.asked) >= REQUESTS_PER_LOG or (peer, place) in self._resting:
            return False
        taken = list(wanted.asked.values()) + ([] if wanted.forked else self._held(place))
        spans = without(wanted.spans.get(peer, ()), taken)
        if not spans:
            return False
        room, key = place
        entry = self._ledger.rooms[room]
        # A keeper may have no room for all of it, and begins with what is still to be spread.
        newest_first = entry.latest_first or not entry.joined
        first, end = spans[-1] if newest_first else spans[0]
        if len(wanted.spans) > 1:
            first, end = (
                (max(first, end - CHUNK_NUMBERS), end) if newest_first else (first, min(end, first + CHUNK_NUMBERS))
            )
        self._numbers += 1
        number = self._numbers
        self._requests[number] = _Request(peer, place, (first, end), at.now_s)
        self._by_peer[peer][number] = None
        wanted.asked[number] = (first, end)
        self._send(
            peer,
            Want(
                request=number,
                room=room,
                author=key.author,
                log=key.log,
                branch=key.branch,
                first=first,
                end=end,
                credit=CREDIT,
                newest_first=newest_first,
            ),
        )
        return True

    def _page(self, peer: PeerId, frame: Page, at: Instant) -> None:
        request = self._requests.get(frame.request)
        if request is None or request.peer != peer or request.done:
            return
        request.credit -= 1
        if request.credit < 0:
            self.outbox.append(PeerFaulted(peer=peer, fault=Fault(reason="flood", detail="pages beyond the credit")))
            self._drop(frame.request, at)
            return
        if not frame.batches and not frame.done:
            self._rest(frame.request, request, at)
            return
        request.at_s = at.now_s
        request.done = frame.done
        if frame.batches:
            request.pages.append(len(frame.batches))
            self.outbox += [
                BatchReceived(peer=peer, raw=raw, pushed=False, request=frame.request) for raw in frame.batches
            ]
        self._finish_if_done(frame.request, request, at)

    def _settled(self, fact: BatchSettled, at: Instant) -> None:
        request = self._requests.get(fact.request)
        if request is None or request.peer != fact.peer or not request.pages:
            return
        if not fact.kept:
            self._drop(fact.request, at)
            return
        request.at_s = at.now_s
        request.pages[0] -= 1
        if not request.pages[0]:
            request.pages.popleft()
            if not request.done:
                request.credit += 1
                self._send(request.peer, Credit(request=fact.request, pages=1))
            self._finish_if_done(fact.request, request, at)

    def _finish_if_done(self, number: int, request: _Request, at: Instant) -> None:
        if request.done and not request.pages:
            first, end = request.span
            self._copies.fetched(request.place, end - first, at.now_s)
            wanted = self._end(number, request)
            if wanted is not None:
                left = without(wanted.spans.get(request.peer, ()), [request.span])
                self._leave(request.place, wanted, request.peer, left)
            self._schedule(at)

    def _drop(self, number: int, at: Instant) -> None:
        """This peer's offer of the log is void until the next exchange; other holders are asked."""
        request = self._requests[number]
        wanted = self._end(number, request)
        if wanted is not None:
            self._leave(request.place, wanted, request.peer, [])
        self._schedule(at)

    def _rest(self, number: int, request: _Request, at: Instant) -> None:
        """The peer is busy with others who want the same: some of them will offer it."""
        peer, place = request.peer, request.place
        wanted = self._wanted.get(place)
        if wanted is not None:
            wanted.refused[peer] = refused = wanted.refused.get(peer, 0) + 1
            if refused >= REFUSALS_MAX:
                self._drop(number, at)
                return
            others = len(self._interests.peers_in(place[0])) - 1
            self._resting[(peer, place)] = at.now_s + (REST_S if others >= OTHERS else REST_ALONE_S)
            self._set_rest_timer(at)
        self._end(number, request)
        self._schedule(at)

    def _rested(self, at: Instant) -> None:
        self._rest_timer_set = False
        for (peer, place), until_s in list(self._resting.items()):
            if until_s <= at.now_s:
                del self._resting[(peer, place)]
                if peer in self._queues:
                    self._queues[peer][place] = None
        self._set_rest_timer(at)
        self._schedule(at)

    def _set_rest_timer(self, at: Instant) -> None:
        if self._resting and not self._rest_timer_set:
            self._rest_timer_set = True
            self.outbox.append(SetTimer(name=(self.timer, "rest"), at_s=at.now_s + REST_LOOK_S))

    def _end(self, number: int, request: _Request) -> _Wanted | None:
        del self._requests[number]
        self._by_peer.get(request.peer, {}).pop(number, None)
        wanted = self._wanted.get(request.place)
        if wanted is not None:
            wanted.asked.pop(number, None)
            for peer in wanted.spans:
                self._queues.setdefault(peer, {})[request.place] = None
        return wanted

    def _leave(self, place: _Place, wanted: _Wanted, peer: PeerId, spans: list[Span]) -> None:
        if spans:
            wanted.spans[peer] = spans
        else:
            wanted.spans.pop(peer, None)
        self._forget_if_done(place, wanted)

    def _forget_if_done(self, place: _Place, wanted: _Wanted) -> None:
        if wanted.asked:
            return
        taken = [] if wanted.forked else self._held(place)
        wanted.spans = {peer: left for peer, spans in wanted.spans.items() if (left := without(spans, taken))}
        if not wanted.spans:
            self._wanted.pop(place, None)
            self._tell_up_to_date(place[0])

    # Up to date --------------------------------------------------------------------------------

    def _exchange_ended(self, fact: ExchangeEnded, _at: Instant) -> None:
        for room in fact.rooms:
            self._compared[room] = None
            self._tell_up_to_date(room)

    def _tell_up_to_date(self, room: RoomId) -> None:
        if room in self._compared and not any(wanted_room == room for wanted_room, _key in self._wanted):
            del self._compared[room]
            self.outbox.append(UpToDate(room=room))

    # Ends --------------------------------------------------------------------------------------

    def _unlinked(self, fact: PeerUnlinked, at: Instant) -> None:
        self._queues.pop(fact.peer, None)
        for number in list(self._by_peer.pop(fact.peer, ())):
            self._end(number, self._requests[number])
        self._queues.pop(fact.peer, None)
        for place, wanted in list(self._wanted.items()):
            if wanted.spans.pop(fact.peer, None) is not None:
                self._forget_if_done(place, wanted)
        self._schedule(at)

    def _custody_ended(self, fact: CustodyEnded, at: Instant) -> None:
        if not self._ledger.is_joined(fact.room):
            self._room_left(fact, at)

    def _room_left(self, fact: RoomLeft | CustodyEnded, at: Instant) -> None:
        for place in [place for place in self._wanted if place[0] == fact.room]:
            del self._wanted[place]
        self._compared.pop(fact.room, None)
        self._schedule(at)

    def _timer_fired(self, fact: TimerFired, at: Instant) -> None:
        if fact.name[1:] == ("rest",):
            self._rested(at)
            return
        self._timer_set = False
        idle = [n for n, request in self._requests.items() if at.now_s - request.at_s >= self._config.sync_idle_s]
        for number in idle:
            self._drop(number, at)
        self._set_timer(at)

    def _set_timer(self, at: Instant) -> None:
        if self._requests and not self._timer_set:
            self._timer_set = True
            self.outbox.append(SetTimer(name=(self.timer,), at_s=at.now_s + self._config.sync_idle_s / 2))

    def _send(self, peer: PeerId, frame: Frame) -> None:
        self.outbox.append(SendFrame(peer=peer, payload=encode(frame)))
