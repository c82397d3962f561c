"""The two views of HyParView (Leitão, Pereira, Rodrigues, DSN 2007, section 4.1): links, and peers in reserve.

The active view is the links themselves, each with its standing. The passive view holds contacts that are dialled when a
link is missing. Ours beside the paper's are the guards against who wants to be all that a node sees:

- Where a node knows peers of several subnets, one subnet gets at most half of the active view, and pushes out only
  its own. In the reserve it loses the first entries as soon as it has more than half. A subnet is an IPv4 /24 or an
  IPv6 /48, as seen at the socket for links, as claimed for the reserve. Where all are of one subnet nothing is limited.
- One peer fills at most a quarter of the reserve, whatever it tells.
- A link to somebody whom we could not dial is given up last: it can't be had back (`Reach`).
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Final, NamedTuple

from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId
from zmqchat.model.limits import (
    CONTACTS_PER_LINK_MAX,
    OVERLAY_FRAMES_PER_S_MAX,
    PASSIVE_PER_NEIGHBOUR,
    PASSIVE_PER_SOURCE,
    TRANSIENT_LINKS_MAX,
)
from zmqchat.wire.overlay_frames import Contact, Priority

ALLOWANCE_S: Final = 4.0
"""What may come in this time may come at once."""


class Shape(NamedTuple):
    """How many of everything, as it follows from the links that a node strives for (8: 6 to 12, 4, 48)."""

    wanted: int
    least: int
    most: int
    visitors: int
    passive: int

    @classmethod
    def of(cls, config: Config) -> Shape:
        """The numbers for this configuration."""
        wanted = int(config.neighbours)
        return cls(wanted, wanted * 3 // 4, wanted * 3 // 2, max(1, wanted // 2), wanted * PASSIVE_PER_NEIGHBOUR)

    @property
    def sessions(self) -> int:
        """Sessions that a partial mesh's door lets in: neighbours, our own visit, visitors, and some under way."""
        return self.most + 1 + self.visitors + TRANSIENT_LINKS_MAX


