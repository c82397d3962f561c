"""Rosters of many nodes over an in-memory network: a manual clock, links as the test wants, one order of events."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Hashable
from random import Random
from typing import cast

from tests.support.fakelink import WALL_START_MS, peer_of
from zmqchat.crypto.twin import TwinCrypto
from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.model.ids import MeshId, PeerId, RoomId, is_peer_id
from zmqchat.protocol.effects import Effect, SetTimer
from zmqchat.protocol.facts import Fact, FrameReceived, Instant, NodeStarted, PeerSighted, TimerFired
from zmqchat.protocol.liveness import Liveness
from zmqchat.protocol.machine import Machine, PeerFaulted, PeerLinked, PeerUnlinked, SendFrame
from zmqchat.protocol.mesh import Mesh
from zmqchat.protocol.peers import Peers
from zmqchat.protocol.presence import Presence
from zmqchat.protocol.recordpool import RecordPool
from zmqchat.protocol.roster import MEMBER_LABEL, Roster
from zmqchat.protocol.roster_facts import ROSTER_FEATURE, MemberDead, MembersLive
from zmqchat.protocol.rostersync import RosterSync
from zmqchat.wire.roster_frames import MemberRecord, pack_record

MESH = MeshId(bytes(range(32)))
LATENCY_S = 0.001


def signed(record: MemberRecord, crypto: TwinCrypto | None = None) -> bytes:
    """The record with its owner's signature, or another's."""
    packed = pack_record(record)
    return (crypto or TwinCrypto(record.peer)).sign(MEMBER_LABEL, MESH + packed) + packed


def member(name: str, version: int = 1, rooms: tuple[bytes, ...] = ()) -> MemberRecord:
    """A record of a made-up member."""
    return MemberRecord(
        peer_of(name), version, (ROSTER_FEATURE,), (Endpoint("10.1.2.3", 42100, 42101, 42102),), rooms, False
    )


class _Links(Machine):
    """Stands for `peers` and `presence`, and writes down what members are said to do."""

    def __init__(self, node: RosterNode) -> None:
        super().__init__()
        self.linked: set[PeerId] = set()
        self.facts = {
            PeerLinked: lambda fact, _at: self.linked.add(fact.peer),
            PeerUnlinked: lambda fact, _at: self.linked.discard(fact.peer),
            SendFrame: lambda fact, _at: node.net.carry(node, fact.peer, fact.payload),
            PeerFaulted: lambda fact, _at: node.faults.append(fact),
            PeerSighted: lambda fact, _at: node.sighted.append(fact),
            MembersLive: lambda fact, at: node.told.append((at.now_s, fact)),
            MemberDead: lambda fact, at: node.told.append((at.now_s, fact)),
        }

    def is_linked(self, peer: PeerId) -> bool:
        """Whether the peer is linked."""
        return peer in self.linked

    def heard(self, _peer: PeerId, _now_s: float) -> None:
        """Signs of life are not of interest here."""


class RosterNode:
    """One node's roster, its anti-entropy and its liveness."""

    def __init__(self, net: RosterNet, name: str) -> None:
        self.net = net
        self.name = name
        self.peer = peer_of(name)
        self.rng = Random(f"{net.seed} {name}")
        self.alive = True
        self.faults: list[PeerFaulted] = []
        self.sighted: list[PeerSighted] = []
        self.told: list[tuple[float, Fact]] = []
        self.sent: list[tuple[PeerId, bytes]] = []
        self.timers: dict[tuple[Hashable, ...], float] = {}
        self.roster = Roster(MESH, TwinCrypto(self.peer), net.config, self.rng, is_peer_id, pool=net.pool)
        self.sync = RosterSync(self.peer, net.config, self.rng, self.roster)
        self.liveness = Liveness(self.peer, net.config, self.roster)
        links = _Links(self)
        self.links = links.linked
        machines = (links, self.roster, self.liveness, self.sync)
        self.mesh = Mesh(machines, cast(Peers, links), cast(Presence, links))
        self.handle(NodeStarted(endpoints=(Endpoint("10.0.0.1", 1, 2, 3),), ports=(1, 2, 3)))

    def handle(self, fact: Fact) -> None:
        """Feed a fact and do what follows from it."""
        if not self.alive:
            return
        at = Instant(self.net.now_s, WALL_START_MS + int(self.net.now_s * 1000))
        self.mesh.handle(fact, at)
        for effect in self.mesh.take_effects():
            self._apply(effect)

    def _apply(self, effect: Effect) -> None:
        assert isinstance(effect, SetTimer), effect
        if effect.at_s is None:
            self.timers.pop(effect.name, None)
            return
        self.timers[effect.name] = effect.at_s

        def fire(at_s: float = effect.at_s) -> None:
            if self.timers.get(effect.name) == at_s:
                del self.timers[effect.name]
                self.handle(TimerFired(name=effect.name))

        self.net.at(max(0.0, effect.at_s - self.net.now_s), fire)

    def knows(self, other: RosterNode) -> bool:
        """Whether the other is live here."""
        return self.roster.is_live(other.peer)

    def in_room(self, room: RoomId) -> list[PeerId]:
        """The members that are said to be in this room."""
        return self.roster.in_room(room)


