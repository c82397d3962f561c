"""What every machine is: tables of what it hears, and an outbox of what it wants.

A machine has state of its own and nothing else. `Mesh` hands it the facts and frames that its tables
list; what it appends to its outbox is either an effect for the runner or a fact for other machines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from zmqchat.model.addresses import Endpoint
from zmqchat.model.faults import Fault
from zmqchat.model.ids import PeerId
from zmqchat.protocol.effects import Effect
from zmqchat.protocol.facts import Fact, Instant

OVERLAY_FEATURE = "overlay-1"
"""In HELLO and WELCOME: this node speaks the frames of overlay and tree."""

FactHandler = Callable[[Any, Instant], None]
FrameHandler = Callable[[PeerId, Any, Instant], None]


class Size(NamedTuple):
    """How much of something a machine keeps, and the most that it may; the simulator compares them all the time."""

    what: str
    kept: int
    most: int


class Machine:
    """The base of all machines.

    facts    by type of fact: what is called with (fact, instant)
    frames   by type of frame: what is called with (peer, frame, instant), for linked peers only
    timer    the first element of this machine's timer names; TimerFired reaches only its owner
    """

    timer: str = ""

    def __init__(self) -> None:
        self.outbox: list[Effect | Fact] = []
        self.facts: Mapping[type[Fact], FactHandler] = {}
        self.frames: Mapping[type[Any], FrameHandler] = {}

    def sizes(self) -> tuple[Size, ...]:
        """What it keeps that others can make grow, each with its bound."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLinked(Fact):
    """A link to this peer works in both directions; the data machines may talk over it.

    store and generation name the peer's store as its HELLO or WELCOME told them, features what it speaks
    """

    peer: PeerId
    store: bytes
    generation: int
    features: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerUnlinked(Fact):
    """The link is gone; reason "bye", "surplus", "lost", "silent", "replaced", "fault", "stopped".

    "surplus": one side keeps fewer links; the peer is there, and is not gone for anybody
    """

    peer: PeerId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerFaulted(Fact):
    """A peer broke a rule; `peers` keeps the score and disconnects below its floor."""

    peer: PeerId
    fault: Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSlow(Fact):
    """A linked peer has been too far behind for some time: it is a brake as a neighbour in a partial mesh."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoWanted(Fact):
    """A linked peer is to be pinged: its answer comes after all that it has sent before."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoHeard(Fact):
    """A linked peer has answered a ping that was sent since EchoWanted."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class SendFrame(Fact):
    """Another machine's wish to send a frame object to a linked peer; `peers` knows by which way.

    `payload` is the encoded frame. Dropped where the peer is not linked.
    """

    peer: PeerId
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DialWanted(Fact):
    """`peers` wants the door at endpoint dialled; expected is the id that must answer, None for any."""

    endpoint: Endpoint
    expected: PeerId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DialEnded(Fact):
    """A dial ended without WELCOME: reason "refused", "timeout", "unreachable" or a REFUSED's reason."""

    endpoint: Endpoint
    expected: PeerId | None
    peer: PeerId | None
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcomed(Fact):
    """A session with this peer begins: by its door's WELCOME (dialled) or by ours.

    endpoint   where its sockets are, as far as it is known to work (dialled) or told (not dialled)
    told       all endpoints that it named
    """

    peer: PeerId
    dialled: bool
    endpoint: Endpoint
    told: tuple[Endpoint, ...]
    instance: bytes
    store: bytes
    generation: int
    version: int
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeWanted(Fact):
    """A known peer id dials with a new instance: does the old session still answer?"""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAnswered(Fact):
    """A sign of life came over the probed session: there are two nodes with one identity."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionReplaced(Fact):
    """The peer restarted: its old session is dead, a new one follows."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSilent(Fact):
    """Nothing was heard over this link for link_dead_s."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded(Fact):
    """A session is over, linked or never linked; the peer must knock again."""

    peer: PeerId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerPenalised(Fact):
    """The peer's score fell to the floor: it is refused at the door until then."""

    peer: PeerId
    until_s: float


# Between `overlay` and `peers` -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkWanted(Fact):
    """The overlay wants a link to this peer now: dial it, also at these endpoints."""

    peer: PeerId
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkUnwanted(Fact):
    """The overlay gives up this link: BYE "surplus" after linger_s, unless the other side closes it before."""

    peer: PeerId
    linger_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DialsFailed(Fact):
    """All dials of a peer ended without a session, or it may not be dialled now ("held")."""

    peer: PeerId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinksMissing(Fact):
    """The overlay has too few links: what may be dialled only then is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSwitched(Fact):
    """From here on this node keeps few links (partial) or links to everybody."""

    partial: bool
