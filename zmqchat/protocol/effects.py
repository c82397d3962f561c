"""What a machine wants done: the runner applies effects in the order of the outbox.

What must be durable before it is sent waits for the fact `Stored`; no effect blocks.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from zmqchat.model.addresses import Endpoint
from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.protocol.facts import DoorCaller


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """The root of all effects."""


# The door ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DialDoor(Effect):
    """Open a DEALER to the door at endpoint and send this HELLO; answers come as DoorAnswered(dial)."""

    dial: int
    endpoint: Endpoint
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SendDoor(Effect):
    """Send a further frame on a dialled door."""

    dial: int
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseDoor(Effect):
    """The dialled door is no longer needed; an unknown number is ignored."""

    dial: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerDoor(Effect):
    """Send a frame to whoever knocked."""

    caller: DoorCaller
    payload: bytes


# Links ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Admit(Effect):
    """Let this peer connect to direct and feed; its frames are from now on FrameReceived(peer)."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Expel(Effect):
    """End the peer's session: off the allow-list, its connections in both directions closed and cut."""

    peer: PeerId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDirect(Effect):
    """Dial the peer's direct socket (a fresh DEALER, replacing one that is there)."""

    peer: PeerId
    endpoint: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseDirect(Effect):
    """Close our DEALER to the peer; the peer's own link to us stays."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFeed(Effect):
    """Dial the peer's feed (a fresh SUB, replacing one that is there), with all rooms of SetTopics."""

    peer: PeerId
    endpoint: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Advertise(Effect):
    """Have discovery announce this node, or be quiet; it announces until told otherwise, and always listens."""

    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTopics(Effect):
    """The rooms that all our SUBs subscribe to from now on."""

    rooms: frozenset[RoomId]


@dataclass(frozen=True, slots=True, kw_only=True)
class Send(Effect):
    """Send a frame over the peer's link: our DEALER where outbound, else our ROUTER; dropped without one."""

    peer: PeerId
    payload: bytes
    outbound: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishFeed(Effect):
    """Publish to all who subscribed to the room on our feed."""

    room: RoomId
    payload: bytes


# Time ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTimer(Effect):
    """Have TimerFired(name) at this monotonic second; a name set again moves, None cancels."""

    name: tuple[Hashable, ...]
    at_s: float | None


# The store -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PutBatch:
    """A batch under (room, key, end), and its timeline row.

    key.branch says where it is stored, for good: a fork found later renames ranges, it moves no row.
    """

    room: RoomId
    key: LogKey
    first: int
    end: int
    sealed_at: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class PutArrival:
    """What became deliverable under this arrival number: a batch's events [first, end), or a gap.

    number    arrival number of the first event; the next row's is number + (end - first), 1 for a gap
    batch_end the end (store key) of the batch that holds the events; 0 for a gap
    live      pushed, or sealed after we were up to date
    backfill  fills what a Gap row told of earlier
    """

    room: RoomId
    number: int
    key: LogKey
    first: int
    end: int
    batch_end: int
    live: bool
    backfill: bool


@dataclass(frozen=True, slots=True)
class PutFrontier:
    """The packed frontier of one log; None removes it."""

    room: RoomId
    key: LogKey
    value: bytes | None


@dataclass(frozen=True, slots=True)
class PutRow:
    """A row of one of the small tables (rooms, members, peers, keys, meta); None removes it."""

    table: str
    key: bytes
    value: bytes | None


@dataclass(frozen=True, slots=True)
class DropBatch:
    """Forget the batch under (room, key, end) and its timeline row; nothing that arrived points to it."""

    room: RoomId
    key: LogKey
    first: int
    end: int
    sealed_at: int


Write = PutBatch | PutArrival | PutFrontier | PutRow | DropBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Store(Effect):
    """Make these writes durable together, after all earlier ones; answered by Stored or StoreFailed.

    A later Store of the same outbox may share its transaction; a failed one fails alone.
    """

    token: int
    writes: tuple[Write, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRange(Effect):
    """Read whole batches that hold numbers of [first, end), at least one, at most bytes_max; RangeLoaded answers.

    newest_first reads from the end; the batches are in rising order all the same.
    """

    token: int
    room: RoomId
    key: LogKey
    first: int
    end: int
    bytes_max: int
    newest_first: bool = False


# To the application ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver(Effect):
    """Events are durable and deliverable: cursors of the room may go on. `raw` is None for a gap."""

    arrival: PutArrival
    raw: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerCameOnline(Effect):
    """A peer is in touch again (or for the first time)."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerWentOffline(Effect):
    """A peer said BYE, or had no link for offline_s."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityShared(Effect):
    """Two live nodes use this identity: ours, or (peer) another's."""

    peer: PeerId
    ours: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(Effect):
    """One line that the user should read, with what to do."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerReported(Effect):
    """A peer answered an inquiry: lines of a name and a value, for a person."""

    peer: PeerId
    token: int
    lines: tuple[tuple[str, str], ...]
