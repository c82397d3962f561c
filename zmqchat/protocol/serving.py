"""Serving: answering WANT with pages of whole batches, of any author's log that is held here.

How it works. The requests of a peer wait in a row; the first with credit is served, one load from the store
at a time, so a peer that asks for a thousand ranges gets them one after another and costs one page of
memory. A page costs a credit; without credit for sync_idle_s a request is dropped.

    waiting --credit--> loading --RangeLoaded--> Page --more and credit--> loading
                                                      --nothing left--> Page(done), gone

Where many ask for the same at once in a partial mesh (`copies`), some are told to turn to those that have it by now: an
empty page after which more would follow. That request is over; the asker makes a new one later, or asks another holder.

A load that fails is tried LOAD_TRIES_MAX times, RETRY_S apart; then the answer is that there is nothing here.

What is asked for is clipped to what is held; for a log that is unknown the answer is one empty page. Bytes a
second and peer are bounded: an admitted peer could loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from zmqchat.history.batch import BatchHeader, peek
from zmqchat.history.ranges import Extent
from zmqchat.model.config import Config
from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.model.limits import PAGE_BYTES_MAX, PAGES_IN_FLIGHT_MAX, REPAIR_BYTES_PER_S_MAX
from zmqchat.protocol.copies import LINKS_FREE, LOGS_MAX, Answer, Copies
from zmqchat.protocol.effects import LoadRange, SetTimer
from zmqchat.protocol.facts import Instant, RangeLoaded, TimerFired
from zmqchat.protocol.interests import Interests
from zmqchat.protocol.ledger import Ledger
from zmqchat.protocol.machine import Machine, PeerLinked, PeerUnlinked, SendFrame, Size
from zmqchat.wire.frames import Credit, Page, Want, encode

WANTS_PER_PEER_MAX = 16
"""Requests of a peer that wait; of further ones the oldest without credit makes place, or they are ignored."""

LOAD_TRIES_MAX = 3
"""Loads of a page that may fail before others are left to be asked."""

RETRY_S = 1.0
"""How long an asker's requests rest after a load failed."""


@dataclass(slots=True)
class _Serving:
    """A WANT: the numbers that are still to be sent, and how many loads have failed in a row.

    excess   others were sent enough of it already
    """

    room: RoomId
    key: LogKey
    first: int
    end: int
    credit: int
    newest_first: bool
    at_s: float
    failures: int = 0
    excess: bool = False


@dataclass(slots=True)
class _Asker:
    """A linked peer: its requests by number, the one being loaded, and the bytes that it may be sent now.

    rests_until_s  a load failed: none is begun before this
    """

    wants: dict[int, _Serving] = field(default_factory=dict)
    loading: int | None = None
    token: int = 0
    rests_until_s: float = 0.0
    budget: float = float(REPAIR_BYTES_PER_S_MAX)
    budget_at_s: float = 0.0


