"""Many nodes' trees over an in-memory network: the machine `Broadcast` alone, so that ten thousand fit a test.

A node here has no store: its own batches count as stored when it says something, and what its tree brings is only
counted. The network delivers in the order of a heap, each link in order, with the delay that the test gives it.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Callable, Hashable
from random import Random

from zmqchat.history.batch import Batch
from zmqchat.model.config import Config
from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.protocol.broadcast import Broadcast
from zmqchat.protocol.data_facts import BatchesStored, BatchReceived, StoredBatch
from zmqchat.protocol.effects import SetTimer
from zmqchat.protocol.facts import Fact, Instant, TimerFired
from zmqchat.protocol.gaps import Gaps
from zmqchat.protocol.interests import Interests
from zmqchat.protocol.ledger import Ledger
from zmqchat.protocol.machine import (
    OVERLAY_FEATURE,
    EchoHeard,
    EchoWanted,
    PeerFaulted,
    PeerLinked,
    PeerSlow,
    PeerUnlinked,
    SendFrame,
)
from zmqchat.sim.author import WALL_START_MS, Author, lobby
from zmqchat.wire.frames import Frame, decode


class NoCensus:
    """The members that a tree knows of, and asks for only where the mesh is full: none."""

    live_count = 0

    def is_live(self, _peer: PeerId) -> bool:
        """Nobody is known."""
        return False

    def members_live(self) -> list[PeerId]:
        """Nobody."""
        return []


class TreeNode:
    """A node's tree.

    got     by batch (its raw bytes), when and how often it reached the rest of the node
    sent    frames by type name; sent_bytes their payloads
    """

    def __init__(self, net: TreeNet, name: str, joined: bool = True) -> None:
        self.net = net
        self.author = Author(name)
        self.peer = self.author.peer
        self.alive = True
        self.ledger = Ledger(self.peer)
        self.ledger.own_log = 1
        if joined:
            self.ledger.room(lobby()).joined = True
            self.ledger.rooms_changed()
        self.interests = Interests(self.ledger)
        gaps = Gaps(self.peer, Config(), NoCensus(), is_partial=lambda: True, is_suspect=lambda _peer: False)
        self.broadcast = Broadcast(
            self.author.crypto, self.ledger, self.interests, lambda _peer: net.rtt_s, lambda: True, gaps
        )
        self.got: dict[bytes, list[float]] = {}
        self.sent: Counter[str] = Counter()
        self.sent_bytes = 0
        self.faults: list[PeerFaulted] = []
        self.slow: list[PeerId] = []
        self.timers: dict[tuple[Hashable, ...], float] = {}
        self.last: Batch | None = None

    def instant(self) -> Instant:
        """Now, here."""
        return Instant(self.net.now_s, WALL_START_MS + int(self.net.now_s * 1000))

    def say(self, text: str = "x", room: RoomId | None = None) -> Batch:
        """A batch of this node's is durable."""
        batch = self.author.batch((text,), after=self.last, room=room)
        self.last = batch
        stored = StoredBatch(batch, LogKey(self.peer, 1), None)
        self.handle(BatchesStored(batches=(stored,)))
        return batch

    def handle(self, fact: Fact) -> None:
        """A fact, and what follows from it."""
        if not self.alive:
            return
        handler = self.broadcast.facts.get(type(fact))
        if handler is not None:
            handler(fact, self.instant())
        self._apply()

    def receive(self, peer: PeerId, frame: Frame) -> None:
        """A frame of a linked peer."""
        if self.alive:
            self.broadcast.frames[type(frame)](peer, frame, self.instant())
            self._apply()

    def _apply(self) -> None:
        items, self.broadcast.outbox = self.broadcast.outbox, []
        for item in items:
            if isinstance(item, SendFrame):
                frame = decode(item.payload)
                assert isinstance(frame, Frame)
                self.sent[type(frame).__name__] += 1
                self.sent_bytes += len(item.payload)
                self.net.carry(self, item.peer, frame)
            elif isinstance(item, BatchReceived):
                self.got.setdefault(item.raw, []).append(self.net.now_s)
            elif isinstance(item, PeerFaulted):
                self.faults.append(item)
            elif isinstance(item, PeerSlow):
                self.slow.append(item.peer)
            elif isinstance(item, EchoWanted):
                self.net.ping(self, item.peer)
            elif isinstance(item, SetTimer):
                self._set_timer(item)

    def _set_timer(self, effect: SetTimer) -> None:
        assert effect.at_s is not None
        at_s = self.timers[effect.name] = effect.at_s

        def fire() -> None:
            if self.timers.get(effect.name) == at_s:
                del self.timers[effect.name]
                self.handle(TimerFired(name=effect.name))

        self.net.at(at_s - self.net.now_s, fire)

    def sizes(self) -> None:
        """Every bound holds."""
        for size in self.broadcast.sizes():
            assert size.kept <= size.most, size


