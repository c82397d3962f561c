"""How nodes find each other without being told: the interface that the real discovery and its twins share.

A `Discovery` announces this node on the local network, listens for others, and follows the machine's
interfaces. What it finds is only "worth dialling": nothing that it says is trusted before HELLO, and a
record that goes away ends nothing.

    MdnsDiscovery    multicast DNS (zeroconf)
    QuietDiscovery   for `discovery=False`: follows the interfaces, sends and hears nothing
    MemoryDiscovery  the twin: nodes of one process on a shared `MemoryLan`

All callbacks run on the event loop. They are given at construction, as `Callbacks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from zmqchat.discovery.interfaces import Interface
from zmqchat.model.ids import MeshId, PeerId
from zmqchat.protocol.facts import PeerSighted

SERVICE_TYPE: Final = "_zmqchat._tcp.local."
SOURCE: Final = "mdns"
"""`PeerSighted.source` of what discovery finds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What a node tells the network of itself: no nickname, strangers learn none.

    door      TCP port of its door
    version   highest protocol version
    hosts     the only IP addresses to announce (`--listen HOST`, never a wildcard); empty announces those of
              all chosen interfaces
    """

    peer: PeerId
    mesh: MeshId
    door: int
    version: int = 1
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """What a discovery calls, on the event loop.

    sighted             a node of our mesh may be at an address
    problem             one line that says what does not work and what to do; each once until it is over
    interfaces_changed  the hosts under which this node can be reached are now these (see `reachable_hosts`)
    """

    sighted: Callable[[PeerSighted], None]
    problem: Callable[[str], None]
    interfaces_changed: Callable[[tuple[str, ...]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MulticastProbe:
    """One address's answer to "does multicast work here": sent, and heard back by this machine itself.

    problem   why not, and what to do; None where it works
    """

    interface: str
    address: str
    sent: bool
    heard: bool
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryStatistics:
    """What `doctor` shows.

    active           multicast is being sent and listened for
    advertised       others are told of this node; in a large mesh only some are
    interfaces       those in use now
    hosts            the addresses that are announced
    candidates       nodes of our mesh that discovery knows of now
    sightings        calls of `sighted` so far
    queries          questions asked so far
    heard_own_s_ago  since our own record was last heard back; None for never
    ignored          records passed over, by reason
    last_problem     the last line given to `problem`; None where all is well
    """

    active: bool
    advertised: bool = False
    interfaces: tuple[Interface, ...] = ()
    hosts: tuple[str, ...] = ()
    candidates: int = 0
    sightings: int = 0
    queries: int = 0
    heard_own_s_ago: float | None = None
    ignored: Mapping[str, int] = field(default_factory=dict)
    last_problem: str | None = None


class Discovery(Protocol):
    """What the runner needs of a discovery."""

    async def start(self, announcement: Announcement) -> None:
        """Announce and listen. A network that can't do it is told to `problem`, never raised."""

    async def stop(self) -> None:
        """Say goodbye and leave nothing behind, within a second; may be called again."""

    async def update(self, announcement: Announcement) -> None:
        """Announce this from now on instead."""

    def advertise(self, on: bool) -> None:
        """Announce this node, as from the start, or be quiet; browsing goes on."""

    def refresh(self) -> None:
        """Ask again at once and tell of everybody heard from now on: after a sleep, or when the user asks."""

    def hosts(self) -> tuple[str, ...]:
        """The hosts under which this node can be reached now (see `reachable_hosts`)."""

    def statistics(self) -> DiscoveryStatistics:
        """What is going on, for `doctor`."""

    async def self_test(self) -> tuple[MulticastProbe, ...]:
        """Send one packet from each address in use and listen for it; about a second."""


def nobody_found(statistics: DiscoveryStatistics) -> str:
    """One line for who sees nobody: what was tried, on which interfaces, and the one thing to try next."""
    by_hand = "try `--peer HOST:PORT` with the address that `zmqchat doctor` prints on the other machine"
    if statistics.last_problem is not None:
        return f"nobody found: {statistics.last_problem}"
    if not statistics.active:
        return f"nobody found: discovery is off; {by_hand}"
    names = ", ".join(interface.summary() for interface in statistics.interfaces)
    return f"nobody found yet by multicast DNS on {names}: it may be blocked between the machines; {by_hand}"
