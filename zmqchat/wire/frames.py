"""Frames: what two nodes say to each other, as objects and as bytes.

A frame is one type byte and a MessagePack array of the fields in the order of the class. Fields that a
later version appends are ignored, frame types that it adds decode to `UnknownFrame`: both are skipped,
never fatal. `Push` is the type byte and the batch itself. What does not decode is a `Fault`. The frames of
parts that came later stand in files of their own, each with its `CODECS`, and are joined into the table here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple, TypeVar

from zmqchat.model.addresses import Endpoint
from zmqchat.model.faults import Fault
from zmqchat.model.ids import MESH_ID_BYTES, ROOM_ID_BYTES, MeshId, PeerId, RoomId
from zmqchat.model.limits import (
    DOOR_FRAME_BYTES_MAX,
    FRAME_BYTES_MAX,
    LOGS_PER_AUTHOR_MAX,
    RANGES_MAX,
    ROOMS_MAX,
    SUMMARY_ENTRIES_MAX,
)
from zmqchat.wire.codec import BRANCH, DIGEST, NONCE, NUMBER, PEER, ROOM, SIGNATURE, U64, Codec
from zmqchat.wire.codec import Frame as Frame
from zmqchat.wire.fields import binary, endpoint, fixed, flag, integer, many, record, string
from zmqchat.wire.gap_frames import CODECS as GAP_CODECS
from zmqchat.wire.overlay_frames import CODECS as OVERLAY_CODECS
from zmqchat.wire.packing import Malformed, pack, unpack
from zmqchat.wire.roster_frames import CODECS as ROSTER_CODECS
from zmqchat.wire.survey_frames import CODECS as SURVEY_CODECS
from zmqchat.wire.tree_frames import CODECS as TREE_CODECS
from zmqchat.wire.tree_frames import RELAY_BYTE, Relay, relay_frame

ENDPOINTS_DECODED_MAX: Final = 1_000
"""Endpoints that a HELLO may name and still be read; admission keeps the first 8."""
PEER_ENTRIES_MAX: Final = 256
PAGE_BATCHES_MAX: Final = 2_048
REPORT_LINES_MAX: Final = 64


class PeerEntry(NamedTuple):
    """A peer, whether the sender is linked to it, and where it may be."""

    peer: PeerId
    linked: bool
    endpoints: tuple[Endpoint, ...]


class HaveEntry(NamedTuple):
    """The holder has everything of this log below `end`."""

    author: PeerId
    log: int
    branch: bytes
    end: int


class LogFloor(NamedTuple):
    """Nothing of this log of the receiver is held below `floor`."""

    log: int
    floor: int


class RoomHash(NamedTuple):
    """The hash of what the sender holds of a room."""

    room: RoomId
    hash: bytes


class RangeState(NamedTuple):
    """A range [first, end) of a log, its last batch's digest and its first batch's `previous`."""

    first: int
    end: int
    head: bytes
    previous: bytes


class LogState(NamedTuple):
    """What the sender holds of a log."""

    author: PeerId
    log: int
    branch: bytes
    floor: int
    ranges: tuple[RangeState, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello(Frame):
    """A caller at the door: who it is, and which instance of it."""

    versions: tuple[int, ...]
    features: tuple[str, ...]
    peer: PeerId
    mesh: MeshId
    instance: bytes
    store: bytes
    generation: int
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome(Frame):
    """The caller may open direct and feed; `observed` is the caller's host as the answerer sees it."""

    version: int
    features: tuple[str, ...]
    peer: PeerId
    hello_instance: bytes
    instance: bytes
    store: bytes
    generation: int
    endpoints: tuple[Endpoint, ...]
    observed: str
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Frame):
    """The caller may not, and why: a fixed word and a line for a person."""

    reason: str
    detail: str
    versions: tuple[int, ...]
    peer: PeerId
    hello_instance: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Link(Frame):
    """The first frame on a DEALER: this connection is the sender's link."""

    instance: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked(Frame):
    """The answer to Link: the link works in both directions."""

    instance: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping(Frame):
    """A question for a sign of life, with the sender's wall clock in milliseconds."""

    token: int
    wall_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pong(Frame):
    """The answer to Ping, with the answerer's wall clock in milliseconds."""

    token: int
    wall_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bye(Frame):
    """The sender stops."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers(Frame):
    """Peers that the sender knows."""

    entries: tuple[PeerEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interest(Frame):
    """All rooms that the sender is in; on the wire one run of bytes."""

    rooms: tuple[RoomId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeps(Frame):
    """All rooms that the sender is a keeper of, without being in them; on the wire one run of bytes."""

    rooms: tuple[RoomId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LetGo(Frame):
    """What the sender, a keeper, has let go of or never took of the receiver's logs in a room."""

    room: RoomId
    entries: tuple[LogFloor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate(Frame):
    """Another live node, of this instance, uses the receiver's identity."""

    instance: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Push(Frame):
    """A live batch over a link."""

    batch: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Have(Frame):
    """What `holder` has on its disk of some logs of a room."""

    room: RoomId
    holder: PeerId
    entries: tuple[HaveEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary(Frame):
    """The hash over the shared rooms; `reply` where it answers one and both differ."""

    exchange: int
    hash: bytes
    reply: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomHashes(Frame):
    """A hash a room; `final` on the last frame of the list."""

    exchange: int
    entries: tuple[RoomHash, ...]
    final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontiers(Frame):
    """The logs of a room that changed; `final` on the last frame of the room."""

    exchange: int
    room: RoomId
    entries: tuple[LogState, ...]
    final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Want(Frame):
    """Send what you have of [first, end) of this log, `credit` pages before I grant more."""

    request: int
    room: RoomId
    author: PeerId
    log: int
    branch: bytes
    first: int
    end: int
    credit: int
    newest_first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Frame):
    """Whole batches in answer to a Want; `done` where nothing follows."""

    request: int
    batches: tuple[bytes, ...]
    done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit(Frame):
    """So many more pages of this request may come."""

    request: int
    pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied(Frame):
    """The sender does not store this log, and why."""

    room: RoomId
    author: PeerId
    log: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquire(Frame):
    """What do you think of me? (`doctor PEER`)"""

    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Frame):
    """The answer to Inquire: lines of a name and a value."""

    token: int
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class UnknownFrame:
    """A frame of a later version: skipped."""

    type_byte: int