class RosterNet:
    """Nodes, links and the clock.

    lose     whether a frame (sender, receiver, payload) is lost
    shared   whether all nodes keep their records in one pool
    """

    def __init__(self, seed: int = 1, config: Config | None = None, *, shared: bool = True) -> None:
        self.seed = seed
        self.config = config or Config()
        self.pool = RecordPool() if shared else None
        self.now_s = 0.0
        self.rng = Random(seed)
        self.nodes: dict[PeerId, RosterNode] = {}
        self.sent_bytes = 0
        self.frames = 0
        self.lose: Callable[[RosterNode, RosterNode, bytes], bool] = lambda _a, _b, _payload: False
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def node(self, name: str) -> RosterNode:
        """A new node, or the next life of one."""
        node = RosterNode(self, name)
        self.nodes[node.peer] = node
        return node

    def mesh_of(self, count: int, degree: int) -> list[RosterNode]:
        """Nodes on a ring with chords at random, about `degree` links each."""
        nodes = [self.node(f"node {number}") for number in range(count)]
        for number, node in enumerate(nodes):
            self.link(node, nodes[(number + 1) % count])
            for _ in range(degree // 2 - 1):
                other = self.rng.choice(nodes)
                if other is not node and other.peer not in node.links:
                    self.link(node, other)
        return nodes

    def full_mesh_of(self, count: int) -> list[RosterNode]:
        """Nodes that are all linked to each other."""
        nodes = [self.node(f"node {number}") for number in range(count)]
        for one, other in itertools.combinations(nodes, 2):
            self.link(one, other)
        return nodes

    def link(self, one: RosterNode, other: RosterNode, features: tuple[str, ...] = (ROSTER_FEATURE,)) -> None:
        """Link two nodes."""
        for a, b in ((one, other), (other, one)):
            a.handle(PeerLinked(peer=b.peer, store=bytes(16), generation=1, features=features))

    def unlink(self, one: RosterNode, other: RosterNode, reason: str = "lost") -> None:
        """Cut a link."""
        for a, b in ((one, other), (other, one)):
            if b.peer in a.links:
                a.handle(PeerUnlinked(peer=b.peer, reason=reason))

    def kill(self, node: RosterNode, reason: str = "lost") -> None:
        """The node is gone: each neighbour sees its link go."""
        node.alive = False
        for peer in sorted(node.links):
            self.nodes[peer].handle(PeerUnlinked(peer=node.peer, reason=reason))

    def carry(self, sender: RosterNode, to: PeerId, payload: bytes) -> None:
        """Take a frame to a linked node."""
        receiver = self.nodes[to]
        sender.sent.append((to, payload))
        self.sent_bytes += len(payload)
        self.frames += 1
        if self.lose(sender, receiver, payload):
            return

        def arrive() -> None:
            if sender.peer in receiver.links and to in sender.links:
                receiver.handle(FrameReceived(peer=sender.peer, payload=payload, inbound=True))

        self.at(LATENCY_S, arrive)

    def at(self, delay_s: float, act: Callable[[], None]) -> None:
        """Do this after a while."""
        heapq.heappush(self._heap, (self.now_s + delay_s, next(self._numbers), act))

    def run(self, seconds: float) -> None:
        """Let this much time pass."""
        end_s = self.now_s + seconds
        while self._heap and self._heap[0][0] <= end_s:
            moment_s, _number, act = heapq.heappop(self._heap)
            self.now_s = max(self.now_s, moment_s)
            act()
        self.now_s = end_s
