"""The address book: where peers may be, and when to try them next.

How it works. A target is one place to dial: either a peer with all its endpoints, or a bare endpoint
(--peer, discovery) whose owner is not known before it answers. A target waits after each failure, longer
each time:

    lost less than recent_s ago     0.1 s doubling to redial_max_s
    configured (--peer)             the same; it is never forgotten
    anything else                   1 s doubling to redial_gone_max_s, then forgotten under pressure

A link that breaks before it has held for LINK_HELD_S counts as a failure too, so one that flaps is dialled less
and less often.

All waits are shortened by up to a quarter at random, so that a power cut does not end in everybody dialling at
once. A sighting, a changed interface or a wake makes a target due at once, unless it is held: our own
address, or a peer that misbehaved or refused us. Where it makes all due, they are spread over SPREAD_PER_PEER_S
for each, at most SPREAD_MAX_S.

Peers that we have met come before strangers. Hearsay, an endpoint that only other peers or its owner told
of, is dialled HEARSAY_TRIES times and then once in HEARSAY_WAIT_S: nobody can point us at a third party.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Container, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, islice
from random import Random
from typing import Final, NamedTuple, TypeVar

from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId
from zmqchat.model.limits import CANDIDATES_MAX, ENDPOINTS_PER_PEER_MAX, PEERS_REMEMBERED_MAX

REDIAL_FIRST_S: Final = 0.1
STRANGER_FIRST_S: Final = 1.0
LINK_HELD_S: Final = 10.0
"""Only a link that was there for this long ends the count of failures."""
SPREAD_PER_PEER_S: Final = 0.125
SPREAD_MAX_S: Final = 2.0
SELF_WAIT_S: Final = 600.0
"""An address that turned out to be ours is not dialled for this long."""
HEARSAY_TRIES: Final = 3
HEARSAY_WAIT_S: Final = 60.0
NOTHING_TO_DIAL_S: Final = 5.0
"""When to look again at a target none of whose endpoints may be dialled now."""

_EVICTION_LOOK: Final = 16
"""Targets looked at for one that may go: a table under pressure must not cost a scan a sighting."""

_SCOPE: Final = re.compile(r"[A-Za-z0-9_.:-]{1,32}")

_Key = TypeVar("_Key")
_Place = tuple[str, int]


@dataclass(slots=True)
class Target:
    """One place to dial.

    peer        None while nobody answered there
    found_by    the first source that named it: "mdns", "config", "store", "exchange", "hello"
    endpoints   best first
    hearsay     places that only others told of: dials so far, and the moment of the last
    linked_s    when the link began that there is now
    in_session  there is a session with this peer now
    """

    peer: PeerId | None
    found_by: str
    endpoints: list[Endpoint]
    due_s: float
    failures: int = 0
    next_endpoint: int = 0
    linked_s: float | None = None
    lost_s: float | None = None
    last_error: str = ""
    held_until_s: float = 0.0
    in_session: bool = False
    dialling: frozenset[Endpoint] = frozenset()
    hearsay: dict[_Place, tuple[int, float]] = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        """Whether the user named it or we have had a link with it."""
        return self.lost_s is not None or self.found_by in ("config", "store")


class Dialable(NamedTuple):
    """Whom this node may dial: these peers, None for all; and bare endpoints, whose owners are not known for sure."""

    peers: Collection[PeerId] | None
    bare: bool


ALL_DIALABLE: Final = Dialable(None, True)


def is_loopback(host: str) -> bool:
    """Whether this host is the loopback, by address or name."""
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


@lru_cache(maxsize=4_096)
def is_usable(endpoint: Endpoint, *, loopback: bool) -> bool:
    """Whether an address that a peer told may be dialled: unicast, a real port, loopback only where allowed."""
    address = _address(endpoint.host)
    if address is None or not 0 < endpoint.door < 65536:
        return False
    if address.is_loopback:
        return loopback
    return not (address.is_multicast or address.is_unspecified or address.is_reserved)


@lru_cache(maxsize=1_024)  # the same few stand in frame after frame
def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that this text is, an IPv4 one also where it is mapped into IPv6; None for names."""
    _, percent, scope = host.partition("%")
    if percent and not _SCOPE.fullmatch(scope):
        return None
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _place(endpoint: Endpoint) -> _Place:
    return endpoint.host, endpoint.door