_versions = many(integer(255), 16)
_features = many(string(64), 32)
_endpoints = many(endpoint, ENDPOINTS_DECODED_MAX)


def _rooms(value: Any) -> tuple[RoomId, ...]:
    """All rooms as one run of bytes: 4,096 of them are more than an array may hold."""
    joined = binary(value)
    if len(joined) % ROOM_ID_BYTES or len(joined) > ROOMS_MAX * ROOM_ID_BYTES:
        raise Malformed("rooms")
    return tuple([RoomId(joined[at : at + ROOM_ID_BYTES]) for at in range(0, len(joined), ROOM_ID_BYTES)])


_range = record(RangeState, NUMBER, NUMBER, DIGEST, DIGEST)

_OWN: Final[dict[int, Codec]] = {
    1: Codec(
        Hello,
        (_versions, _features, PEER, fixed(MESH_ID_BYTES), NONCE, NONCE, U64, _endpoints),
        DOOR_FRAME_BYTES_MAX,
    ),
    2: Codec(
        Welcome,
        (integer(255), _features, PEER, NONCE, NONCE, NONCE, U64, _endpoints, string(255), SIGNATURE),
        DOOR_FRAME_BYTES_MAX,
    ),
    3: Codec(Refused, (string(32), string(256), _versions, PEER, NONCE, SIGNATURE), DOOR_FRAME_BYTES_MAX),
    16: Codec(Link, (NONCE,), 256),
    17: Codec(Linked, (NONCE,), 256),
    18: Codec(Ping, (U64, U64), 256),
    19: Codec(Pong, (U64, U64), 256),
    20: Codec(Bye, (string(64),), 256),
    21: Codec(Peers, (many(record(PeerEntry, PEER, flag, many(endpoint, 64)), PEER_ENTRIES_MAX),), FRAME_BYTES_MAX),
    22: Codec(Interest, (_rooms,), FRAME_BYTES_MAX),
    23: Codec(Duplicate, (NONCE,), 256),
    33: Codec(
        Have,
        (ROOM, PEER, many(record(HaveEntry, PEER, NUMBER, BRANCH, NUMBER), SUMMARY_ENTRIES_MAX)),
        FRAME_BYTES_MAX,
    ),
    40: Codec(Summary, (U64, NONCE, flag), 256),
    41: Codec(RoomHashes, (U64, many(record(RoomHash, ROOM, NONCE), SUMMARY_ENTRIES_MAX), flag), FRAME_BYTES_MAX),
    42: Codec(
        Frontiers,
        (
            U64,
            ROOM,
            many(record(LogState, PEER, NUMBER, BRANCH, NUMBER, many(_range, RANGES_MAX)), SUMMARY_ENTRIES_MAX),
            flag,
        ),
        FRAME_BYTES_MAX,
    ),
    43: Codec(Want, (U64, ROOM, PEER, NUMBER, BRANCH, NUMBER, U64, integer(65535), flag), 512),
    44: Codec(Page, (U64, many(binary, PAGE_BATCHES_MAX), flag), FRAME_BYTES_MAX),
    45: Codec(Credit, (U64, integer(65535)), 256),
    46: Codec(Denied, (ROOM, PEER, NUMBER, string(64)), 512),
    50: Codec(Inquire, (U64,), 256),
    51: Codec(Report, (U64, many(record(lambda *line: line, string(64), string(512)), REPORT_LINES_MAX)), 65536),
    59: Codec(Keeps, (_rooms,), FRAME_BYTES_MAX),
    61: Codec(LetGo, (ROOM, many(record(LogFloor, NUMBER, NUMBER), LOGS_PER_AUTHOR_MAX)), 8192),
}
_PUSH: Final = 32
_TABLES: Final = (_OWN, OVERLAY_CODECS, ROSTER_CODECS, SURVEY_CODECS, TREE_CODECS, GAP_CODECS)
_TABLE: Final = {byte: codec for table in _TABLES for byte, codec in table.items()}
assert len(_TABLE) == sum(map(len, _TABLES)) and not {_PUSH, RELAY_BYTE} & set(_TABLE), "two frames with one type byte"
_BYTE_OF: Final[dict[type[Any], int]] = {codec.frame: byte for byte, codec in _TABLE.items()} | {
    Push: _PUSH,
    Relay: RELAY_BYTE,
}
_NAMES: Final[dict[type[Any], tuple[str, ...]]] = {
    frame: tuple(field.name for field in fields(frame)) for frame in _BYTE_OF
}