class Serving(Machine):
    """The answering machine."""

    timer = "serving"

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        interests: Interests,
        copies: Copies,
        tokens: Iterator[int],
        is_partial: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._interests = interests
        self._copies = copies
        self._is_partial = is_partial
        self._config = config
        self._ledger = ledger
        self._tokens = tokens
        self._askers: dict[PeerId, _Asker] = {}
        self._timer_at_s: float | None = None
        self.facts = {
            PeerLinked: self._linked,
            PeerUnlinked: self._unlinked,
            RangeLoaded: self._loaded,
            TimerFired: self._timer_fired,
        }
        self.frames = {Want: self._want, Credit: self._credit}

    def waiting(self, peer: PeerId) -> int:
        """How many requests of this peer are open."""
        asker = self._askers.get(peer)
        return 0 if asker is None else len(asker.wants)

    def sizes(self) -> tuple[Size, ...]:
        """What askers want."""
        wants = max((len(asker.wants) for asker in self._askers.values()), default=0)
        return (Size("wants of a peer", wants, WANTS_PER_PEER_MAX), Size("logs sent", len(self._copies), LOGS_MAX))

    def _linked(self, fact: PeerLinked, at: Instant) -> None:
        self._askers[fact.peer] = _Asker(budget_at_s=at.now_s)

    def _unlinked(self, fact: PeerUnlinked, _at: Instant) -> None:
        self._askers.pop(fact.peer, None)

    def _want(self, peer: PeerId, frame: Want, at: Instant) -> None:
        asker = self._askers.get(peer)
        if asker is None or frame.request in asker.wants:
            return
        if len(asker.wants) >= WANTS_PER_PEER_MAX:
            idle = next((n for n, want in asker.wants.items() if not want.credit and n != asker.loading), None)
            if idle is None:
                return
            del asker.wants[idle]
        want = _Serving(
            frame.room,
            LogKey(frame.author, frame.log, frame.branch),
            frame.first,
            frame.end,
            min(frame.credit, PAGES_IN_FLIGHT_MAX),
            frame.newest_first,
            at.now_s,
        )
        if self._is_admitted(peer, want, at):
            asker.wants[frame.request] = want
            self._serve(peer, asker, at)
        else:
            self.outbox.append(
                SendFrame(peer=peer, payload=encode(Page(request=frame.request, batches=(), done=False)))
            )

    def _is_admitted(self, peer: PeerId, want: _Serving, at: Instant) -> bool:
        extents = self._extents(want)
        is_free = not self._is_partial() or len(self._interests.peers_in(want.room)) <= LINKS_FREE
        if is_free or not extents:
            return True
        first, end = max(want.first, extents[0].first), min(want.end, extents[-1].end)
        answer = self._copies.asked((want.room, want.key), peer, first, end, at.now_s)
        want.excess = answer is Answer.EXCESS
        return answer is not Answer.NOT_NOW

    def _credit(self, peer: PeerId, frame: Credit, at: Instant) -> None:
        asker = self._askers.get(peer)
        want = None if asker is None else asker.wants.get(frame.request)
        if asker is not None and want is not None:
            want.credit = min(want.credit + frame.pages, PAGES_IN_FLIGHT_MAX)
            want.at_s = at.now_s
            self._serve(peer, asker, at)

    # Loading and sending -----------------------------------------------------------------------

    def _serve(self, peer: PeerId, asker: _Asker, at: Instant) -> None:
        """Load the next page of the first request with credit, unless one is being loaded."""
        asker.budget = min(
            float(REPAIR_BYTES_PER_S_MAX), asker.budget + (at.now_s - asker.budget_at_s) * REPAIR_BYTES_PER_S_MAX
        )
        asker.budget_at_s = at.now_s
        for number, want in list(asker.wants.items()):
            if asker.loading is not None or asker.budget <= 0 or at.now_s < asker.rests_until_s:
                break
            if want.credit:
                self._load(peer, asker, number, want)
        self._set_timer(at)

    def _load(self, peer: PeerId, asker: _Asker, number: int, want: _Serving) -> None:
        extents = self._extents(want)
        if not extents:
            self._send(peer, asker, number, (), done=True)
            return
        extent = extents[-1] if want.newest_first else extents[0]
        asker.loading, asker.token = number, next(self._tokens)
        self.outbox.append(
            LoadRange(
                token=asker.token,
                room=want.room,
                key=want.key._replace(branch=extent.branch),
                first=extent.first,
                end=extent.end,
                bytes_max=PAGE_BYTES_MAX,
                newest_first=want.newest_first,
            )
        )

    def _extents(self, want: _Serving) -> list[Extent]:
        frontier = self._ledger.frontier(want.room, want.key) if self._ledger.is_given(want.room) else None
        return [] if frontier is None or want.first >= want.end else frontier.stored(want.first, want.end)

    def _loaded(self, fact: RangeLoaded, at: Instant) -> None:
        for peer, asker in self._askers.items():
            if asker.loading is not None and asker.token == fact.token:
                number, asker.loading = asker.loading, None
                if not fact.failed or self._is_hopeless(asker, number, at):
                    self._answer(peer, asker, number, fact.batches)
                self._serve(peer, asker, at)
                return

    def _is_hopeless(self, asker: _Asker, number: int, at: Instant) -> bool:
        """A load failed; whether there were too many."""
        want = asker.wants.get(number)
        if want is None:
            return True
        want.failures += 1
        asker.rests_until_s = at.now_s + RETRY_S
        return want.failures >= LOAD_TRIES_MAX

    def _answer(self, peer: PeerId, asker: _Asker, number: int, batches: tuple[bytes, ...]) -> None:
        want = asker.wants.get(number)
        if want is None:
            return
        headers = [header for raw in batches if isinstance(header := peek(raw), BatchHeader)]
        if not headers:
            # The rows can't be read: others may hold them.
            self._send(peer, asker, number, (), done=True)
            return
        if want.newest_first:
            want.end = headers[0].first
        else:
            want.first = headers[-1].end
        want.failures = 0
        self._send(peer, asker, number, batches, done=not self._extents(want))

    def _send(self, peer: PeerId, asker: _Asker, number: int, batches: tuple[bytes, ...], *, done: bool) -> None:
        payload = encode(Page(request=number, batches=batches, done=done))
        asker.budget -= len(payload)
        if asker.wants[number].excess:
            self._copies.sent_excess(len(payload))
        asker.wants[number].credit -= 1
        if done:
            del asker.wants[number]
        self.outbox.append(SendFrame(peer=peer, payload=payload))

    # Time --------------------------------------------------------------------------------------

    def _timer_fired(self, _fact: TimerFired, at: Instant) -> None:
        self._timer_at_s = None
        for peer, asker in self._askers.items():
            for number, want in list(asker.wants.items()):
                idle = at.now_s - want.at_s >= self._config.sync_idle_s
                if idle and not want.credit and number != asker.loading:
                    del asker.wants[number]
            self._serve(peer, asker, at)
        self._set_timer(at)

    def _set_timer(self, at: Instant) -> None:
        at_s = None
        if any(asker.wants for asker in self._askers.values()):
            starved = any(asker.budget <= 0 for asker in self._askers.values())
            at_s = at.now_s + (0.1 if starved else self._config.sync_idle_s / 2)
            rests = [asker.rests_until_s for asker in self._askers.values() if asker.rests_until_s > at.now_s]
            at_s = min([at_s, *rests])
        if at_s is None or self._timer_at_s is None or at_s < self._timer_at_s:
            if at_s != self._timer_at_s:
                self.outbox.append(SetTimer(name=(self.timer,), at_s=at_s))
            self._timer_at_s = at_s
