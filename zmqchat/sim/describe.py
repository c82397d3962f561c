"""Facts, effects and frames as one line for people: peers by their nodes, logs by letters, batches by their texts.

`node1/a` is the first log of node 1 that a line named, `node1/b` the second. What a value mentions of one message is
found in the same walk, so that a trace of a single message shows the acknowledgements and requests that cover it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Final

from zmqchat.history.batch import BatchHeader, peek
from zmqchat.model.addresses import Endpoint
from zmqchat.model.ids import PEER_ID_BYTES, ROOM_ID_BYTES, LogKey, MessageId, RoomId
from zmqchat.protocol.effects import (
    AnswerDoor,
    Deliver,
    DialDoor,
    DropBatch,
    Effect,
    PublishFeed,
    PutArrival,
    PutBatch,
    PutFrontier,
    PutRow,
    Send,
    SendDoor,
)
from zmqchat.protocol.facts import DoorAnswered, DoorKnocked, Fact, FeedReceived, FrameReceived, RangeLoaded
from zmqchat.sim.world import World
from zmqchat.wire.frames import Have, HaveEntry, Page, Push, decode

TEXT_CHARACTERS_MAX: Final = 24
_FRAMED: Final = (
    AnswerDoor,
    DialDoor,
    DoorAnswered,
    DoorKnocked,
    FeedReceived,
    FrameReceived,
    PublishFeed,
    Send,
    SendDoor,
)
_HIDDEN: Final = frozenset({"payload", "raw", "value", "instance", "nonce", "signature", "hash", "store", "caller"})


def frame_of(what: Fact | Effect) -> object | None:
    """The frame that it carries, decoded; None where it carries none."""
    return decode(what.payload) if isinstance(what, _FRAMED) else None


def batches_of(what: Fact | Effect) -> Iterator[bytes]:
    """The batches, byte for byte, that it carries."""
    frame = frame_of(what)
    if isinstance(frame, Push) or hasattr(frame, "batch"):
        yield frame.batch
    elif isinstance(frame, Page):
        yield from frame.batches
    elif isinstance(what, RangeLoaded):
        yield from what.batches
    elif isinstance(what, Deliver) and what.raw is not None:
        yield what.raw
    for write in getattr(what, "writes", ()):
        if isinstance(write, PutBatch):
            yield write.raw


def carries(raw: bytes, message: MessageId) -> bool:
    """Whether this batch holds the message."""
    header = peek(raw)
    if not isinstance(header, BatchHeader):
        return False
    return (header.author, header.log) == message[:2] and header.first <= message.number < header.end


class Describer:
    """Puts what happens in one world into words."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._logs: dict[tuple[bytes, int], str] = {}
        self._count: dict[bytes, int] = {}

    def line(self, what: Fact | Effect) -> str:
        """What it is and what it says."""
        frame = frame_of(what)
        parts = [type(what).__name__, *self._parts(what)]
        if frame is not None:
            parts += ["|", type(frame).__name__, *self._parts(frame)]
        return " ".join(parts)

    def mentions(self, what: Fact | Effect, message: MessageId) -> bool:
        """Whether it carries this message, or says something of the part of the log that holds it."""
        if any(carries(raw, message) for raw in batches_of(what)):
            return True
        frame = frame_of(what)
        return any(_says_of(value, message) for value in (what, frame) if value is not None)

    # Words -------------------------------------------------------------------------------------------

    def peer(self, peer: bytes) -> str:
        """A node's name by its peer id."""
        number = self._world.number_of(peer)  # type: ignore[arg-type]  # an id of nobody is asked for too
        return f"node{number}" if number is not None else f"stranger {peer[:4].hex()}"

    def log(self, author: bytes, log: int, branch: bytes = b"") -> str:
        """A log's name, with its branch where that is not the main one."""
        name = self._logs.get((author, log))
        if name is None:
            count = self._count[author] = self._count.get(author, 0) + 1
            name = self._logs[author, log] = f"{self.peer(author)}/{_letters(count)}"
        return f"{name}:{branch[:2].hex()}" if any(branch) else name

    def batch(self, raw: bytes) -> str:
        """A batch: its log, its numbers, its first text."""
        header = peek(raw)
        if not isinstance(header, BatchHeader):
            return f"{len(raw)} B"
        said = self._world.texts.of(raw)
        text = f" {_short(said[0].text)!r}" if said else ""
        return f"{self.log(header.author, header.log)}[{header.first},{header.end}){text}"

    def _parts(self, value: object) -> Iterator[str]:
        names = [field.name for field in fields(value)] if is_dataclass(value) else []
        is_log = {"author", "log"} <= set(names)
        for name in names:
            inner = getattr(value, name)
            if is_log and name in ("author", "log", "branch"):
                if name == "author":
                    yield self.log(inner, getattr(value, "log"), getattr(value, "branch", b""))  # noqa: B009  # its type is not known
            elif name == "batch":
                yield self.batch(inner)
            elif name == "batches":
                yield " ".join(self.batch(raw) if isinstance(raw, bytes) else "batch" for raw in inner) or "nothing"
            elif name not in _HIDDEN:
                yield f"{name}={self._value(inner)}"

    def _value(self, value: Any) -> str:
        if isinstance(value, bytes):
            return self._bytes(value)
        if isinstance(value, str):
            return _short(value)
        if isinstance(value, LogKey):
            return self.log(value.author, value.log, value.branch)
        if isinstance(value, HaveEntry):
            return f"{self.log(value.author, value.log, value.branch)}<{value.end}"
        if isinstance(value, Endpoint):
            return f"{value.host}:{value.door}"
        if isinstance(value, PutBatch):
            return self.batch(value.raw)
        if isinstance(value, DropBatch):
            return f"drop {self._value(value.key)}[{value.first},{value.end})"
        if isinstance(value, PutArrival):
            return f"arrival {value.number} {self._value(value.key)}[{value.first},{value.end})"
        if isinstance(value, PutFrontier):
            return f"frontier {self._value(value.key)}"
        if isinstance(value, PutRow):
            return f"row {value.table}"
        if isinstance(value, frozenset | set):
            return "{" + " ".join(sorted(map(self._value, value))) + "}"
        if isinstance(value, tuple | list):
            return "(" + " ".join(map(self._value, value)) + ")"
        return str(value)

    def _bytes(self, value: bytes) -> str:
        if len(value) == PEER_ID_BYTES:
            return self.peer(value)
        if len(value) == ROOM_ID_BYTES:
            return self._world.watch.rooms.get(RoomId(value), value[:4].hex())
        return value.hex() if len(value) <= 8 else f"{len(value)} B"


def _says_of(value: object, message: MessageId) -> bool:
    """Whether a fact, effect or frame names a part of a log that holds the message."""
    if isinstance(value, Have):
        return any((e.author, e.log) == message[:2] and e.end > message.number for e in value.entries)
    arrival = getattr(value, "arrival", None)
    if arrival is not None:
        return bool(arrival.key[:2] == message[:2] and arrival.first <= message.number < arrival.end)
    key = getattr(value, "key", None)
    author, log = key[:2] if isinstance(key, LogKey) else (getattr(value, "author", None), getattr(value, "log", None))
    if log != message.log or author not in (None, message.author):
        return False
    first, end = getattr(value, "first", 0), getattr(value, "end", None)
    return end is not None and first <= message.number < end


def _letters(number: int) -> str:
    """1 is a, 26 is z, 27 is aa."""
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return letters


def _short(text: str) -> str:
    return text if len(text) <= TEXT_CHARACTERS_MAX else text[: TEXT_CHARACTERS_MAX - 1] + "…"