_FIELDS: Final = {byte: tuple(zip(_NAMES[codec.frame], codec.checks, strict=True)) for byte, codec in _TABLE.items()}

PUSH_PREFIX: Final = bytes([_PUSH])
"""A Push is this byte and the batch."""

FRAME_TYPES: Final = tuple(_BYTE_OF)
"""All frames that this version knows."""

AnyFrame = TypeVar("AnyFrame", bound=Frame)


def type_byte(frame: type[Frame]) -> int:
    """The first byte of this frame on the wire."""
    return _BYTE_OF[frame]


def _encode_rooms(frame: Interest | Keeps) -> bytes:
    return bytes([_BYTE_OF[type(frame)]]) + pack([b"".join(frame.rooms)])


_ENCODED_BY: Final[dict[type[Any], Callable[[Any], bytes]]] = {
    Push: lambda frame: PUSH_PREFIX + frame.batch,
    Relay: lambda frame: relay_frame(frame.hops, frame.batch),
    Interest: _encode_rooms,
    Keeps: _encode_rooms,
}
"""Frames that are more, or less, than an array of their fields."""


def encode(frame: Frame) -> bytes:
    """The bytes of a frame."""
    kind = type(frame)
    own_way = _ENCODED_BY.get(kind)
    if own_way is not None:
        return own_way(frame)
    return bytes([_BYTE_OF[kind]]) + pack([getattr(frame, name) for name in _NAMES[kind]])


def decode(payload: bytes) -> Frame | UnknownFrame | Fault:
    """The frame that these bytes are; never raises."""
    if not payload:
        return Fault(reason="malformed", detail="empty frame")
    byte = payload[0]
    if byte == _PUSH:
        return Push(batch=payload[1:])
    if byte == RELAY_BYTE:
        if len(payload) < 2:
            return Fault(reason="malformed", detail="Relay without its hops")
        return Relay(hops=payload[1], batch=payload[2:])
    codec = _TABLE.get(byte)
    if codec is None:
        return UnknownFrame(byte)
    if len(payload) > codec.bytes_max:
        return Fault(reason="limit", detail=f"{codec.frame.__name__} of {len(payload)} bytes")
    try:
        values = unpack(memoryview(payload)[1:])
        if type(values) is not list or len(values) < len(codec.checks):
            raise Malformed("fields")
        checked = {name: check(value) for (name, check), value in zip(_FIELDS[byte], values, strict=False)}
        if byte == 1 and pack(values) != payload[1:]:
            raise Malformed("not canonical")
    except Malformed as error:
        return Fault(reason="malformed", detail=f"{codec.frame.__name__}: {error}")
    frame: Frame = codec.frame(**checked)
    return frame


def signed_part(frame: Welcome | Refused) -> bytes:
    """What the signature of an answer covers: its type byte and all fields but the signature."""
    kind = type(frame)
    return bytes([_BYTE_OF[kind]]) + pack([getattr(frame, name) for name in _NAMES[kind] if name != "signature"])
