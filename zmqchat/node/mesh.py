"""The whole mesh as one node knows it: nodes, links and subnets, as plain data.

How it is put together. Members are those linked to, those that the roster knows to be live and those of whom a link is
told. This node's own links are certain; links between two others are what linked peers tell of themselves, so in a
partial mesh most of them are unknown. A node without a link is reached via a linked peer that says it has one to it.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from zmqchat.model.addresses import format_address
from zmqchat.model.ids import PeerId, peer_short, peer_text
from zmqchat.node.core import Core
from zmqchat.node.values import Peer

UNKNOWN_SUBNET: Final = ""
"""Of nodes whose address is no number or not known."""

_IPV4_BITS: Final = 24
_IPV6_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class MeshNode:
    """A member of the mesh.

    id         its peer id
    name       its nickname, cleaned; a claim, not a proof
    is_self    this node
    online     in touch now, by link or by what the others say
    linked     this node has a link to it
    via        the linked peer that says it has a link to it; None for linked ones and where nobody does
    hops       links on the shortest known way from here, 0 for this node itself, None where none is known
    address    HOST:PORT of its door, None where it is not known
    subnet     the /24 (IPv4) or /64 (IPv6) of that address, "" where it is not known
    found_by   as in `Peer`
    rtt_s      smoothed round trip in seconds, None without a link
    slow       too far behind to be sent messages: it fetches them later
    """

    id: PeerId
    name: str
    is_self: bool = False
    online: bool = True
    linked: bool = False
    via: PeerId | None = None
    hops: int | None = None
    address: str | None = None
    subnet: str = UNKNOWN_SUBNET
    found_by: str | None = None
    rtt_s: float | None = None
    slow: bool = False

    @property
    def id_text(self) -> str:
        """The peer id in full, 52 characters of base32."""
        return peer_text(self.id)

    @property
    def short(self) -> str:
        """The first 8 characters of the id in two groups."""
        return peer_short(self.id)


@dataclass(frozen=True, slots=True)
class MeshView:
    """The mesh as this node knows it now.

    nodes       by id, this node among them
    links       pairs of ids, the smaller first, sorted
    is_partial  the mesh is so large that each node links to a few others only
    """

    nodes: tuple[MeshNode, ...]
    links: tuple[tuple[PeerId, PeerId], ...]
    is_partial: bool

    @property
    def subnets(self) -> dict[str, int]:
        """How many nodes are in each subnet, by its name."""
        counts: dict[str, int] = {}
        for node in self.nodes:
            counts[node.subnet] = counts.get(node.subnet, 0) + 1
        return dict(sorted(counts.items()))


def subnet_of(host: str) -> str:
    """The /24 of an IPv4 address, the /64 of an IPv6 one, "" for a name."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return UNKNOWN_SUBNET
    bits = _IPV4_BITS if address.version == 4 else _IPV6_BITS
    return str(ipaddress.ip_network(f"{address}/{bits}", strict=False))


def ways(me: PeerId, links: tuple[tuple[PeerId, PeerId], ...]) -> Mapping[PeerId, tuple[int, PeerId]]:
    """The hops to each node that the links lead to, and the neighbour on the way: the first by id of several."""
    beside: dict[PeerId, list[PeerId]] = {}
    for one, other in links:
        beside.setdefault(one, []).append(other)
        beside.setdefault(other, []).append(one)
    found: dict[PeerId, tuple[int, PeerId]] = {me: (0, me)}
    queue = deque([me])
    while queue:
        here = queue.popleft()
        hops, first = found[here]
        for there in sorted(beside.get(here, ())):
            if there not in found:
                found[there] = (hops + 1, there if here == me else first)
                queue.append(there)
    return found


def view_mesh(core: Core, own_address: str) -> MeshView:
    """What a node's machines know of the mesh."""
    machines = core.machines
    linked = machines.peers.linked
    pairs = {_pair(core.me, peer) for peer in linked}
    for peer in linked:
        told = machines.exchange.linked_of.get(peer, frozenset())
        pairs |= {_pair(peer, other) for other in told if other not in {peer, core.me}}
    links = tuple(sorted(pairs))
    found = ways(core.me, links)
    members = {core.me, *linked, *machines.roster.members_live(), *found}
    nodes = tuple(_node(core, peer, own_address, found) for peer in sorted(members))
    return MeshView(nodes=nodes, links=links, is_partial=machines.overlay.is_partial)


def _pair(one: PeerId, other: PeerId) -> tuple[PeerId, PeerId]:
    return (one, other) if one < other else (other, one)


def _node(core: Core, peer: PeerId, own_address: str, found: Mapping[PeerId, tuple[int, PeerId]]) -> MeshNode:
    if peer == core.me:
        host = own_address.rpartition(":")[0].strip("[]")
        return MeshNode(peer, core.name, is_self=True, hops=0, address=own_address, subnet=subnet_of(host))
    known: Peer = core.peer(peer)
    address = known.address
    if address is None:
        published = core.machines.roster.endpoints_of(peer)
        address = format_address(published[0].host, published[0].door) if published else None
    linked = core.machines.peers.is_linked(peer)
    hops, via = found.get(peer, (None, None))
    return MeshNode(
        id=peer,
        name=known.name,
        online=known.online,
        linked=linked,
        via=None if linked else via,
        hops=hops,
        address=address,
        subnet=UNKNOWN_SUBNET if address is None else subnet_of(address.rpartition(":")[0].strip("[]")),
        found_by=known.found_by,
        rtt_s=known.rtt_s,
        slow=core.data.broadcast.is_slow(peer),
    )
