"""Many overlay machines over a network of links that is a table: a heap of timed calls, one seed.

What `Peers` and `Admission` do is stood in for: a wanted link is there after a moment where the other's door lets it
in, one that is given up is gone at both ends. The census knows who lives. Subnets are those of the endpoints' hosts.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from random import Random

from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId, RoomId
from zmqchat.protocol.effects import SetTimer
from zmqchat.protocol.facts import Fact, Instant, NodeStarted, PeerSighted, TimerFired
from zmqchat.protocol.machine import (
    OVERLAY_FEATURE,
    DialsFailed,
    LinkUnwanted,
    LinkWanted,
    MeshSwitched,
    PeerLinked,
    PeerUnlinked,
    SendFrame,
    SessionEnded,
    Welcomed,
)
from zmqchat.protocol.overlay import Overlay
from zmqchat.protocol.reach import Reach
from zmqchat.sim.author import peer_of
from zmqchat.wire.frames import Frame, decode

LATENCY_S = 0.01
PARTIAL_AT_ONCE = replace(Config(), full_mesh_max=2, full_mesh_again=1)
"""Nodes of such a mesh never link to everybody."""


class CensusOfAll:
    """The members, as a node of the network sees them: those that live, and the dead of whom nobody knows yet."""

    def __init__(self, net: OverlayNet, me: PeerId) -> None:
        self._net = net
        self._me = me

    @property
    def live_count(self) -> int:
        """Live members without this node."""
        return len(self._net.counted) - 1

    def pick(self, count: int, exclude: Iterable[PeerId] = ()) -> Sequence[PeerId]:
        """Live members at random."""
        exclude = {self._me, *exclude}
        picked: list[PeerId] = []
        for _ in range(8 * count):
            node = self._net.rng.choice(self._net.counted)
            if node.peer not in exclude and node.peer not in picked and len(picked) < count:
                picked.append(node.peer)
        return picked

    def endpoints_of(self, peer: PeerId) -> tuple[Endpoint, ...]:
        """Where a member is."""
        node = self._net.by_peer.get(peer)
        return () if node is None else (node.endpoint,)

    def in_room(self, _room: RoomId) -> Iterable[PeerId]:
        """Nobody says which rooms there are."""
        return ()


class OverlayNode:
    """One overlay machine, what its outbox did, and whom it is linked to."""

    def __init__(self, net: OverlayNet, number: int, subnet: int, *, diallable: bool, config: Config) -> None:
        self.net = net
        self.number = number
        self.peer = peer_of(f"overlay {number}")
        self.endpoint = Endpoint(f"10.{subnet // 256}.{subnet % 256}.{number % 250 + 1}", number + 1, 1, 1)
        self.diallable = diallable
        self.linked: set[PeerId] = set()
        self.sent: dict[str, int] = {}
        self.sent_bytes = 0
        self.told: list[Fact] = []
        rng = Random(f"{net.seed} {number}")
        self.reach = Reach()
        self.overlay = net.overlay_type(
            self.peer, config, rng, CensusOfAll(net, self.peer), self.reach, is_valid_peer=lambda _peer: True
        )
        self._timer = 0

    @property
    def degree(self) -> int:
        """How many neighbours it has."""
        return len(self.overlay.neighbours)

    def tell(self, *facts: Fact) -> None:
        """Give the machine facts, and do what it wants."""
        at = self.net.instant
        for fact in facts:
            for machine in (self.reach, self.overlay):
                handler = machine.facts.get(type(fact))
                if handler is not None and not (machine is self.reach and isinstance(fact, TimerFired)):
                    handler(fact, at)
        self._do()

    def receive(self, sender: PeerId, frame: Frame) -> None:
        """A frame came over the link with its sender."""
        if sender in self.linked and self in self.net.alive_set:
            self.net.stirred += 1
            self.overlay.frames[type(frame)](sender, frame, self.net.instant)
            self._do()

    def _do(self) -> None:
        outbox, self.overlay.outbox = self.overlay.outbox, []
        self.reach.outbox = []
        for item in outbox:
            if isinstance(item, SendFrame):
                self._send(item)
            elif isinstance(item, LinkWanted):
                self.net.dial(self, item)
            elif isinstance(item, LinkUnwanted):
                self.net.later(item.linger_s, partial(self.net.unlink, self.peer, item.peer, "surplus"))
            elif isinstance(item, (MeshSwitched, PeerSighted)):
                self.told.append(item)
            elif isinstance(item, SetTimer) and item.at_s is not None:
                self._timer += 1
                self.net.later(item.at_s - self.net.now_s, partial(self._fire, self._timer))

    def _send(self, item: SendFrame) -> None:
        frame = decode(item.payload)
        assert isinstance(frame, Frame), frame
        kind = type(frame).__name__
        self.sent[kind] = self.sent.get(kind, 0) + 1
        self.sent_bytes += len(item.payload)
        other = self.net.by_peer.get(item.peer)
        if other is not None:
            self.net.later(LATENCY_S, partial(other.receive, self.peer, frame))

    def _fire(self, number: int) -> None:
        if number == self._timer and self in self.net.alive_set:
            self.tell(TimerFired(name=("overlay", "tick")))


class OverlayNet:
    """The network: nodes, links, time.

    counted   the nodes that everybody's member table says are alive
    stirred   counts what may change who is linked to whom
    """

    def __init__(self, seed: int = 1, config: Config = PARTIAL_AT_ONCE, overlay_type: type[Overlay] = Overlay) -> None:
        self.seed = seed
        self.overlay_type = overlay_type
        self.rng = Random(f"net {seed}")
        self.config = config
        self.now_s = 0.0
        self.nodes: list[OverlayNode] = []
        self.alive: list[OverlayNode] = []
        self.counted: list[OverlayNode] = []
        self.stirred = 0
        self.alive_set: set[OverlayNode] = set()
        self.alive_peers: set[PeerId] = set()
        self.by_peer: dict[PeerId, OverlayNode] = {}
        self.blocked: Callable[[OverlayNode, OverlayNode], bool] = lambda _dialler, _door: False
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()

    @property
    def instant(self) -> Instant:
        """Now, for a machine."""
        return Instant(self.now_s, int(1000 * self.now_s))

    def later(self, wait_s: float, call: Callable[[], object]) -> None:
        """Call this in a while."""
        heapq.heappush(self._heap, (self.now_s + max(0.0, wait_s), next(self._numbers), call))

    def forget(self) -> None:
        """Whatever is under way never comes."""
        self._heap.clear()

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end_s = self.now_s + seconds
        while self._heap and self._heap[0][0] <= end_s:
            self.now_s, _number, call = heapq.heappop(self._heap)
            call()
        self.now_s = end_s

    def add(self, *, subnet: int = 0, diallable: bool = True, contact: OverlayNode | None = None) -> OverlayNode:
        """Start a node; it is linked to a contact, as after the first dial."""
        node = OverlayNode(self, len(self.nodes), subnet, diallable=diallable, config=self.config)
        self.nodes.append(node)
        self.by_peer[node.peer] = node
        self.alive.append(node)
        self.counted.append(node)
        self.alive_set.add(node)
        self.alive_peers.add(node.peer)
        node.tell(NodeStarted(endpoints=(node.endpoint,), ports=(1, 2, 3)))
        if contact is not None:
            self.link(node, contact)
        return node

    def grow(self, count: int, per_s: float = 20.0, subnets: int = 1) -> None:
        """Add nodes one after the other, each linked to a random one that is there."""
        for _ in range(count):
            contact = self.rng.choice(self.alive) if self.alive else None
            self.add(subnet=len(self.nodes) % subnets, contact=contact)
            self.run(1.0 / per_s)

    def dial(self, node: OverlayNode, wanted: LinkWanted) -> None:
        """What `Peers` makes of a wish."""
        self.later(2 * LATENCY_S, partial(self._dialled, node, wanted.peer))

    def _dialled(self, node: OverlayNode, peer: PeerId) -> None:
        if node not in self.alive_set or peer in node.linked:
            return
        door = self.by_peer.get(peer)
        if door is None or door not in self.alive_set:
            node.tell(DialsFailed(peer=peer, reason="refused"))
        elif not door.diallable or self.blocked(node, door):
            node.tell(DialsFailed(peer=peer, reason="unreachable"))
        elif not door.overlay.may_accept(node.peer):
            node.tell(DialsFailed(peer=peer, reason="full"))
        else:
            self.link(node, door)

    def link(self, dialler: OverlayNode, door: OverlayNode, features: tuple[str, ...] | None = None) -> None:
        """A link between two."""
        self.stirred += 1
        for node, other, dialled in ((dialler, door, True), (door, dialler, False)):
            node.linked.add(other.peer)
            node.tell(_welcomed(other, dialled=dialled, features=features))
        for node, other in ((dialler, door), (door, dialler)):
            node.tell(PeerLinked(peer=other.peer, store=bytes(16), generation=1))

    def unlink(self, one: PeerId, other: PeerId, reason: str) -> None:
        """The link between two ends, at both."""
        self.stirred += 1
        for peer, gone in ((one, other), (other, one)):
            node = self.by_peer[peer]
            if gone in node.linked:
                node.linked.discard(gone)
                if node in self.alive_set:
                    node.tell(PeerUnlinked(peer=gone, reason=reason), SessionEnded(peer=gone, reason=reason))

    def kill(self, nodes: Iterable[OverlayNode], *, unnoticed: bool = False) -> None:
        """These are gone without a word; links to them break, and unless `unnoticed` the member tables forget them."""
        gone = set(nodes)
        self.alive = [node for node in self.alive if node not in gone]
        if not unnoticed:
            self.counted = [node for node in self.counted if node not in gone]
        self.alive_set -= gone
        self.alive_peers -= {node.peer for node in gone}
        for node in sorted(gone, key=lambda node: node.number):
            for peer in sorted(node.linked):
                self.unlink(node.peer, peer, "lost")

    # What a test looks at --------------------------------------------------------------------------------

    def graph(self) -> dict[PeerId, list[PeerId]]:
        """Live nodes with their live neighbours, as both see it."""
        return {
            node.peer: [
                peer
                for peer in sorted(node.overlay.neighbours)
                if peer in self.alive_peers and node.peer in self.by_peer[peer].overlay.neighbours
            ]
            for node in self.alive
        }

    def reached(
        self, start: PeerId | None = None, graph: dict[PeerId, list[PeerId]] | None = None
    ) -> dict[PeerId, int]:
        """Hops from a live node to all that its neighbours (or the links of this graph) lead to."""
        graph = self.graph() if graph is None else graph
        first = self.alive[0].peer if start is None else start
        hops = {first: 0}
        queue = deque((first,))
        while queue:
            peer = queue.popleft()
            for other in graph[peer]:
                if other not in hops:
                    hops[other] = hops[peer] + 1
                    queue.append(other)
        return hops

    @property
    def is_connected(self) -> bool:
        """Whether everybody can be reached from anybody over neighbours."""
        return len(self.reached()) == len(self.alive)

    @property
    def is_linked_throughout(self) -> bool:
        """Whether everybody can be reached from anybody over links of any standing."""
        return len(self.reached(graph={node.peer: sorted(node.linked) for node in self.alive})) == len(self.alive)

    def degrees(self) -> list[int]:
        """How many neighbours each live node has, rising."""
        return sorted(len(neighbours) for neighbours in self.graph().values())

    def path_length(self, starts: int = 20) -> float:
        """The average of hops between live nodes, from a sample of starts."""
        graph = self.graph()
        chosen = self.rng.sample(self.alive, min(starts, len(self.alive)))
        hops = [count for node in chosen for count in self.reached(node.peer, graph).values() if count]
        return sum(hops) / len(hops)

    def clustering(self) -> float:
        """The average of how many of a node's neighbours are each other's, of all that could be."""
        graph = {peer: set(neighbours) for peer, neighbours in self.graph().items()}
        shares = []
        for neighbours in graph.values():
            pairs = list(itertools.combinations(sorted(neighbours), 2))
            if pairs:
                shares.append(sum(b in graph[a] for a, b in pairs) / len(pairs))
        return sum(shares) / len(shares) if shares else 0.0


def _welcomed(other: OverlayNode, *, dialled: bool, features: tuple[str, ...] | None) -> Welcomed:
    return Welcomed(
        peer=other.peer,
        dialled=dialled,
        endpoint=other.endpoint,
        told=(other.endpoint,),
        instance=bytes(16),
        store=bytes(16),
        generation=1,
        version=1,
        features=(OVERLAY_FEATURE,) if features is None else features,
    )
