"""What a transport is: the sockets of a node, or its in-memory twin.

The runner starts it, applies the effects of the core to it, and is told facts through `sink`, all on
the thread of the running event loop. A transport takes no decision about peers: it admits whom it is
told to, and tells what it saw. The one thing it does by itself is to end the session of a peer that
breaks a bound, and to say so (`PeerAbused`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from zmqchat.model.ids import PeerId
from zmqchat.protocol.effects import (
    Admit,
    AnswerDoor,
    CloseDirect,
    CloseDoor,
    DialDoor,
    Effect,
    Expel,
    OpenDirect,
    OpenFeed,
    PublishFeed,
    Send,
    SendDoor,
    SetTopics,
)
from zmqchat.protocol.facts import Fact

TRANSPORT_EFFECTS: frozenset[type[Effect]] = frozenset(
    {
        DialDoor,
        SendDoor,
        CloseDoor,
        AnswerDoor,
        Admit,
        Expel,
        OpenDirect,
        CloseDirect,
        OpenFeed,
        SetTopics,
        Send,
        PublishFeed,
    }
)
"""The effects that `Transport.apply` takes."""

Sink = Callable[[Fact], None]
"""Who is told the facts; called on the loop's thread, never from within `apply`."""

CurveKey = Callable[[PeerId], bytes | None]
"""The CURVE public key (32 raw bytes) of a peer id, None where the id is no valid point."""

Failed = Callable[[str], None]
"""Told once, on the loop's thread, when the transport can't go on: the node must stop."""


class Ports(NamedTuple):
    """The three TCP ports as bound."""

    door: int
    direct: int
    feed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportStats:
    """What `doctor` shows of a transport.

    counters     how often each thing happened, by name; never reset
    sessions     peers that are admitted
    inbound      connections that others opened to us, on all three sockets
    dials        our own connections: to doors, direct sockets and feeds
    open_files   file descriptors of the process, 0 where they can't be counted
    watching     whether bytes received are compared with bytes delivered (Linux)
    """

    counters: Mapping[str, int] = field(default_factory=dict)
    sessions: int = 0
    inbound: int = 0
    dials: int = 0
    open_files: int = 0
    watching: bool = False


class Transport(Protocol):
    """The sockets of one node; used from the loop's thread only."""

    async def start(
        self,
        curve_secret: bytes,
        curve_public: bytes,
        listen: tuple[str | None, int | None],
        preferred_ports: tuple[int, int, int] | None,
        sink: Sink,
    ) -> Ports:
        """Bind and be ready for effects; raises NetworkError, PortInUse or FileLimit with nothing left open.

        curve_secret, curve_public  the node's own CURVE pair, 32 raw bytes each
        listen                      host (None: all addresses) and door port (None: preferred, 42100, any)
        preferred_ports             those of the last start, tried first
        """
        ...

    def apply(self, effect: Effect) -> None:
        """Do one of TRANSPORT_EFFECTS; never blocks, never raises for what a peer did."""
        ...

    async def stop(self, flush_s: float) -> None:
        """Give what was sent up to flush_s to leave, then close everything; safe to call twice."""
        ...

    def stats(self) -> TransportStats:
        """Counters and sizes as they are now."""
        ...

    @property
    def handshake_addresses(self) -> tuple[str, ...]:
        """The last addresses whose connections shook hands with one of our sockets, the newest last."""
        ...
