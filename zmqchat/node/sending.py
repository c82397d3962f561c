"""Waiting for one's own messages: until they are durable here, and until others have them.

Numbers of a log become durable in order, so the waiters of a log are a queue: an outcome resolves from its
head. What waits for others is looked at again whenever their acknowledgements change.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import TYPE_CHECKING, Final

from zmqchat.model.errors import NotStored, StoreFull
from zmqchat.model.ids import MessageId, RoomId
from zmqchat.node.values import Peer
from zmqchat.protocol.data_effects import OwnFailed, OwnStored

if TYPE_CHECKING:
    from zmqchat.node.room import Room

GIVEN_UP_RANGES_MAX: Final = 64
"""Ranges of numbers given up that are remembered a log; older ones are joined, which costs a look into the store."""

POSTED_ANEW_MAX: Final = 65_536
"""Numbers a log that were given up and posted anew, whose digests are remembered; older ones count as given up."""

UNTIL: Final = ("stored", "held", "delivered", "read")


class Sent:
    """A message that is stored here; who has it, is looked up when asked.

    That others have it is their word. It is taken back where this log turns out to have two histories (a copied home
    that did not look like one): then they count again once they have both.

    id         its id, the same on every node
    delivered  the members that have it on their disk, as far as they have told
    keepers    nodes that are not in the room, and have it on their disk for those who are
    held       both: whoever has it, so that this node may be switched off
    pending    members that were live when it was stored and have not told that they have it
    read       the members that told that they have read it
    """

    __slots__ = ("_room", "id")

    def __init__(self, room: Room, message: MessageId) -> None:
        self._room = room
        self.id = message

    @property
    def delivered(self) -> tuple[Peer, ...]:
        """The members that have it on their disk."""
        return self._room.receipts_of(self.id).delivered

    @property
    def held(self) -> tuple[Peer, ...]:
        """All that have it on their disk, members and keepers, so that this node may be switched off."""
        receipts = self._room.receipts_of(self.id)
        return (*receipts.delivered, *receipts.keepers)

    @property
    def keepers(self) -> tuple[Peer, ...]:
        """Nodes that are not in the room and have it on their disk for those who are."""
        return self._room.receipts_of(self.id).keepers

    @property
    def pending(self) -> tuple[Peer, ...]:
        """Members that were live when it was stored and have not got it yet."""
        return self._room.receipts_of(self.id).pending

    @property
    def read(self) -> tuple[Peer, ...]:
        """Members that have read it."""
        return self._room.receipts_of(self.id).read

    def __repr__(self) -> str:
        return f"<Sent {self.id.number} in {self._room.name!r}>"


class Posting(Awaitable[Sent]):
    """A message on its way to the disk: `id` is known at once, awaiting gives its `Sent` once it is durable.

    Awaiting may be cancelled and repeated: it is the same message.
    """

    __slots__ = ("_room", "id")

    def __init__(self, room: Room, message: MessageId) -> None:
        self._room = room
        self.id = message

    def __await__(self) -> Generator[object, None, Sent]:
        return self._room.stored(self.id).__await__()


class StoredMarks:
    """How far each of our logs is durable, and who waits for that.

    A number that was given up names another message once it is posted anew: then the digest of that one is kept,
    and tells the two apart. `is_known` is false for what was given up, as it is for ids of earlier runs, and the
    store must be asked.
    """

    def __init__(self) -> None:
        self._firsts: dict[tuple[RoomId, int], int] = {}
        self._posted: dict[tuple[RoomId, int], int] = {}
        self._ends: dict[tuple[RoomId, int], int] = {}
        self._given_up: dict[tuple[RoomId, int], list[tuple[int, int]]] = {}
        self._anew: dict[tuple[RoomId, int], dict[int, bytes]] = {}
        self._failures: dict[RoomId, int] = {}
        self._failed_firsts: dict[tuple[RoomId, int], deque[tuple[int, int]]] = {}
        self._errors: dict[tuple[RoomId, int], tuple[bool, str, str]] = {}
        self._waiting: dict[tuple[RoomId, int], deque[tuple[int, asyncio.Future[None]]]] = {}

    def posted(self, room: RoomId, messages: Sequence[MessageId]) -> None:
        """These, one or more that follow each other, have been accepted in this run."""
        first, end = messages[0].number, messages[-1].number + 1
        place = (room, messages[0].log)
        self._firsts.setdefault(place, first)
        self._posted[place] = end
        if self._given_up.get(place):
            self._note_anew(place, first, messages)

    def is_known(self, room: RoomId, message: MessageId) -> bool:
        """Whether the number alone tells which message of this run it is."""
        place, number = (room, message.log), message.number
        if not self._firsts.get(place, number + 1) <= number < self._posted.get(place, 0):
            return False
        if any(first <= number < end for first, end in self._given_up.get(place, ())):
            return False
        return self._anew.get(place, {}).get(number, message.digest8) == message.digest8

    def failures(self, room: RoomId) -> int:
        """How often something of this room was given up."""
        return self._failures.get(room, 0)

    def was_given_up_since(self, room: RoomId, message: MessageId, failures: int) -> bool:
        """Whether this message, which was on its way or stored when `failures` was asked, was given up since."""
        firsts = self._failed_firsts.get((room, message.log))
        if firsts is None:
            return False
        if len(firsts) == GIVEN_UP_RANGES_MAX and firsts[0][0] > failures + 1:
            return True  # what is not remembered is taken for lost: the store is asked for it
        return any(count > failures and first <= message.number for count, first in firsts)

    def why_given_up(self, room: RoomId, message: MessageId) -> NotStored | None:
        """What was wrong when numbers of this log were given up last; None where none were."""
        reason = self._errors.get((room, message.log))
        if reason is None:
            return None
        full, detail, home = reason
        return StoreFull(home) if full else NotStored(detail)

    def stored_below(self, room: RoomId, message: MessageId) -> int:
        """The number below which what was posted with and after this message is durable; 0 where it is not known."""
        if not self.is_known(room, message):
            return 0
        place = (room, message.log)
        given_up = [first for first, _end in self._given_up.get(place, ()) if first > message.number]
        return min([self._ends.get(place, 0), *given_up])

    def is_stored(self, room: RoomId, message: MessageId) -> bool:
        """Whether the message of this number is durable here; the caller knows that its own was not given up."""
        return message.number < self._ends.get((room, message.log), 0)

    def wait(self, room: RoomId, message: MessageId) -> asyncio.Future[None]:
        """A future that is done when the message is durable, or raises NotStored."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault((room, message.log), deque())
        index = len(waiting)
        while index and waiting[index - 1][0] > message.number:
            index -= 1
        waiting.insert(index, (message.number, future))
        return future

    def stored(self, effect: OwnStored) -> None:
        """Everything of this log below `end` is durable."""
        place = (effect.room, effect.log)
        self._ends[place] = max(effect.end, self._ends.get(place, 0))
        waiting = self._waiting.get(place)
        if waiting is None:
            return
        while waiting and waiting[0][0] < effect.end:
            future = waiting.popleft()[1]
            if not future.done():
                future.set_result(None)
        if not waiting:
            del self._waiting[place]

    def failed(self, effect: OwnFailed, home: str) -> None:
        """These numbers were given up; the same numbers may name other messages later."""
        place = (effect.room, effect.log)
        error = StoreFull(home) if effect.full else NotStored(effect.detail)
        self._note_given_up(place, effect.first, effect.end)
        self._failures[effect.room] = self._failures.get(effect.room, 0) + 1
        firsts = self._failed_firsts.setdefault(place, deque(maxlen=GIVEN_UP_RANGES_MAX))
        firsts.append((self._failures[effect.room], effect.first))
        self._errors[place] = (effect.full, effect.detail, home)
        waiting = self._waiting.get(place, deque())
        keep: deque[tuple[int, asyncio.Future[None]]] = deque()
        for number, future in waiting:
            if not effect.first <= number < effect.end:
                keep.append((number, future))
            elif not future.done():
                future.set_exception(error)
                future.exception()  # nobody may ever await a posting: that is no unhandled error
        self._waiting[place] = keep

    def _note_given_up(self, place: tuple[RoomId, int], first: int, end: int) -> None:
        ranges = self._given_up.setdefault(place, [])
        if ranges and first <= ranges[-1][1] and end >= ranges[-1][0]:
            first, end = min(first, ranges[-1][0]), max(end, ranges[-1][1])
            ranges.pop()
        ranges.append((first, end))
        self._bound_given_up(place)

    def _bound_given_up(self, place: tuple[RoomId, int]) -> None:
        ranges = self._given_up[place]
        while len(ranges) > GIVEN_UP_RANGES_MAX:
            (low, low_end), (high, high_end) = ranges[0], ranges[1]
            ranges[:2] = [(min(low, high), max(low_end, high_end))]

    def _note_anew(self, place: tuple[RoomId, int], first: int, messages: Sequence[MessageId]) -> None:
        """What is posted now has numbers that may have been given up: those name these messages from now on."""
        end, keep = first + len(messages), []
        anew = self._anew.setdefault(place, {})
        for low, high in self._given_up[place]:
            for number in range(max(low, first), min(high, end)):
                anew[number] = messages[number - first].digest8
            keep += [(a, b) for a, b in ((low, min(high, first)), (max(low, end), high)) if a < b]
        self._given_up[place] = keep
        while len(anew) > POSTED_ANEW_MAX:
            oldest = next(iter(anew))
            del anew[oldest]
            self._given_up[place].insert(0, (oldest, oldest + 1))
        self._bound_given_up(place)

    def fail_all(self, error: Exception) -> None:
        """The node stops: nobody waits any longer."""
        for waiting in self._waiting.values():
            for _number, future in waiting:
                if not future.done():
                    future.set_exception(error)
                    future.exception()
        self._waiting.clear()


class ReceiptWaiters:
    """Who waits until others have a message; each waiter is asked again on every change of its room."""

    def __init__(self) -> None:
        self._waiting: dict[RoomId, list[tuple[Callable[[], bool], asyncio.Future[None]]]] = {}

    def wait(self, room: RoomId, is_true: Callable[[], bool]) -> asyncio.Future[None]:
        """A future that is done when the condition holds."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(room, []).append((is_true, future))
        return future

    def changed(self, room: RoomId) -> None:
        """Look again at what waits in this room."""
        waiting = self._waiting.pop(room, None)
        if not waiting:
            return
        still = []
        for is_true, future in waiting:
            if future.done():
                continue
            if is_true():
                future.set_result(None)
            else:
                still.append((is_true, future))
        if still:
            self._waiting[room] = still

    def rooms(self) -> list[RoomId]:
        """Rooms in which somebody waits."""
        return list(self._waiting)

    def fail_all(self, error: Exception) -> None:
        """The node stops."""
        for waiting in self._waiting.values():
            for _condition, future in waiting:
                if not future.done():
                    future.set_exception(error)
                    future.exception()
        self._waiting.clear()