class Allowance:
    """So many a second, and what `burst_s` seconds bring at once."""

    def __init__(self, per_s: float, burst_s: float = ALLOWANCE_S) -> None:
        self._per_s = per_s
        self._left = self._most = per_s * burst_s
        self._at_s: float | None = None

    def take(self, now_s: float) -> bool:
        """Whether one more is allowed now; then it counts."""
        if self._at_s is not None:
            self._left = min(self._most, self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Standing(Enum):
    """What a link is for."""

    FRESH = "the peer has yet to say what it wants"
    ASKED = "we asked the peer to be our neighbour"
    NEIGHBOUR = "in the active view of both"
    VISIT = "our passing link to anywhere in the mesh"
    VISITOR = "such a link of the peer's"
    PARTING = "about to be closed"


@dataclass(slots=True)
class Linked:
    """A link of the partial mesh.

    endpoints       where others may dial the peer, none where nobody can
    over_loopback   whether loopback endpoints mean the same to it
    speaks          whether it knows the frames of the overlay
    wish            what we asked it for
    due_s           when it is over with this standing, None for never
    joined          its JOIN was heeded: once a link
    """

    subnet: str
    endpoints: tuple[Endpoint, ...]
    over_loopback: bool
    speaks: bool
    standing: Standing
    contacts: Allowance
    wish: Priority | None = None
    due_s: float | None = None
    joined: bool = False
    frames: Allowance = field(default_factory=lambda: Allowance(OVERLAY_FRAMES_PER_S_MAX))


@dataclass(slots=True)
class Met:
    """A session: where its peer is, and what it speaks."""

    host: str
    endpoints: tuple[Endpoint, ...]
    dialled: bool
    speaks: bool


def contacts_allowance(shuffle_interval_s: float) -> Allowance:
    """What one link may add to the reserve."""
    return Allowance(CONTACTS_PER_LINK_MAX / shuffle_interval_s, shuffle_interval_s)


def subnet_of(host: str) -> str:
    """The IPv4 /24 or IPv6 /48 that this address is in; another host's name as it is."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    packed = address.packed
    return packed[:3].hex() if len(packed) == 4 else packed[:6].hex()


class ActiveView:
    """All links by peer; who is a neighbour, and who gives way."""

    def __init__(self, shape: Shape, rng: Random) -> None:
        self._shape = shape
        self._rng = rng
        self.links: dict[PeerId, Linked] = {}

    def with_standing(self, *standings: Standing) -> list[PeerId]:
        """The peers whose links stand so, oldest first."""
        return [peer for peer, link in self.links.items() if link.standing in standings]

    @property
    def neighbours(self) -> list[PeerId]:
        """The active view, oldest first."""
        return self.with_standing(Standing.NEIGHBOUR)

    def random(self, exclude: Container[PeerId] = ()) -> PeerId | None:
        """A neighbour that knows the overlay's frames."""
        found = [peer for peer in self.neighbours if peer not in exclude and self.links[peer].speaks]
        return self._rng.choice(found) if found else None

    def is_crowded(self, subnet: str, known: Iterable[str]) -> bool:
        """Whether this subnet has its half of the view already, while others are known."""
        subnets = Counter(self.links[peer].subnet for peer in self.neighbours)
        if 2 * subnets[subnet] < self._shape.most:
            return False
        return any(other != subnet for other in subnets) or any(other != subnet for other in known)

    def victim(self, undiallable: Container[PeerId], *, keep: PeerId | None, of_subnet: str | None) -> PeerId | None:
        """The neighbour to give up: of this subnet, else of one with over half the view, else any; None without one."""
        found = [peer for peer in self.neighbours if peer != keep and self.links[peer].speaks]
        subnets = Counter(self.links[peer].subnet for peer in found)
        if of_subnet is None and len(subnets) > 1:
            of_subnet = next((subnet for subnet, held in subnets.items() if 2 * held > self._shape.most), None)
        if of_subnet is not None:
            found = [peer for peer in found if self.links[peer].subnet == of_subnet]
        found = [peer for peer in found if peer not in undiallable] or found
        return self._rng.choice(found) if found else None


@dataclass(slots=True)
class _Reserve:
    endpoints: tuple[Endpoint, ...]
    subnet: str
    source: PeerId
    held_until_s: float = 0.0


class PassiveView:
    """Contacts in reserve, bounded; random replacement (section 4.4) within the guards above."""

    def __init__(self, most: int, rng: Random) -> None:
        self._most = most
        self._per_source = max(1, most // PASSIVE_PER_SOURCE)
        self._rng = rng
        self._entries: dict[PeerId, _Reserve] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, peer: object) -> bool:
        return peer in self._entries

    def __iter__(self) -> Iterator[PeerId]:
        return iter(self._entries)

    def subnets(self) -> Iterator[str]:
        """The subnet of each entry."""
        return (entry.subnet for entry in self._entries.values())

    def add(self, contact: Contact, source: PeerId, sent: Iterable[PeerId] = ()) -> None:
        """Keep a contact that `source` told; what we `sent` it in exchange gives way first."""
        peer, endpoints = contact
        known = self._entries.get(peer)
        if known is not None or not endpoints:
            return
        of_source = [other for other, entry in self._entries.items() if entry.source == source]
        if len(of_source) >= self._per_source:
            del self._entries[self._rng.choice(of_source)]
        elif len(self._entries) >= self._most:
            del self._entries[self._victim(sent)]
        self._entries[peer] = _Reserve(endpoints, subnet_of(endpoints[0].host), source)

    def _victim(self, sent: Iterable[PeerId]) -> PeerId:
        subnets = Counter(self.subnets())
        subnet, held = subnets.most_common(1)[0]
        if len(subnets) > 1 and 2 * held > self._most:
            return self._rng.choice([peer for peer, entry in self._entries.items() if entry.subnet == subnet])
        for peer in sent:
            if peer in self._entries:
                return peer
        return self._rng.choice(list(self._entries))

    def remove(self, peer: PeerId) -> None:
        """Forget a contact."""
        self._entries.pop(peer, None)

    def hold(self, peer: PeerId, until_s: float) -> None:
        """Do not pick this contact before then."""
        entry = self._entries.get(peer)
        if entry is not None:
            entry.held_until_s = max(entry.held_until_s, until_s)

    def pick(self, now_s: float, exclude: Container[PeerId], crowded: Container[str]) -> Contact | None:
        """A contact to dial now, None where there is none."""
        found = [
            peer
            for peer, entry in self._entries.items()
            if entry.held_until_s <= now_s and peer not in exclude and entry.subnet not in crowded
        ]
        if not found:
            return None
        peer = self._rng.choice(found)
        return Contact(peer, self._entries[peer].endpoints)

    def sample(self, count: int) -> list[Contact]:
        """So many contacts at random."""
        peers = self._rng.sample(list(self._entries), min(count, len(self._entries)))
        return [Contact(peer, self._entries[peer].endpoints) for peer in peers]
