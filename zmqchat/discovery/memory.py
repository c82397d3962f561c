"""The twin of `MdnsDiscovery`: nodes of one process find each other on a network made of a dictionary.

    lan = MemoryLan()
    discovery = MemoryDiscovery(callbacks, lan, hosts=["10.0.0.1"])

What a test needs of a network is here: a node can be unplugged and plugged in again under another address,
and multicast can be blocked. Callbacks come through `call_soon`, in the order of plugging, as from a socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from zmqchat.discovery.discovery import SOURCE, Announcement, Callbacks, DiscoveryStatistics, MulticastProbe
from zmqchat.discovery.interfaces import Address, Interface, reachable_hosts
from zmqchat.model.addresses import Endpoint
from zmqchat.protocol.facts import PeerSighted


class MemoryLan:
    """One link that carries everything, unless `blocked`: then nodes have addresses but hear nobody."""

    def __init__(self, *, blocked: bool = False) -> None:
        self.blocked = blocked
        self.nodes: list[MemoryDiscovery] = []

    def announce(self, speaker: MemoryDiscovery) -> None:
        """Everybody hears the speaker, and the speaker hears everybody."""
        if self.blocked:
            return
        for other in self.nodes:
            if other is not speaker:
                other.hear(speaker)
                speaker.hear(other)


class MemoryDiscovery:
    """A `Discovery` on a `MemoryLan`."""

    def __init__(self, callbacks: Callbacks, lan: MemoryLan, *, hosts: Sequence[str]) -> None:
        self._callbacks = callbacks
        self._lan = lan
        self._interfaces = _interfaces(hosts)
        self._announcement: Announcement | None = None
        self._heard: dict[Endpoint, None] = {}
        self._advertising = True
        self._sightings = 0
        self._ignored = 0
        self._last_problem: str | None = None

    async def start(self, announcement: Announcement) -> None:
        """Announce and listen."""
        self._announcement = announcement
        self._lan.nodes.append(self)
        self._announce()

    async def stop(self) -> None:
        """Say goodbye and leave the link: it causes no callback, but who comes back is new."""
        if self._announcement is None:
            return
        self._lan.nodes.remove(self)
        for other in self._lan.nodes:
            for host in self.hosts():
                other._heard.pop(Endpoint(host, self._announcement.door), None)
        self._announcement = None

    async def update(self, announcement: Announcement) -> None:
        """Announce this from now on instead."""
        self._announcement = announcement
        self._announce()

    def advertise(self, on: bool) -> None:
        """Announce, or be quiet; browsing goes on."""
        if on != self._advertising:
            self._advertising = on
            self._announce()

    def refresh(self) -> None:
        """Ask again at once, and trust nothing heard before."""
        self._heard.clear()
        self._announce()

    def hosts(self) -> tuple[str, ...]:
        """The hosts under which this node can be reached now."""
        if self._announcement is not None and self._announcement.hosts:
            return self._announcement.hosts
        return reachable_hosts(self._interfaces)

    def statistics(self) -> DiscoveryStatistics:
        """What is going on, for `doctor`."""
        return DiscoveryStatistics(
            active=self._announcement is not None and bool(self._interfaces),
            advertised=self._announcement is not None and self._advertising,
            interfaces=self._interfaces,
            hosts=self.hosts(),
            candidates=len(self._heard),
            sightings=self._sightings,
            ignored={"other mesh": self._ignored} if self._ignored else {},
            last_problem=self._last_problem,
        )

    async def self_test(self) -> tuple[MulticastProbe, ...]:
        """What the link is set to."""
        heard = not self._lan.blocked
        return tuple(
            MulticastProbe(
                interface=interface.name,
                address=interface.addresses[0].ip,
                sent=True,
                heard=heard,
                problem=None if heard else "multicast is blocked on this link: use --peer HOST:PORT",
            )
            for interface in self._interfaces
        )

    # For tests -------------------------------------------------------------------------------------------

    def change_hosts(self, hosts: Sequence[str]) -> None:
        """Cable out (no hosts), in, or other addresses."""
        self._interfaces = _interfaces(hosts)
        self._heard.clear()
        asyncio.get_running_loop().call_soon(self._callbacks.interfaces_changed, self.hosts())
        self._announce()

    def hear(self, speaker: MemoryDiscovery) -> None:
        """Take what the other announces as a record."""
        mine, theirs = self._announcement, speaker._announcement
        if mine is None or theirs is None or not self._interfaces or not speaker._interfaces:
            return
        if not speaker._advertising:
            return
        if mine.mesh != theirs.mesh:
            self._ignored += 1
            return
        if mine.peer == theirs.peer:
            return
        for host in speaker.hosts():
            endpoint = Endpoint(host, theirs.door)
            if endpoint not in self._heard:
                self._heard[endpoint] = None
                sighted = PeerSighted(endpoint=endpoint, peer=theirs.peer, source=SOURCE)
                asyncio.get_running_loop().call_soon(self._tell, sighted)

    def _tell(self, sighted: PeerSighted) -> None:
        if self._announcement is not None:
            self._sightings += 1
            self._callbacks.sighted(sighted)

    def _announce(self) -> None:
        if self._announcement is None:
            return
        if not self._interfaces:
            self._last_problem = "no network interface is up: discovery goes on by itself once one is"
            asyncio.get_running_loop().call_soon(self._callbacks.problem, self._last_problem)
            return
        self._last_problem = None
        self._lan.announce(self)


def _interfaces(hosts: Sequence[str]) -> tuple[Interface, ...]:
    if not hosts:
        return ()
    addresses = tuple(Address(host, 64 if ":" in host else 24) for host in hosts)
    return (Interface(name="mem0", index=1, loopback=False, addresses=addresses),)