class AddressBook:
    """Targets by peer and by bare endpoint, bounded; picks who is dialled next."""

    def __init__(self, config: Config, rng: Random) -> None:
        self._config = config
        self._rng = rng
        self._by_peer: dict[PeerId, Target] = {}
        self._by_endpoint: dict[_Place, Target] = {}
        self._self_until_s: dict[_Place, float] = {}
        self._busy: set[_Place] = set()

    def peers(self) -> Iterable[tuple[PeerId, Target]]:
        """All known peers with their targets."""
        return self._by_peer.items()

    def of(self, peer: PeerId) -> Target | None:
        """The target of this peer, None where it was never heard of."""
        return self._by_peer.get(peer)

    def has(self, peer: PeerId, endpoint: Endpoint) -> bool:
        """Whether this very endpoint of the peer is known: to hear of it again is no news."""
        target = self._by_peer.get(peer)
        return target is not None and endpoint in target.endpoints

    def unanswered(self) -> list[tuple[Endpoint, str]]:
        """Addresses that the user named and where nobody has answered yet, with the last reason."""
        return [
            (target.endpoints[0], target.last_error)
            for target in self._by_endpoint.values()
            if target.found_by == "config" and target.peer is None and target.last_error and target.endpoints
        ]

    def of_peer(self, target: Target) -> bool:
        """Whether this is a peer's target: then nobody else may answer there."""
        return target.peer is not None and self._by_peer.get(target.peer) is target

    # What is heard of places -----------------------------------------------------------------------

    def sighted(self, endpoint: Endpoint, peer: PeerId | None, source: str, now_s: float) -> bool:
        """A node may be there; says whether that is news, which makes the target due at once."""
        if self._self_until_s.get(_place(endpoint), 0.0) > now_s:
            return False
        if peer is None:
            return self._sighted_bare(endpoint, source, now_s)
        target = self._by_peer.get(peer)
        if target is None:
            self._make_room(self._by_peer, PEERS_REMEMBERED_MAX + CANDIDATES_MAX)
            target = self._by_peer[peer] = Target(peer, source, [], now_s)
        if source == "config":
            target.found_by = source
        is_new = _merge(target, endpoint, is_hearsay=source == "exchange")
        if is_new or source != "exchange":
            target.due_s = max(target.held_until_s, min(target.due_s, now_s))
        return is_new or source != "exchange"

    def _sighted_bare(self, endpoint: Endpoint, source: str, now_s: float) -> bool:
        target = self._by_endpoint.get(_place(endpoint))
        if target is None:
            self._make_room(self._by_endpoint, CANDIDATES_MAX)
            self._by_endpoint[_place(endpoint)] = Target(None, source, [endpoint], now_s)
            return True
        if source == "config":
            target.found_by = source
        target.due_s = max(target.held_until_s, min(target.due_s, now_s))
        return True

    def learned(self, peer: PeerId, endpoint: Endpoint, told: Iterable[Endpoint], found_by: str) -> Target:
        """A session with this peer began: the endpoint that worked goes first, what it told after it."""
        target = self._by_peer.pop(peer, None)
        if target is None:
            self._make_room(self._by_peer, PEERS_REMEMBERED_MAX + CANDIDATES_MAX)
            target = Target(peer, found_by, [], 0.0)
        self._by_peer[peer] = target
        target.in_session = True
        self._dials_over(target, target.dialling)
        known = [e for e in target.endpoints if _place(e) != _place(endpoint)]
        target.endpoints = [endpoint, *known][:ENDPOINTS_PER_PEER_MAX]
        target.hearsay.pop(_place(endpoint), None)
        for other in told:
            _merge(target, other, is_hearsay=True)
        return target

    def owned(self, endpoint: Endpoint, peer: PeerId) -> str | None:
        """The bare endpoint belongs to this peer; says how it was found. A configured one stays a target."""
        target = self._by_endpoint.get(_place(endpoint))
        if target is None:
            return None
        target.peer = peer
        target.failures = 0
        self._dials_over(target, target.dialling)
        if target.found_by != "config":
            del self._by_endpoint[_place(endpoint)]
        return target.found_by

    def is_self(self, endpoint: Endpoint, now_s: float) -> None:
        """This endpoint is our own door: leave it alone."""
        self._self_until_s[_place(endpoint)] = now_s + SELF_WAIT_S
        if len(self._self_until_s) > CANDIDATES_MAX:
            del self._self_until_s[next(iter(self._self_until_s))]
        self.hold_endpoint(endpoint, now_s + SELF_WAIT_S)

    def forget(self, endpoint: Endpoint) -> None:
        """A configured address is no longer wanted."""
        target = self._by_endpoint.pop(_place(endpoint), None)
        if target is not None:
            self._dials_over(target, target.dialling)

    # What became of dials and links -------------------------------------------------------------------

    def lost(self, peer: PeerId, now_s: float) -> None:
        """The link to this peer broke: it is recent from now on, and due almost at once if the link had held."""
        target = self._by_peer.get(peer)
        if target is None:
            return
        flapped = target.linked_s is not None and now_s - target.linked_s < LINK_HELD_S
        target.in_session = False
        target.linked_s = None
        target.lost_s = now_s
        if flapped:
            self._wait(target, now_s)
        else:
            target.failures = 0
            target.due_s = max(target.held_until_s, now_s + REDIAL_FIRST_S * self._rng.uniform(0.5, 1.5))
        self._delay_bare(target, now_s)

    def never_linked(self, peer: PeerId, reason: str, now_s: float) -> None:
        """A session ended before there was a link: that counts as a failed dial."""
        target = self._by_peer.get(peer)
        if target is not None:
            target.in_session = False
            target.last_error = reason
            self._wait(target, now_s)
            self._delay_bare(target, now_s)

    def _delay_bare(self, target: Target, now_s: float) -> None:
        """A configured address leads to the same node: it is no way around the wait of the peer that answered there."""
        due_s = min(target.due_s, now_s + self._config.redial_max_s)
        for bare in self._by_endpoint.values():
            if bare.peer == target.peer:
                bare.due_s = max(bare.due_s, due_s)

    def hold(self, peer: PeerId, until_s: float) -> None:
        """Do not dial this peer before then, nor a bare endpoint where it answered: it misbehaved, or refused us."""
        _hold(self._by_peer.get(peer), until_s)
        for target in self._by_endpoint.values():
            if target.peer == peer:
                _hold(target, until_s)

    def hold_endpoint(self, endpoint: Endpoint, until_s: float) -> None:
        """Do not dial a bare endpoint before then."""
        _hold(self._by_endpoint.get(_place(endpoint)), until_s)

    def failed(self, endpoint: Endpoint, peer: PeerId | None, reason: str, now_s: float) -> None:
        """A dial ended without a session: wait longer, try the next endpoint."""
        target = self._by_endpoint.get(_place(endpoint)) if peer is None else self._by_peer.get(peer)
        if target is None:
            return
        self._dials_over(target, frozenset((endpoint,)))
        target.last_error = reason
        if peer is None and target.peer in self._by_peer:
            self._by_peer[target.peer].last_error = reason  # who was last seen there
        if not target.dialling:
            self._wait(target, now_s)

    def _dials_over(self, target: Target, endpoints: frozenset[Endpoint]) -> None:
        over = target.dialling & endpoints
        target.dialling -= over
        self._busy.difference_update(map(_place, over))

    def linked(self, peer: PeerId, now_s: float) -> None:
        """There is a link now; whether the failures before it still count is told by how long it holds."""
        target = self._by_peer.get(peer)
        if target is not None:
            target.linked_s = now_s
            target.last_error = ""

    def all_due(self, now_s: float) -> None:
        """Interfaces changed, or the machine woke: every wait is void."""
        spread_s = min(SPREAD_PER_PEER_S * len(self._by_peer), SPREAD_MAX_S)
        for target in chain(self._by_peer.values(), self._by_endpoint.values()):
            target.failures = 0
            target.hearsay = dict.fromkeys(target.hearsay, _UNTRIED)
            target.due_s = max(target.held_until_s, min(target.due_s, now_s + self._rng.uniform(0.0, spread_s)))

    # Who is next ----------------------------------------------------------------------------------------

    def wanted(self, peer: PeerId, endpoints: Iterable[Endpoint], now_s: float) -> bool:
        """A link to this peer is wanted now, also at these hearsay endpoints; False where it can't be dialled now."""
        for endpoint in endpoints:
            self.sighted(endpoint, peer, "exchange", now_s)
        target = self._by_peer.get(peer)
        if target is None or not target.endpoints or target.held_until_s > now_s:
            return False
        target.due_s = min(target.due_s, now_s)
        return True

    def due(
        self, now_s: float, in_session: Container[PeerId | None], dialable: Dialable = ALL_DIALABLE
    ) -> tuple[list[Target], float | None]:
        """Targets to dial now, the known first and then the longest due; and when the next one is."""
        ready: list[Target] = []
        next_s: float | None = None
        for target in self._targets(dialable):
            if target.dialling or target.peer in in_session or not target.endpoints:
                continue
            if target.due_s <= now_s:
                ready.append(target)
            elif next_s is None or target.due_s < next_s:
                next_s = target.due_s
        ready.sort(key=lambda target: (not target.is_known, target.due_s))
        return ready, next_s

    def _targets(self, dialable: Dialable) -> Iterable[Target]:
        """Those that may be dialled: in a partial mesh a few of hundreds, so they are not looked for among all."""
        wanted = dialable.peers
        if wanted is None:
            return chain(self._by_peer.values(), self._by_endpoint.values())
        peers = [self._by_peer[peer] for peer in wanted if peer in self._by_peer]
        return chain(peers, [bare for bare in self._by_endpoint.values() if dialable.bare or bare.peer in wanted])

    def pick(self, target: Target, most: int, is_own: Callable[[Endpoint], bool], now_s: float) -> list[Endpoint]:
        """Up to so many endpoints of a target that `due` gave, being dialled from now on; without any it waits."""
        chosen: list[Endpoint] = []
        is_peers = self.of_peer(target)
        for _ in range(len(target.endpoints)):
            if len(chosen) == most:
                break
            endpoint = target.endpoints[target.next_endpoint % len(target.endpoints)]
            target.next_endpoint += 1
            place = _place(endpoint)
            tries, last_s = target.hearsay.get(place, _UNTRIED)
            is_worn = tries >= HEARSAY_TRIES and now_s - last_s < HEARSAY_WAIT_S
            if is_worn or place in self._busy or self._self_until_s.get(place, 0.0) > now_s or is_own(endpoint):
                continue
            if is_peers and place in self._by_endpoint and self._by_endpoint[place].found_by == "config":
                continue  # dialled as what the user configured, for whoever is there
            if place in target.hearsay:
                target.hearsay[place] = (tries + 1, now_s)
            self._busy.add(place)
            chosen.append(endpoint)
        target.dialling |= set(chosen)
        if not chosen:
            target.due_s = now_s + NOTHING_TO_DIAL_S
        return chosen

    def _wait(self, target: Target, now_s: float) -> None:
        target.failures += 1
        recent = target.lost_s is not None and now_s - target.lost_s < self._config.recent_s
        if recent or target.found_by == "config":
            wait_s: float = min(REDIAL_FIRST_S * 2.0 ** min(target.failures, 20), self._config.redial_max_s)
        else:
            wait_s = min(STRANGER_FIRST_S * 2.0 ** min(target.failures - 1, 20), self._config.redial_gone_max_s)
        target.due_s = max(target.held_until_s, now_s + wait_s * self._rng.uniform(0.75, 1.0))

    def _make_room(self, table: dict[_Key, Target], most: int) -> None:
        """Drop a stranger at random, else one met before, so that made-up targets can't push out the known."""
        if len(table) < most:
            return
        looked_at = list(islice(table, _EVICTION_LOOK))
        loose = [key for key in looked_at if _may_go(table[key])]
        victims = [key for key in loose if not table[key].is_known] or loose
        victim = self._rng.choice(victims) if victims else None
        for key in looked_at:
            target = table.pop(key)
            if key != victim:
                table[key] = target


_UNTRIED: Final = (0, float("-inf"))


def _may_go(target: Target) -> bool:
    return not (target.in_session or target.dialling or target.found_by == "config")


def _hold(target: Target | None, until_s: float) -> None:
    if target is not None:
        target.held_until_s = max(target.held_until_s, until_s)
        target.due_s = max(target.due_s, until_s)


def _merge(target: Target, endpoint: Endpoint, *, is_hearsay: bool) -> bool:
    """Add or complete an endpoint; says whether it is a new place."""
    place = _place(endpoint)
    if not is_hearsay:
        target.hearsay.pop(place, None)
    for index, known in enumerate(target.endpoints):
        if _place(known) == place:
            if endpoint.direct:
                target.endpoints[index] = endpoint
            return False
    if len(target.endpoints) >= ENDPOINTS_PER_PEER_MAX:
        target.hearsay.pop(_place(target.endpoints.pop()), None)
    target.endpoints.append(endpoint)
    if is_hearsay:
        target.hearsay[place] = _UNTRIED
    return True
