"""What the public calls give: peers, members, messages sent, and what happened in the mesh."""

from __future__ import annotations

from dataclasses import dataclass, field

from zmqchat.model.ids import PeerId, peer_short, peer_text


@dataclass(frozen=True, slots=True)
class Peer:
    """Another node (or the author of a message) as this node knows it now.

    id                   its peer id; `peer_text(id)` is the form people exchange
    name                 its nickname, cleaned; the short id where it has told none. A claim, not a proof
    online               in touch now
    address              HOST:PORT of its door as it was reached last, None where it never was
    found_by             "mdns", "config", "store", "exchange" or "hello" (it dialled us)
    rtt_s                smoothed round trip in seconds, None before the first
    clock_difference_s   its wall clock minus ours in seconds, None before the first answer
    last_error           why the last dial failed, "" where it did not
    """

    id: PeerId
    name: str
    online: bool = False
    address: str | None = None
    found_by: str | None = None
    rtt_s: float | None = field(default=None, compare=False)
    clock_difference_s: float | None = field(default=None, compare=False)
    last_error: str = field(default="", compare=False)

    @property
    def id_text(self) -> str:
        """The peer id in full, 52 characters of base32."""
        return peer_text(self.id)

    @property
    def short(self) -> str:
        """The first 8 characters of the id in two groups."""
        return peer_short(self.id)


@dataclass(frozen=True, slots=True)
class Member:
    """Who is in a room; `online` also for this node itself."""

    id: PeerId
    name: str
    online: bool


@dataclass(frozen=True, slots=True)
class Receipts:
    """Who has one of our messages: on disk, not yet, read, and on disk for others without being in the room."""

    delivered: tuple[Peer, ...] = ()
    pending: tuple[Peer, ...] = ()
    read: tuple[Peer, ...] = ()
    keepers: tuple[Peer, ...] = ()


@dataclass(frozen=True, slots=True)
class PeerOnline:
    """A peer is in touch."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class PeerOffline:
    """A peer said goodbye, or was not heard for 30 s."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class MemberJoined:
    """Somebody is in a room now."""

    room: str
    member: Member


@dataclass(frozen=True, slots=True)
class MemberLeft:
    """Somebody left a room for good."""

    room: str
    member: Member


@dataclass(frozen=True, slots=True)
class DuplicateIdentity:
    """Two live nodes use one identity: this node's own where `ours`, else the peer's."""

    peer: Peer
    ours: bool


@dataclass(frozen=True, slots=True)
class NoticeGiven:
    """One line that the user should read, with what to do."""

    text: str


NodeEvent = PeerOnline | PeerOffline | MemberJoined | MemberLeft | DuplicateIdentity | NoticeGiven
