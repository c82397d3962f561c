"""What the data machines tell the application besides `Deliver`; numbers are ranges, never single events."""

from __future__ import annotations

from dataclasses import dataclass

from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.protocol.effects import Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnStored(Effect):
    """Our events [first, end) of this log are durable here."""

    room: RoomId
    log: int
    first: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFailed(Effect):
    """Our events [first, end) were not kept; the same numbers will name other events.

    full     the disk has no room; otherwise detail says what happened
    """

    room: RoomId
    log: int
    first: int
    end: int
    full: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLogDrawn(Effect):
    """We write under another log number from now on, and why: "fresh", "moved", "unclean", "ahead", "clock"."""

    log: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptsChanged(Effect):
    """Who holds or has read our events of this room has changed; `Receipts.state` tells."""

    room: RoomId


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberChanged(Effect):
    """A peer joined or left the room, or goes by another name there; live is False for old news."""

    room: RoomId
    peer: PeerId
    joined: bool
    was_in: bool
    name: str | None
    live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LogDenied(Effect):
    """A peer does not store this log of ours, and why."""

    room: RoomId
    log: int
    peer: PeerId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogForked(Effect):
    """Two signed histories exist under one log number: both are kept, side by side."""

    room: RoomId
    key: LogKey
