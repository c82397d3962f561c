"""What the runner needs of the sockets; the real transport and its in-memory twin share it.

`start` binds door, direct and feed; from then on facts go to `sink` on the event loop and effects come in
through `apply`, which never blocks and never raises for what a peer does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from zmqchat.model.ids import PeerId
from zmqchat.protocol.effects import Effect
from zmqchat.protocol.facts import Fact

Sink = Callable[[Fact], None]


class Ports(NamedTuple):
    """The TCP ports as bound."""

    door: int
    direct: int
    feed: int


class Keys(NamedTuple):
    """The CURVE keys that the sockets use, 32 raw bytes each.

    curve_key  the key that belongs to a peer id, None where the id is no valid point
    """

    public: bytes
    secret: bytes
    door_public: bytes
    door_secret: bytes
    curve_key: Callable[[PeerId], bytes | None]


class Listen(NamedTuple):
    """Where to listen: a host (None: everywhere), a port that must be had (None: any), and ports to try first."""

    host: str | None = None
    port: int | None = None
    preferred: Ports | None = None


class Transport(Protocol):
    """The sockets of one node."""

    async def start(self, listen: Listen, sink: Sink) -> Ports:
        """Bind all three sockets; raises PortInUse or NetworkError."""
        ...

    def apply(self, effect: Effect) -> None:
        """Carry out one network effect."""
        ...

    async def stop(self, flush_s: float) -> None:
        """Send what is queued for at most this long, then close everything."""
        ...

    def stats(self) -> Mapping[str, int]:
        """Counters for `doctor`."""
        ...
