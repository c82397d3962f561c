"""The address book: where peers may be, and when to try them next.

How it works. A target is one place to dial: either a peer with all its endpoints, or a bare endpoint
(--peer, discovery) whose owner is not known yet. A target waits after each failure, longer each time:

    lost less than recent_s ago     0.1 s doubling to redial_max_s
    configured (--peer)             the same; it is never forgotten
    anything else                   1 s doubling to redial_gone_max_s, then forgotten under pressure

All waits vary by ±25 %, so that a power cut does not end in everybody dialling at once. A sighting, a
changed interface or a wake makes a target due at once.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId
from zmqchat.model.limits import CANDIDATES_MAX, ENDPOINTS_PER_PEER_MAX, PEERS_REMEMBERED_MAX

REDIAL_FIRST_S = 0.1
STRANGER_FIRST_S = 1.0
SELF_WAIT_S = 600.0
"""An address that turned out to be ours is not dialled for this long."""


@dataclass(slots=True)
class Target:
    """One place to dial.

    peer       None while nobody answered there
    found_by   the first source that named it: "mdns", "config", "store", "exchange", "hello"
    endpoints  best first
    """

    peer: PeerId | None
    found_by: str
    endpoints: list[Endpoint]
    due_s: float
    failures: int = 0
    next_endpoint: int = 0
    lost_s: float | None = None
    last_error: str = ""
    held_until_s: float = 0.0
    dialling: set[Endpoint] = field(default_factory=set)


def is_loopback(host: str) -> bool:
    """Whether this host is the loopback, by address or name."""
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def is_usable(endpoint: Endpoint, *, loopback: bool) -> bool:
    """Whether an address that a peer told may be dialled: unicast, a real port, loopback only where allowed."""
    address = _address(endpoint.host)
    if address is None or not 0 < endpoint.door < 65536:
        return False
    if address.is_multicast or address.is_unspecified or address.is_reserved:
        return False
    if str(address) == "255.255.255.255":
        return False
    return loopback or not address.is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


class AddressBook:
    """Targets by peer and by bare endpoint, bounded; picks who is dialled next."""

    def __init__(self, config: Config, rng: Random) -> None:
        self._config = config
        self._rng = rng
        self._by_peer: dict[PeerId, Target] = {}
        self._by_endpoint: dict[tuple[str, int], Target] = {}
        self._self_endpoints: dict[tuple[str, int], float] = {}

    def peers(self) -> Iterable[tuple[PeerId, Target]]:
        """All known peers with their targets."""
        return self._by_peer.items()

    def of(self, peer: PeerId) -> Target | None:
        """The target of this peer, None where it was never heard of."""
        return self._by_peer.get(peer)

    def sighted(self, endpoint: Endpoint, peer: PeerId | None, source: str, now_s: float) -> None:
        """A node may be there; an unknown one becomes due at once, a known one too if it is not being dialled."""
        place = (endpoint.host, endpoint.door)
        if self._self_endpoints.get(place, 0.0) > now_s:
            return
        if peer is None:
            target = self._by_endpoint.get(place)
            if target is None:
                self._make_room(now_s)
                self._by_endpoint[place] = Target(None, source, [endpoint], now_s)
            elif source != "config":
                target.due_s = min(target.due_s, now_s)
            return
        target = self._by_peer.get(peer)
        if target is None:
            self._make_room(now_s)
            self._by_peer[peer] = Target(peer, source, [endpoint], now_s)
            return
        if _merge(target.endpoints, endpoint) or source == "mdns":
            target.due_s = max(target.held_until_s, min(target.due_s, now_s))

    def learned(self, peer: PeerId, endpoint: Endpoint, told: Iterable[Endpoint], found_by: str) -> Target:
        """A session with this peer began: the endpoint that worked goes first, what it told after it."""
        target = self._by_peer.get(peer)
        if target is None:
            target = self._by_peer[peer] = Target(peer, found_by, [], 0.0)
        known = [e for e in target.endpoints if (e.host, e.door) != (endpoint.host, endpoint.door)]
        target.endpoints = [endpoint, *known][:ENDPOINTS_PER_PEER_MAX]
        for other in told:
            _merge(target.endpoints, other)
        return target

    def owned(self, endpoint: Endpoint, peer: PeerId) -> str | None:
        """The bare endpoint belongs to this peer; says how it was found. A configured one stays a target."""
        target = self._by_endpoint.get((endpoint.host, endpoint.door))
        if target is None:
            return None
        target.peer = peer
        target.failures = 0
        target.dialling.clear()
        if target.found_by != "config":
            del self._by_endpoint[(endpoint.host, endpoint.door)]
        return target.found_by

    def is_self(self, endpoint: Endpoint, now_s: float) -> None:
        """This endpoint is our own door: leave it alone."""
        place = (endpoint.host, endpoint.door)
        self._self_endpoints[place] = now_s + SELF_WAIT_S
        if len(self._self_endpoints) > CANDIDATES_MAX:
            self._self_endpoints = {p: until for p, until in self._self_endpoints.items() if until > now_s}
        target = self._by_endpoint.get(place)
        if target is not None:
            target.due_s = now_s + SELF_WAIT_S
            target.dialling.clear()

    def lost(self, peer: PeerId, now_s: float) -> None:
        """The link to this peer broke: it is recent from now on and due almost at once."""
        target = self._by_peer.get(peer)
        if target is not None:
            target.lost_s = now_s
            target.failures = 0
            target.due_s = max(target.held_until_s, now_s + REDIAL_FIRST_S * self._rng.uniform(0.5, 1.5))

    def hold(self, peer: PeerId, until_s: float) -> None:
        """Do not dial this peer before then: it misbehaved."""
        target = self._by_peer.get(peer)
        if target is not None:
            target.held_until_s = until_s
            target.due_s = max(target.due_s, until_s)

    def failed(self, endpoint: Endpoint, peer: PeerId | None, reason: str, now_s: float) -> None:
        """A dial ended without a session: wait longer, try the next endpoint."""
        for target in (self._by_peer.get(peer) if peer else None, self._by_endpoint.get((endpoint.host, endpoint.door))):
            if target is None:
                continue
            target.dialling.discard(endpoint)
            target.last_error = reason
            if target.dialling:
                continue
            target.failures += 1
            target.due_s = max(target.held_until_s, now_s + self._wait_s(target, now_s))

    def linked(self, peer: PeerId) -> None:
        """There is a link now: no failure counts any more."""
        target = self._by_peer.get(peer)
        if target is not None:
            target.failures = 0
            target.last_error = ""
            target.dialling.clear()

    def all_due(self, now_s: float) -> None:
        """Interfaces changed, or the machine woke: every wait is void."""
        for target in (*self._by_peer.values(), *self._by_endpoint.values()):
            target.failures = 0
            target.due_s = max(target.held_until_s, min(target.due_s, now_s + self._rng.uniform(0.0, 0.2)))

    def forget(self, endpoint: Endpoint) -> None:
        """A configured address is no longer wanted."""
        self._by_endpoint.pop((endpoint.host, endpoint.door), None)

    def waiting(self, linked: frozenset[PeerId] | set[PeerId]) -> list[Target]:
        """Targets without a link, known peers and configured addresses before strangers, earliest first."""
        targets = [t for p, t in self._by_peer.items() if p not in linked and t.endpoints]
        targets += [t for t in self._by_endpoint.values() if t.peer is None or t.peer not in linked]
        targets.sort(key=lambda t: (t.due_s, t.found_by == "mdns" and t.peer is None))
        return targets

    def _wait_s(self, target: Target, now_s: float) -> float:
        recent = target.lost_s is not None and now_s - target.lost_s < self._config.recent_s
        if recent or target.found_by == "config":
            wait_s: float = min(REDIAL_FIRST_S * 2.0 ** min(target.failures, 20), self._config.redial_max_s)
        else:
            wait_s = min(STRANGER_FIRST_S * 2.0 ** min(target.failures - 1, 20), self._config.redial_gone_max_s)
        return wait_s * self._rng.uniform(0.75, 1.0)

    def _make_room(self, now_s: float) -> None:
        """Random replacement of strangers, oldest loss first for peers: made-up ones can't push out the known."""
        if len(self._by_endpoint) >= CANDIDATES_MAX:
            loose = [place for place, t in self._by_endpoint.items() if t.found_by != "config"]
            if loose:
                del self._by_endpoint[self._rng.choice(loose)]
        if len(self._by_peer) >= PEERS_REMEMBERED_MAX + CANDIDATES_MAX:
            never_met = [peer for peer, t in self._by_peer.items() if t.lost_s is None and t.failures]
            if never_met:
                del self._by_peer[self._rng.choice(never_met)]


def _merge(endpoints: list[Endpoint], endpoint: Endpoint) -> bool:
    """Add or complete an endpoint; says whether it is a new place."""
    for index, known in enumerate(endpoints):
        if (known.host, known.door) == (endpoint.host, endpoint.door):
            if endpoint.direct:
                endpoints[index] = endpoint
            return False
    if len(endpoints) >= ENDPOINTS_PER_PEER_MAX:
        endpoints.pop()
    endpoints.append(endpoint)
    return True
