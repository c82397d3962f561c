"""Publishing: our own events, from the call to the sealed batch.

How it works. `post` is a method, not a fact, as programs call it a hundred thousand times a second: it
packs, salts and digests the events at once, so that their ids are known, and puts them into the draft of
the room's next batch. What waited while a commit was under way is sealed into batches for the next
one (one when people type, a few full ones when a program streams); they leave when they are durable.

    waiting --contribute--> in the group --committed--> OwnStored, BatchesStored
                                         --failed-----> OwnFailed, with all that waits behind it
            --no place in the log (LOGS_PER_AUTHOR_MAX)-> OwnFailed, OwnGivenUp and, once a room, a Notice

A failed commit takes what waits behind it along: the numbers in the ids that `post` gave would leave a
hole. The head is then what is on disk. `OwnLog` says when another log number is drawn; that too fails
what waits, as those ids name the old log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import count, repeat

from zmqchat.history.batch import DIGEST_CUT_BYTES, NO_DIGEST, Draft, seal
from zmqchat.history.clock import HybridClock
from zmqchat.history.crypto import Crypto
from zmqchat.history.frontier import Outcome
from zmqchat.model.errors import BadText, MessageTooLarge, NotStored, UsageError
from zmqchat.model.events import READABLE_KINDS, Head, Kind
from zmqchat.model.ids import LogKey, MessageId, PeerId, RoomId
from zmqchat.model.limits import (
    AFTER_HEADS_MAX,
    BATCH_BYTES_MAX,
    BATCH_EVENTS_MAX,
    EVENT_BYTES_MAX,
    LOGS_PER_AUTHOR_MAX,
    PENDING_BYTES_MAX,
    TEXT_BYTES_MAX,
)
from zmqchat.protocol.data_effects import OwnFailed, OwnStored
from zmqchat.protocol.data_facts import BatchesStored, CommitWanted, OwnGivenUp
from zmqchat.protocol.effects import Effect, Notice
from zmqchat.protocol.facts import Fact, Instant
from zmqchat.protocol.ledger import Group, Ledger
from zmqchat.protocol.machine import Machine, Size
from zmqchat.protocol.ownlog import OwnLog
from zmqchat.wire.events import SALT_BYTES, encode_event

BATCHES_AT_ONCE_MAX = 4
"""Own batches a room in one commit: 1 MiB, so that a stream is not held up by one sync of the disk a batch."""

POOL_BYTES = 1_024
"""Random bytes drawn at once: 64 salts."""

_EVENT_COST_BOUND = 8
"""Above its bytes, what an event counts at most: `history.batch.event_cost_bytes`, as none is under 31 bytes."""

SHOWN_CHARACTERS_MAX = 60
"""Of a value that is no text, in the error that says so."""

_TEXT_CHARACTERS_SAFE = TEXT_BYTES_MAX // 4

Prefaces = Callable[[RoomId], Sequence[tuple[int, object]]]


def check_text(text: str) -> None:
    """Raises BadText for what is no text, empty or no UTF-8, MessageTooLarge for what is over the limit."""
    if not isinstance(text, str):
        raise BadText(_not_a_text(text))
    if not text:
        raise BadText("a message needs some text")
    # Only a long text can pass the limit, and only what is no UTF-8 needs its encoding to be told.
    if len(text) > _TEXT_CHARACTERS_SAFE:
        size_bytes = len(_utf8(text))
        if size_bytes > TEXT_BYTES_MAX:
            raise MessageTooLarge(size_bytes, TEXT_BYTES_MAX)
    elif not text.isascii():
        _utf8(text)


def _not_a_text(value: object) -> str:
    """What to do with what is none."""
    shown = repr(value)
    shown = shown if len(shown) <= SHOWN_CHARACTERS_MAX else shown[:SHOWN_CHARACTERS_MAX] + "…"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"a message is a text, not {shown}: decode bytes first, as in .decode(), or send them with send_app()"
    return f"a message is a text, not {shown}: make one of it, as str() does, or send it with send_app()"


def _check_texts(bodies: Sequence[object]) -> None:
    """The same for many, at the cost of few."""
    plain = all(bodies) and {str}.issuperset(map(type, bodies))
    if not plain or max(map(len, bodies), default=0) > _TEXT_CHARACTERS_SAFE:  # type: ignore[arg-type]  # all are str
        for text in bodies:
            check_text(text)  # type: ignore[arg-type]  # it refuses what is no str


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise BadText(f"character {error.start} of the text can't be encoded as UTF-8") from None


class _Waiting:
    """What is posted in one room and not yet durable.

    first   the number of the first event that waits for a commit
    next    the number that the next posted event gets
    sealed  whether the group under way holds what was before `first`
    """

    __slots__ = ("drafts", "first", "next", "sealed", "size_bytes")

    def __init__(self, number: int) -> None:
        self.drafts: deque[Draft] = deque()
        self.first = number
        self.next = number
        self.sealed = False
        self.size_bytes = 0


class Publishing(Machine):
    """The machine of our own logs, and a source of `committing`."""

    timer = "publishing"

    def __init__(
        self,
        crypto: Crypto,
        clock: HybridClock,
        ledger: Ledger,
        own_log: OwnLog,
        entropy: Callable[[int], bytes],
    ) -> None:
        super().__init__()
        self._crypto = crypto
        self._clock = clock
        self._ledger = ledger
        self._own_log = own_log
        self._entropy = entropy
        self._waiting: dict[RoomId, _Waiting] = {}
        self._heads: dict[RoomId, dict[PeerId, Head]] = {}
        self._refused: set[RoomId] = set()
        self._pool = b""
        self._commit_wanted = False
        self.prefaces: Prefaces = _no_prefaces
        own_log.on_drawn = self._log_changed
        self.facts = {BatchesStored: self._batches_stored}

    # Posting -----------------------------------------------------------------------------------

    def post(
        self, room: RoomId, kind: int, bodies: Sequence[object], at: Instant, after: Sequence[Head] | None = None
    ) -> list[MessageId]:
        """Accept events of ours and say which ids they have; nothing is stored before their OwnStored.

        after   heads that the first of them names as seen; None for those that came since our last event
        Raises BadText, MessageTooLarge, UsageError (body of another type), NotStored (not in the room).
        """
        if not self._ledger.is_joined(room):
            raise NotStored("this node is not in the room: join it first")
        if kind == Kind.TEXT:
            _check_texts(bodies)
        if not bodies:
            return []
        log = self._own_log.ready(self._clock, at)
        hlc = self._clock.tick(at.wall_ms)
        waiting = self._waiting_in(room)
        if kind in READABLE_KINDS:
            for preface_kind, body in self.prefaces(room):
                self._append(waiting, self._events(preface_kind, (body,), hlc, ()))
        events = self._events(kind, bodies, hlc, self._seen(room) if after is None else after)
        number = waiting.next
        digests = self._append(waiting, events)
        if not self._commit_wanted:
            self._commit_wanted = True
            self.outbox.append(CommitWanted())
        cut = [digest[:DIGEST_CUT_BYTES] for digest in digests]
        return list(map(MessageId._make, zip(repeat(self._crypto.peer), repeat(log), count(number), cut)))

    def pending_bytes(self, room: RoomId) -> int:
        """Bytes of our own events of the room that are not durable yet; `send` waits above PENDING_BYTES_MAX."""
        waiting = self._waiting.get(room)
        return 0 if waiting is None else waiting.size_bytes

    def has_room(self, room: RoomId) -> bool:
        """Whether more may be posted now."""
        return self.pending_bytes(room) < PENDING_BYTES_MAX

    def is_pending(self, room: RoomId) -> bool:
        """Whether anything of ours in the room is not durable yet."""
        return self.pending_bytes(room) > 0

    def sizes(self) -> tuple[Size, ...]:
        """Own events that wait for the disk: callers stop at the bound, so one of theirs may pass it."""
        waiting_bytes = max((waiting.size_bytes for waiting in self._waiting.values()), default=0)
        return (Size("waiting bytes of a room", waiting_bytes, PENDING_BYTES_MAX + BATCH_BYTES_MAX),)

    def _events(self, kind: int, bodies: Sequence[object], hlc: int, after: Sequence[Head]) -> list[bytes]:
        salts = self._salts(SALT_BYTES * len(bodies))
        size, kind = SALT_BYTES, int(kind)
        try:
            events = [
                encode_event(salts[start : start + size], hlc, kind, body)
                for start, body in zip(range(0, len(salts), size), bodies, strict=True)
            ]
            if after:
                events[0] = encode_event(salts[:size], hlc, kind, bodies[0], after)
        except UnicodeEncodeError:
            raise BadText("a text can't be encoded as UTF-8 (a lone surrogate)") from None
        except (TypeError, ValueError, OverflowError) as error:
            raise UsageError(f"this can't be said in an event: {error}") from None
        longest = max(map(len, events))
        if longest > EVENT_BYTES_MAX:
            raise MessageTooLarge(longest, EVENT_BYTES_MAX)
        return events

    def _salts(self, size_bytes: int) -> bytes:
        """So many random bytes; drawn in bulk, as each draw is a call to the system."""
        if len(self._pool) < size_bytes:
            self._pool = self._entropy(max(size_bytes, POOL_BYTES))
        salts, self._pool = self._pool[:size_bytes], self._pool[size_bytes:]
        return salts

    def _append(self, waiting: _Waiting, events: list[bytes]) -> list[bytes]:
        digests = self._crypto.event_digests(events)
        if not waiting.drafts:
            waiting.drafts.append(Draft())
        start = 0
        while start < len(events):
            start += _fill(waiting.drafts[-1], events, digests, start)
            if start < len(events):
                waiting.drafts.append(Draft())
        waiting.next += len(events)
        waiting.size_bytes += sum(map(len, events))
        return digests

    def _waiting_in(self, room: RoomId) -> _Waiting:
        waiting = self._waiting.get(room)
        if waiting is None:
            frontier = self._ledger.frontier(room, self._own_key())
            waiting = self._waiting[room] = _Waiting(0 if frontier is None else frontier.end)
        return waiting

    def _own_key(self) -> LogKey:
        return LogKey(self._crypto.peer, self._ledger.own_log)

    def _seen(self, room: RoomId) -> tuple[Head, ...]:
        """What others said since our last event, once: context for whoever reads the answer."""
        heads = self._heads.pop(room, None)
        return tuple(heads.values()) if heads else ()

    def _batches_stored(self, fact: BatchesStored, _at: Instant) -> None:
        for stored in fact.batches:
            if stored.peer is None:
                continue
            heads = self._heads.setdefault(stored.batch.room, {})
            heads.pop(stored.key.author, None)
            heads[stored.key.author] = Head(stored.key.author, stored.key.log, stored.batch.end)
            if len(heads) > AFTER_HEADS_MAX:
                del heads[next(iter(heads))]

    # Committing --------------------------------------------------------------------------------

    def contribute(self, group: Group, at: Instant) -> None:
        """Seal what waits, at most BATCHES_AT_ONCE_MAX batches a room."""
        self._commit_wanted = False
        for room, waiting in list(self._waiting.items()):
            if waiting.drafts:
                self._own_log.contribute(group)
                self._seal(group, room, waiting, at)

    def _seal(self, group: Group, room: RoomId, waiting: _Waiting, at: Instant) -> None:
        key = self._own_key()
        for _ in range(BATCHES_AT_ONCE_MAX):
            if not waiting.drafts:
                return
            frontier = group.frontier(room, key)
            last = frontier.ranges[-1] if frontier is not None and frontier.ranges else None
            draft = waiting.drafts[0]
            batch = seal(
                room=room,
                log=key.log,
                first=waiting.first,
                previous=NO_DIGEST if last is None else last.head,
                sealed_at=self._clock.tick(at.wall_ms),
                events=draft.events,
                digests=draft.digests,
                crypto=self._crypto,
            )
            placement = group.place(batch, {})
            if placement.outcome is not Outcome.PLACED:
                group.notes += self._refuse(room, waiting, key.log, placement.outcome)
                return
            group.keep(batch, placement, None, live=True)
            waiting.drafts.popleft()
            waiting.sealed = True
            waiting.first = batch.end

    def _refuse(self, room: RoomId, waiting: _Waiting, log: int, outcome: Outcome) -> list[Effect | Fact]:
        """There is no place for what waits: it is given up, but for what the group holds already."""
        why = f"it has no place in our log ({outcome.value})"
        if outcome is Outcome.LOGS_FULL:
            why = f"this identity has begun {LOGS_PER_AUTHOR_MAX} logs in the room, the most that every node keeps"
        lost = self._given_up(room, waiting, log)
        if waiting.sealed:
            waiting.size_bytes -= sum(len(event) for draft in waiting.drafts for event in draft.events)
            waiting.drafts.clear()
            waiting.next = waiting.first
        else:
            del self._waiting[room]
        told = _told_lost(lost, full=False, detail=why)
        if room not in self._refused:
            self._refused.add(room)
            name = self._ledger.rooms[room].name
            told.append(Notice(text=f"nothing more can be said in room {name}: {why}; a new home can speak there"))
        return told

    def committed(self, group: Group, _at: Instant) -> list[Effect | Fact]:
        """Our batches are durable: their numbers are told, and the room has space again."""
        self._own_log.committed()
        effects: list[Effect | Fact] = []
        for stored in group.stored:
            batch = stored.batch
            if stored.peer is not None:
                continue
            effects.append(OwnStored(room=batch.room, log=batch.log, first=batch.first, end=batch.end))
            waiting = self._waiting.get(batch.room)
            if waiting is not None and waiting.sealed:
                waiting.size_bytes -= sum(map(len, batch.events))
        for room, waiting in list(self._waiting.items()):
            waiting.sealed = False
            if not waiting.drafts:
                del self._waiting[room]
        return effects

    def failed(self, group: Group, full: bool, detail: str, _at: Instant) -> list[Effect | Fact]:
        """Our batches are not kept, and what waits behind them is given up with them."""
        self._own_log.failed()
        lost = [(b.room, b.log, b.first, b.end) for b, _key, peer in group.stored if peer is None]
        for room, waiting in list(self._waiting.items()):
            if waiting.sealed:
                lost += self._given_up(room, waiting, self._ledger.own_log)
                del self._waiting[room]
        return _told_lost(lost, full=full, detail=detail)

    def _log_changed(self, old_log: int, reason: str) -> list[Effect | Fact]:
        """Another log number was drawn: what waits under the old one is given up, what is under way is not."""
        lost = [part for room, waiting in self._waiting.items() for part in self._given_up(room, waiting, old_log)]
        self._waiting.clear()
        return _told_lost(lost, full=False, detail=f"a new log was begun ({reason}): send it again")

    def _given_up(self, room: RoomId, waiting: _Waiting, log: int) -> list[tuple[RoomId, int, int, int]]:
        return [(room, log, waiting.first, waiting.next)] if waiting.first < waiting.next else []


def _told_lost(lost: Sequence[tuple[RoomId, int, int, int]], *, full: bool, detail: str) -> list[Effect | Fact]:
    told: list[Effect | Fact] = []
    for room, log, first, end in lost:
        told.append(OwnFailed(room=room, log=log, first=first, end=end, full=full, detail=detail))
        told.append(OwnGivenUp(room=room))
    return told


def _fill(draft: Draft, events: list[bytes], digests: list[bytes], start: int) -> int:
    """Put as many events as fit into the draft; how many did."""
    end = min(len(events), start + BATCH_EVENTS_MAX - len(draft.events))
    part = events[start:end]
    # An upper bound, as taking a thousand at once costs a tenth of taking each by itself.
    size_bytes = draft.size_bytes + sum(map(len, part)) + len(part) * _EVENT_COST_BOUND
    if size_bytes <= BATCH_BYTES_MAX:
        draft.events += part
        draft.digests += digests[start:end]
        draft.size_bytes = size_bytes
        return len(part)
    for index in range(start, end):
        if not draft.add(events[index], digests[index]):
            return index - start
    return end - start


def _no_prefaces(_room: RoomId) -> Sequence[tuple[int, object]]:
    return ()