class TreeNet:
    """Nodes, links with their delays, and the clock.

    delay_s  of a link, drawn once for each (both directions alike)
    lose     whether this frame from one to another is lost; double: whether it comes twice
    tap      is told of each frame that is sent, with its sender and receiver
    hold     further seconds by which it is late, so that it may be overtaken
    echo_s   how long a peer takes to answer a node's ping
    """

    def __init__(self, seed: int = 1, rtt_s: float = 0.002) -> None:
        self.rng = Random(seed)
        self.now_s = 0.0
        self.rtt_s = rtt_s
        self.nodes: list[TreeNode] = []
        self.by_peer: dict[PeerId, TreeNode] = {}
        self.delays: dict[tuple[PeerId, PeerId], float] = {}
        self.delay_s: Callable[[], float] = lambda: self.rng.uniform(0.25, 0.75) * self.rtt_s
        self.lose: Callable[[TreeNode, TreeNode, Frame], bool] = lambda _a, _b, _frame: False
        self.double: Callable[[TreeNode, TreeNode, Frame], bool] = lambda _a, _b, _frame: False
        self.hold: Callable[[TreeNode, TreeNode, Frame], float] = lambda _a, _b, _frame: 0.0
        self.echo_s: Callable[[TreeNode, PeerId], float] = lambda _node, _peer: self.rtt_s
        self.tap: Callable[[TreeNode, PeerId, Frame], None] = lambda _sender, _to, _frame: None
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def add(self, count: int, joined: bool = True, prefix: str = "n") -> list[TreeNode]:
        """So many more nodes."""
        made = [TreeNode(self, f"{prefix}{len(self.nodes) + index}", joined) for index in range(count)]
        self.nodes += made
        self.by_peer.update((node.peer, node) for node in made)
        return made

    def link(self, one: TreeNode, other: TreeNode) -> None:
        """Link two nodes."""
        if (one.peer, other.peer) in self.delays:
            return
        delay_s = self.delay_s()
        for a, b in ((one, other), (other, one)):
            self.delays[(a.peer, b.peer)] = delay_s
            b.handle(PeerLinked(peer=a.peer, store=bytes(16), generation=1, features=(OVERLAY_FEATURE,)))

    def unlink(self, one: TreeNode, other: TreeNode) -> None:
        """Cut the link; what is on the way is lost."""
        for a, b in ((one, other), (other, one)):
            if self.delays.pop((a.peer, b.peer), None) is not None:
                b.handle(PeerUnlinked(peer=a.peer, reason="lost"))

    def kill(self, node: TreeNode) -> None:
        """The node is gone, and its neighbours see it."""
        node.alive = False
        for other in self.neighbours(node):
            self.unlink(node, other)

    def neighbours(self, node: TreeNode) -> list[TreeNode]:
        """Who is linked to it."""
        return [self.by_peer[b] for a, b in self.delays if a == node.peer]

    def random_mesh(self, degree: int) -> None:
        """A ring, so that all are connected, and random links up to about this many a node."""
        for index, node in enumerate(self.nodes):
            self.link(node, self.nodes[index - 1])
        counts = Counter({node.peer: 2 for node in self.nodes})
        open_nodes = list(self.nodes)
        while len(open_nodes) > 1:
            one, other = self.rng.sample(open_nodes, 2)
            self.link(one, other)
            for node in (one, other):
                counts[node.peer] += 1
                if counts[node.peer] >= degree:
                    open_nodes.remove(node)

    def at(self, delay_s: float, act: Callable[[], None]) -> None:
        """Do this after a while."""
        heapq.heappush(self._heap, (self.now_s + max(0.0, delay_s), next(self._numbers), act))

    def run(self, seconds: float) -> None:
        """Let this much time pass."""
        end_s = self.now_s + seconds
        while self._heap and self._heap[0][0] <= end_s:
            self.now_s, _, act = heapq.heappop(self._heap)
            act()
        self.now_s = end_s

    def carry(self, sender: TreeNode, peer: PeerId, frame: Frame) -> None:
        """A frame over a link."""
        self.tap(sender, peer, frame)
        delay_s = self.delays.get((sender.peer, peer))
        receiver = self.by_peer.get(peer)
        if delay_s is None or receiver is None or self.lose(sender, receiver, frame):
            return
        for _ in range(2 if self.double(sender, receiver, frame) else 1):
            self.at(delay_s + self.hold(sender, receiver, frame), lambda: self._arrive(sender, receiver, frame))

    def ping(self, node: TreeNode, peer: PeerId) -> None:
        """A node wants an answer of one of its links."""
        self.at(self.echo_s(node, peer), lambda: node.handle(EchoHeard(peer=peer)))

    def _arrive(self, sender: TreeNode, receiver: TreeNode, frame: Frame) -> None:
        if (sender.peer, receiver.peer) in self.delays:
            receiver.receive(sender.peer, frame)

    # Looking -------------------------------------------------------------------------------------

    def sent(self, kind: str) -> int:
        """Frames of a type that all have sent."""
        return sum(node.sent[kind] for node in self.nodes)

    def eager_edges(self, room: RoomId) -> list[tuple[TreeNode, TreeNode]]:
        """Links over which one end at least sends this room's batches."""
        return [
            (self.by_peer[a], self.by_peer[b]) for a, b in self.delays if self.by_peer[a].broadcast.is_eager(room, b)
        ]

    def reached(self, batch: Batch, source: TreeNode) -> list[TreeNode]:
        """The living nodes that got it, exactly once; more often fails."""
        found = []
        for node in self.nodes:
            if node.alive and node is not source and batch.raw in node.got:
                assert len(node.got[batch.raw]) == 1, "delivered twice"
                found.append(node)
        return found

    def depths(self, source: TreeNode) -> dict[PeerId, int]:
        """How many eager links away from a node each other one is."""
        out: dict[PeerId, list[PeerId]] = {}
        for a, b in self.eager_edges(lobby()):
            out.setdefault(a.peer, []).append(b.peer)
        depths = {source.peer: 0}
        queue = deque((source.peer,))
        while queue:
            peer = queue.popleft()
            for other in out.get(peer, ()):
                if other not in depths:
                    depths[other] = depths[peer] + 1
                    queue.append(other)
        return depths
