"""The whole mesh as one node knows it: nodes, links and subnets, as plain data.

How it is put together. Members are those linked to, those that the roster knows to be live and those of whom a link is
told. This node's own links are certain; links between two others are hearsay: what linked peers tell of themselves all
the time, and what a survey (`protocol/survey`) has brought. In a large mesh some stay unknown. A node without a link is
reached via the linked peer that the shortest known way begins with, else via the one that its messages came by.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from zmqchat.model.addresses import format_address
from zmqchat.model.ids import PeerId, RoomId, peer_short, peer_text
from zmqchat.node.core import Core
from zmqchat.node.values import Peer
from zmqchat.wire.roster_frames import PREFIX_BYTES

SURVEY_S: Final = 1.0
"""How long peers have to tell of their links; those who are busy are left out."""

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
    via        the linked peer on the way to it; None for linked ones and where nobody knows
    hops       links on the shortest known way from here, 0 for this node itself, None where none is known
    address    HOST:PORT of its door, None where it is not known
    subnet     the /24 (IPv4) or /64 (IPv6) of that address, "" where it is not known
    found_by   as in `Peer`; "gossip" where only other members tell of it
    rtt_s      smoothed round trip in seconds, None without a link
    slow       too far behind to be sent messages: it fetches them later
    lacks      about how many messages of ours, of rooms that both are in, it is not known to hold; None where it is
               not known
    keeps      how many of our rooms it keeps for those who are away, without being in them; of this node itself, how
               many rooms of others
    gapped     no link to it can be had, in a mesh so small that all should have one: others relay between the two
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
    lacks: int | None = None
    keeps: int = 0
    gapped: bool = False

    @property
    def id_text(self) -> str:
        """The peer id in full, 52 characters of base32."""
        return peer_text(self.id)

    @property
    def short(self) -> str:
        """The first 8 characters of the id in two groups."""
        return peer_short(self.id)

    @property
    def peer(self) -> Peer:
        """The same as `node.peers` gives those with a link."""
        return Peer(self.id, self.name, self.online, self.address, self.found_by, self.rtt_s)


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
    members = {core.me, *linked, *machines.roster.members_live(), *itertools.chain.from_iterable(pairs)}
    pairs |= _surveyed(core, members)
    links = tuple(sorted(pairs))
    gapped = frozenset(machines.gaps.unreached)
    look = _Look(core, ways(core.me, links), core.data.broadcast.paths.leading(), _rooms_of(core), gapped)
    nodes = tuple(_own(core, own_address) if peer == core.me else _node(look, peer) for peer in sorted(members))
    return MeshView(nodes=nodes, links=links, is_partial=machines.overlay.is_partial)


class _Look(NamedTuple):
    """What all nodes of one view are made from.

    found    hops and the first link of the known ways
    leading  by author, the link over which its messages came
    rooms    by member, the rooms that it is in besides us
    gapped   the members that no link can be had to
    """

    core: Core
    found: Mapping[PeerId, tuple[int, PeerId]]
    leading: Mapping[PeerId, PeerId]
    rooms: Mapping[PeerId, Sequence[RoomId]]
    gapped: frozenset[PeerId]


def _surveyed(core: Core, members: Iterable[PeerId]) -> set[tuple[PeerId, PeerId]]:
    """The links between two others that a survey has brought, between members that are known here."""
    by_prefix = {peer[:PREFIX_BYTES]: peer for peer in members if peer != core.me}
    return {
        _pair(by_prefix[owner], by_prefix[other])
        for owner, others in core.machines.survey.known(core.runner.now().now_s)
        if owner in by_prefix
        for other in others
        if other in by_prefix and other != owner
    }


def _rooms_of(core: Core) -> Mapping[PeerId, Sequence[RoomId]]:
    rooms: dict[PeerId, list[RoomId]] = {}
    for room in core.data.ledger.joined_rooms():
        for peer in {*core.data.membership.book(room).members(), *core.data.interests.members_in(room)}:
            rooms.setdefault(peer, []).append(room)
    return rooms


def _lacks(look: _Look, peer: PeerId) -> int | None:
    """What of ours the peer is not known to hold, over all rooms; who is in none of ours lacks nothing."""
    speaks = look.core.machines.peers.is_linked(peer)
    counts = [look.core.data.receipts.lacking(room, peer, speaks=speaks) for room in look.rooms.get(peer, ())]
    return None if None in counts else sum(filter(None, counts))


def _pair(one: PeerId, other: PeerId) -> tuple[PeerId, PeerId]:
    return (one, other) if one < other else (other, one)


def _own(core: Core, address: str) -> MeshNode:
    host = address.rpartition(":")[0].strip("[]")
    return MeshNode(
        core.me,
        core.name,
        is_self=True,
        hops=0,
        address=address,
        subnet=subnet_of(host),
        lacks=0,
        keeps=len(core.data.keeping.rooms()),
    )


def _node(look: _Look, peer: PeerId) -> MeshNode:
    core = look.core
    known: Peer = core.peer(peer)
    address = known.address
    if address is None:
        published = core.machines.roster.endpoints_of(peer)
        address = format_address(published[0].host, published[0].door) if published else None
    linked = core.machines.peers.is_linked(peer)
    hops, via = look.found.get(peer, (None, look.leading.get(peer)))
    return MeshNode(
        id=peer,
        name=known.name,
        online=known.online,
        linked=linked,
        via=None if linked else via,
        hops=hops,
        address=address,
        subnet=UNKNOWN_SUBNET if address is None else subnet_of(address.rpartition(":")[0].strip("[]")),
        found_by=known.found_by or ("gossip" if core.machines.roster.is_live(peer) else None),
        rtt_s=known.rtt_s,
        slow=core.data.broadcast.is_slow(peer) or core.data.fanout.is_lazy(peer),
        lacks=_lacks(look, peer),
        keeps=len(core.data.interests.kept_by(peer).intersection(core.data.ledger.joined_rooms())),
        gapped=peer in look.gapped,
    )
