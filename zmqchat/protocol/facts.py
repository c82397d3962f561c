"""What a machine is told: facts from the runner, orders from the application, and facts between machines.

The runner feeds facts to `Mesh`, which routes each to the machines that list it in their table.
All are immutable and built by keyword.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from zmqchat.model.addresses import Endpoint
from zmqchat.model.ids import LogKey, PeerId, RoomId


class Instant(NamedTuple):
    """A moment, given with each fact: monotonic seconds for deadlines, wall milliseconds for the HLC."""

    now_s: float
    wall_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """The root of all facts."""


# From the runner: start, time, this machine's network ------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStarted(Fact):
    """Sockets are bound and the store is open.

    endpoints   where this node can be reached; loopback ones only where loopback is all there is
    ports       door, direct, feed as bound
    """

    endpoints: tuple[Endpoint, ...]
    ports: tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointsChanged(Fact):
    """Interfaces or addresses changed, or the machine woke: all waits before redials are void."""

    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Woke(Fact):
    """The machine or the process slept for `slept_s`; every link must prove that it lives."""

    slept_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopLagged(Fact):
    """The loop could not run for `lag_s` (over 1 s): deadlines of others are extended by it."""

    lag_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired(Fact):
    """A timer set by SetTimer is due; its first element names the machine."""

    name: tuple[Hashable, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequested(Fact):
    """The node is about to stop: BYE goes to every link."""


# From the runner: discovery ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSighted(Fact):
    """Discovery, configuration, the store or a peer says that a node may be at an address.

    peer     its id where it is known (never trusted before HELLO)
    source   "mdns", "config" (--peer, config file, never forgotten), "store", "exchange"
    """

    endpoint: Endpoint
    peer: PeerId | None = None
    source: str


# From the runner: the door, as caller and as answerer -----------------------------------------------


class DoorCaller(NamedTuple):
    """Who knocked: the routing id to answer to, its proven CURVE key, and the address it came from."""

    routing: bytes
    curve_key: bytes
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorKnocked(Fact):
    """A frame came in at our door."""

    caller: DoorCaller
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorAnswered(Fact):
    """The door that we dialled under this number sent a frame."""

    dial: int
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DialFailed(Fact):
    """The dialled door can't be reached: refused, unreachable, no such name."""

    dial: int
    reason: str


# From the runner: links -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectOpened(Fact):
    """Our DEALER to this peer's direct socket finished its handshake."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectClosed(Fact):
    """Our DEALER to this peer is closed, or could not be opened.

    reason   "refused" (nobody listens), "denied" (ZAP), "timeout", "lost" (an open one broke)
    """

    peer: PeerId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundClosed(Fact):
    """The TCP connection of the peer's DEALER to our direct socket is gone."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameReceived(Fact):
    """A frame from an admitted peer; `inbound` where it came to our ROUTER, else to our DEALER."""

    peer: PeerId
    payload: bytes
    inbound: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedOpened(Fact):
    """Our SUB to this peer's feed finished its handshake."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedClosed(Fact):
    """Our SUB to this peer's feed is gone or could not be opened: it must push over the direct link."""

    peer: PeerId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedReceived(Fact):
    """A frame from this peer's feed, without its topic."""

    peer: PeerId
    room: RoomId
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSubscribed(Fact):
    """The peer's SUB subscribed to (or, with on=False, left) a room on our feed."""

    peer: PeerId
    room: RoomId
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkBlocked(Fact):
    """A frame to this peer was dropped at libzmq's high-water mark."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAbused(Fact):
    """The transport saw a peer break a bound (subscriptions, endless frames) and has cut it."""

    peer: PeerId
    reason: str


# From the runner: the store -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored(Fact):
    """The writes of the Store effect with this token are durable."""

    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFailed(Fact):
    """Nothing of the Store effect with this token was kept; full says that the disk has no room."""

    token: int
    full: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeLoaded(Fact):
    """The answer to LoadRange: whole batches in order, as stored; empty where there is nothing.

    failed  the store could not be read, so `batches` says nothing of what it holds
    """

    token: int
    batches: tuple[bytes, ...]
    failed: bool = False


# Orders from the application ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRoom(Fact):
    """Be a member of this room from now on."""

    room: RoomId
    name: str
    latest_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaveRoom(Fact):
    """Be no member any more; what is stored stays."""

    room: RoomId


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename(Fact):
    """The nickname from now on."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadUpTo(Fact):
    """The application has read these logs of the room up to (excluding) these numbers."""

    room: RoomId
    ends: Mapping[LogKey, int]


# Between machines -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Fact):
    """A door refused us, or we refused a caller; peer is None where it is not proven."""

    endpoint: Endpoint | None
    peer: PeerId | None
    reason: str
    detail: str
    by_us: bool
