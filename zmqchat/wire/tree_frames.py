"""The frames of the tree by which batches go through a partial mesh, and of what is told back along it.

`Relay` is its type byte, the links travelled, and the batch itself, so that relaying packs nothing.
A batch is named by the first 16 bytes of its signature, which are the last thing in it that anybody can choose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from zmqchat.model.ids import PeerId, RoomId
from zmqchat.model.limits import FRAME_BYTES_MAX, HOLDERS_PER_FRAME_MAX, TREE_ENTRIES_PER_FRAME_MAX, TREE_HOPS_MAX
from zmqchat.wire.codec import BRANCH, NUMBER, PEER, ROOM, U64, Codec, Frame
from zmqchat.wire.fields import fixed, integer, many, record

TREE_ID_BYTES: Final = 16
NO_TREE_ID: Final = bytes(TREE_ID_BYTES)
"""In a Graft: no batch is asked for, only the place in the tree."""

_SIGNATURE_BYTES: Final = 64


class Announced(NamedTuple):
    """A batch that the sender has or can get, and over how many links it came to the sender."""

    id: bytes
    hops: int


class Holder(NamedTuple):
    """Somebody who has everything below `end` on its disk."""

    peer: PeerId
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay(Frame):
    """A live batch on its way through the mesh; `hops` counts the links that it has passed, this one included."""

    hops: int
    batch: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class IHave(Frame):
    """Batches of a room that the sender does not send over this link unless asked to."""

    room: RoomId
    entries: tuple[Announced, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Graft(Frame):
    """Send me this room's batches from now on, and this one again (none where it is NO_TREE_ID)."""

    room: RoomId
    id: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld(Frame):
    """The batch that a Graft asked for is not sent: it is gone here, or too much is under way to who asked."""

    room: RoomId
    id: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune(Frame):
    """Send me no batches of this room any more, only say what there is."""

    room: RoomId


@dataclass(frozen=True, slots=True, kw_only=True)
class Holders(Frame):
    """Who has an author's log on its disk, gathered on the way to the author."""

    room: RoomId
    author: PeerId
    log: int
    branch: bytes
    holders: tuple[Holder, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken(Frame):
    """The receiver of this frame has sent so many bytes of RELAY frames over this link that were read."""

    size_bytes: int


RELAY_BYTE: Final = 34
RELAY_HEAD_BYTES: Final = 2
_id = fixed(TREE_ID_BYTES)
CODECS: Final[dict[int, Codec]] = {
    35: Codec(
        IHave,
        (ROOM, many(record(Announced, _id, integer(TREE_HOPS_MAX)), TREE_ENTRIES_PER_FRAME_MAX)),
        FRAME_BYTES_MAX,
    ),
    36: Codec(Graft, (ROOM, _id), 256),
    37: Codec(Prune, (ROOM,), 256),
    38: Codec(
        Holders,
        (ROOM, PEER, NUMBER, BRANCH, many(record(Holder, PEER, NUMBER), HOLDERS_PER_FRAME_MAX)),
        FRAME_BYTES_MAX,
    ),
    39: Codec(Taken, (U64,), 256),
    60: Codec(Withheld, (ROOM, _id), 256),
}


def relay_frame(hops: int, batch: bytes) -> bytes:
    """The bytes of a Relay."""
    return bytes((RELAY_BYTE, hops)) + batch


def tree_id(batch: bytes) -> bytes:
    """What a batch is called in announcements."""
    start = len(batch) - _SIGNATURE_BYTES
    return batch[start : start + TREE_ID_BYTES] if start >= 0 else b""
