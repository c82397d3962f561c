"""Messages as programs see them: views on stored batches, decoded when looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, overload

from zmqchat.model.events import Event, Kind
from zmqchat.model.faults import Fault
from zmqchat.model.ids import LogKey, MessageId, PeerId
from zmqchat.node.values import Peer
from zmqchat.wire.batches import HEADER, unpack_batch
from zmqchat.wire.events import body_text, decode_event

if TYPE_CHECKING:
    from zmqchat.node.room import Room

_KIND_NAMES = {int(kind): kind.name.lower() for kind in Kind}

TimelinePlace = tuple[int, bytes, int, int]
"""Where a message's batch stands: sealed_at, author (8 B), log, first. Branches of one log may tie."""


def event_at(raw: bytes, number: int) -> bytes | None:
    """The event of this number in a stored batch; None where the batch has none of it."""
    parts = unpack_batch(raw)
    if isinstance(parts, Fault):
        return None
    index = number - HEADER.unpack(parts[0])[5]
    return parts[1][index] if 0 <= index < len(parts[1]) else None


class Message:
    """One thing said in a room.

    live       pushed as it was said, or sealed after this node was up to date: never history
    backfill   fills what a Gap told of earlier
    """

    __slots__ = (
        "_digest8",
        "_event",
        "_key",
        "_number",
        "_position",
        "_raw",
        "backfill",
        "live",
        "room",
        "timeline_place",
    )

    def __init__(
        self, room: Room, key: LogKey, number: int, raw: bytes, position: int | None, *, live: bool, backfill: bool
    ) -> None:
        self.room = room
        self.live = live
        self.backfill = backfill
        self.timeline_place: TimelinePlace | None = None
        self._key = key
        self._number = number
        self._raw = raw
        self._position = position
        self._event: Event | None = None
        self._digest8: bytes | None = None

    @property
    def id(self) -> MessageId:
        """The same on every node; `str(message.id)` is its text form."""
        if self._digest8 is None:
            self._digest8 = self.room.node_digest(self._raw)[:8]
        return MessageId(self._key.author, self._key.log, self._number, self._digest8)

    @property
    def author(self) -> Peer:
        """Who said it, under the name that went with it at that time."""
        return self.room.author_at(self._key.author, self.event.hlc)

    @property
    def id_number(self) -> int:
        """The number of the event in its log."""
        return self._number

    @property
    def author_id(self) -> PeerId:
        """The author's peer id, without looking up a name."""
        return self._key.author

    @property
    def event(self) -> Event:
        """The decoded event; an undecodable one has kind 0 and no body."""
        if self._event is None:
            decoded = decode_event(self._raw)
            if not isinstance(decoded, Event):
                decoded = Event(salt=bytes(16), hlc=0, kind=0, body=None)
            self._event = decoded
        return self._event

    @property
    def text(self) -> str | None:
        """What a person reads; None for what is no text."""
        return body_text(self.event)

    @property
    def kind(self) -> str:
        """The kind's name in lower case, "newer" for one that this version does not know."""
        return _KIND_NAMES.get(self.event.kind, "newer")

    @property
    def content_type(self) -> str | None:
        """The content type of an app message, else None."""
        body = self.event.body
        return body[0] if self.event.kind == Kind.APP and isinstance(body, list | tuple) else None

    @property
    def value(self) -> object:
        """The value of an app message, else None."""
        body = self.event.body
        return body[1] if self.event.kind == Kind.APP and isinstance(body, list | tuple) else None

    @property
    def sent_at(self) -> datetime:
        """When its author said it, by the author's clock, in UTC."""
        milliseconds = min(self.event.hlc >> 16, 253402300799999)
        return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)

    @property
    def cursor(self) -> str | None:
        """Where to resume after this message: `messages(after=cursor)`; None from `history`."""
        return None if self._position is None else self.room.cursor_text(self._position + 1)

    def mark_read(self) -> None:
        """Move this home's read position of the room past this message."""
        self.room.mark_read(self._key, self._number + 1)
        if self.backfill and self._position is not None:
            self.room.mark_late_read(self._position)

    def __repr__(self) -> str:
        text = self.text
        shown = "" if text is None else f" {text[:40]!r}"
        return f"<Message {self.kind} {self._number} in {self.room.name!r}{shown}>"


class Gap:
    """A part of one author's log that is missing here, at its place in the order of arrival.

    author    whose
    first, end  which numbers: [first, end)
    position    its arrival number
    """

    __slots__ = ("author", "end", "first", "position", "room")

    def __init__(self, room: Room, author: Peer, first: int, end: int, position: int) -> None:
        self.room = room
        self.author = author
        self.first = first
        self.end = end
        self.position = position

    text = None
    live = False
    kind = "gap"

    @property
    def holders(self) -> list[Peer]:
        """Who may have it: the peers in touch that are in the room."""
        return self.room.peers()

    @property
    def cursor(self) -> str:
        """Where to resume after this gap."""
        return self.room.cursor_text(self.position + 1)

    def __repr__(self) -> str:
        return f"<Gap {self.end - self.first} of {self.author.name!r} in {self.room.name!r}>"


class Block(Sequence[Message]):
    """Messages of one batch, made when looked at: what `blocks()` gives to programs in a hurry."""

    __slots__ = ("_backfill", "_events", "_first_position", "_key", "_live", "_numbers", "room")

    def __init__(
        self,
        room: Room,
        key: LogKey,
        events: list[bytes],
        numbers: Sequence[int],
        first_position: int | None,
        *,
        live: bool,
        backfill: bool,
    ) -> None:
        """`first_position` is the arrival number of log number 0 of this row, None outside of arrivals."""
        self.room = room
        self._key = key
        self._events = events
        self._numbers = numbers
        self._first_position = first_position
        self._live = live
        self._backfill = backfill

    @property
    def key(self) -> LogKey:
        """The log that all its messages are of."""
        return self._key

    @property
    def end_number(self) -> int:
        """The log number after the last message's."""
        return self._numbers[-1] + 1

    def position(self, index: int) -> int:
        """The arrival number of a message of a block that came from a cursor."""
        return (self._first_position or 0) + self._numbers[index]

    def __len__(self) -> int:
        return len(self._events)

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Message]: ...
    def __getitem__(self, index: int | slice) -> Message | Sequence[Message]:
        if isinstance(index, slice):
            return [self._message(i) for i in range(*index.indices(len(self._events)))]
        return self._message(range(len(self._events))[index])

    def __iter__(self) -> Iterator[Message]:
        return map(self._message, range(len(self._events)))

    def _message(self, index: int) -> Message:
        number = self._numbers[index]
        position = None if self._first_position is None else self._first_position + number
        event = self._events[index]
        return Message(self.room, self._key, number, event, position, live=self._live, backfill=self._backfill)
