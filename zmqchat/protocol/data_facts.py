"""Facts between the data machines; `committing` says in which order they follow from one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from zmqchat.history.batch import Batch
from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.protocol.facts import Fact


class StoredBatch(NamedTuple):
    """A batch that is durable now.

    key    its log, with the branch that it belongs to
    peer   the link it came by, None for our own
    """

    batch: Batch
    key: LogKey
    peer: PeerId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitWanted(Fact):
    """A machine has something to write: `committing` asks all of them when no commit is under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReceived(Fact):
    """A batch came in, not looked at yet.

    pushed    by feed, Push or Relay; else as part of the page that answers `request`
    batch     the same where `broadcast` has verified it
    """

    peer: PeerId
    raw: bytes
    pushed: bool
    request: int = 0
    batch: Batch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PushReceived(Fact):
    """A batch was pushed to us in a partial mesh: it is to be relayed, and taken in."""

    peer: PeerId
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettled(Fact):
    """What a page brought is durable, held already or refused; `kept` is False where it must come again."""

    peer: PeerId
    request: int
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchHeld(Fact):
    """A peer pushed what we hold already: it may wait to hear so."""

    peer: PeerId
    room: RoomId
    key: LogKey


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchesStored(Fact):
    """Batches are durable, the frontiers of their logs have moved; own ones may leave now."""

    batches: tuple[StoredBatch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomJoined(Fact):
    """We are in this room from now on; at start, a fact for each room that we are in."""

    room: RoomId


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomLeft(Fact):
    """We are not in this room any more."""

    room: RoomId


@dataclass(frozen=True, slots=True, kw_only=True)
class PartingEnded(Fact):
    """A room that we have left is given to nobody any more."""

    room: RoomId


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodyBegun(Fact):
    """We are a keeper of this room from now on."""

    room: RoomId


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodyEnded(Fact):
    """We are a keeper of this room no more, as others are, or as we are in it now."""

    room: RoomId


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorRaised(Fact):
    """Something that this author said in a room that we keep was let go of, or not taken."""

    room: RoomId
    author: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class InterestTold(Fact):
    """A linked peer said which rooms it is in, or keeps; `added` are those of ours that are new."""

    peer: PeerId
    added: tuple[RoomId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerHolds(Fact):
    """A linked peer says that it has this log below `end` on its disk."""

    peer: PeerId
    room: RoomId
    key: LogKey
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldersAsked(Fact):
    """Over this link an author asks who holds a log of its; the number tells its questions apart."""

    peer: PeerId
    room: RoomId
    key: LogKey
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldersWanted(Fact):
    """The author of this log is to be told once more of all its holders that are known here."""

    room: RoomId
    key: LogKey


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderTold(Fact):
    """Relays say that somebody, whom we need not be linked to, has this log of ours below `end` on its disk."""

    holder: PeerId
    room: RoomId
    key: LogKey
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BehindPeer(Fact):
    """A linked peer has held more of this log than we for some time: it should be asked for it."""

    peer: PeerId
    room: RoomId
    key: LogKey
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnGivenUp(Fact):
    """From publishing: events of ours in this room were given up."""

    room: RoomId


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLogAhead(Fact):
    """There is more of our own current log elsewhere than here.

    proven   a batch with our signature is there, not only a peer's word
    """

    peer: PeerId
    proven: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkGrew(Fact):
    """A forked log of this room has changed here: what peers hold of it may have other names now."""

    room: RoomId


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOffered(Fact):
    """A linked peer holds these ranges (first, end, head, previous) of a log, and wants nothing below its floor."""

    peer: PeerId
    room: RoomId
    key: LogKey
    ranges: tuple[tuple[int, int, bytes, bytes], ...]
    floor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeEnded(Fact):
    """A peer and we have compared these shared rooms; `equal` are the same, and we have said nothing there since."""

    peer: PeerId
    rooms: tuple[RoomId, ...]
    equal: tuple[RoomId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpToDate(Fact):
    """Nothing that a linked peer holds of this room is missing here."""

    room: RoomId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTold(Fact):
    """A member has read one of our logs below `end`."""

    peer: PeerId
    room: RoomId
    log: int
    end: int
