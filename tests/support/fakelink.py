"""Data machines of several nodes over an in-memory network: a manual clock, a fake store, one order of events.

Everything happens in `FakeNet.run`: a heap of (moment, number) decides what comes next, so a run is the same
each time. Direct frames keep their order on a link, as TCP does; what is lost, doubled or late is up to
the test (`lose`, `double`, `late_s`). Nothing here opens a socket, starts a thread or reads a clock.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any, cast

from tests.support.fakepeers import FakeCensus, FakeLinks, FaultSeen, FrameOut
from tests.support.fakestore import FakeStore
from zmqchat.crypto.twin import TwinCrypto
from zmqchat.history.batch import BatchHeader, peek
from zmqchat.history.crypto import Crypto
from zmqchat.model.config import Config
from zmqchat.model.events import Event, Kind
from zmqchat.model.ids import LogKey, MessageId, PeerId, RoomId
from zmqchat.protocol.data import DataMachines
from zmqchat.protocol.effects import (
    Deliver,
    Effect,
    LoadRange,
    PublishFeed,
    PutArrival,
    SetTimer,
    SetTopics,
    Store,
)
from zmqchat.protocol.facts import (
    Fact,
    FeedReceived,
    FrameReceived,
    Instant,
    JoinRoom,
    LeaveRoom,
    LinkBlocked,
    NodeStarted,
    PeerSubscribed,
    TimerFired,
)
from zmqchat.protocol.gaps import Gaps
from zmqchat.protocol.keepers import Choice
from zmqchat.protocol.machine import (
    OVERLAY_FEATURE,
    MeshSwitched,
    PeerFaulted,
    PeerLinked,
    PeerUnlinked,
)
from zmqchat.protocol.mesh import Mesh
from zmqchat.protocol.ownlog import OWN_LOG_ROW
from zmqchat.protocol.peers import Peers
from zmqchat.protocol.presence import Presence
from zmqchat.protocol.roster_facts import GAPS_FEATURE, MemberDead, MembersLive
from zmqchat.sim import author
from zmqchat.wire.batches import unpack_batch
from zmqchat.wire.events import body_text, decode_event
from zmqchat.wire.frames import Frame, decode, encode

MESH = author.MESH
WALL_START_MS = author.WALL_START_MS
peer_of = author.peer_of
lobby = author.lobby
RTT_S = 0.002


def texts_of(raw: bytes) -> list[str]:
    """The texts in a batch."""
    unpacked = unpack_batch(raw)
    assert isinstance(unpacked, tuple)
    events = [decode_event(event) for event in unpacked[1]]
    texts = [body_text(event) for event in events if isinstance(event, Event)]
    return [text for text in texts if text is not None]


class FakeNode:
    """One node: its machines, its store, and what its application was told."""

    def __init__(
        self,
        net: FakeNet,
        name: str,
        *,
        crypto: Crypto | None = None,
        store: FakeStore | None = None,
        config: Config | None = None,
        nickname: str | None = None,
        moved: bool = False,
        power_lost: bool = False,
        features: tuple[str, ...] = (OVERLAY_FEATURE, GAPS_FEATURE),
        choice: Choice | None = None,
    ) -> None:
        self.net = net
        self.features = features
        self.partial = net.partial
        self.stays_out = False
        self.name = name
        self.crypto = crypto or TwinCrypto(peer_of(name))
        self.peer = self.crypto.peer
        self.store = store or FakeStore()
        self.alive = True
        self.rng = Random(f"{net.seed} {name} {self.store.generation}")
        self.topics: frozenset[RoomId] = frozenset()
        self.timers: dict[tuple[Hashable, ...], float] = {}
        self.told: list[Effect] = []
        self.delivers: list[Deliver] = []
        self.faults: list[PeerFaulted] = []
        self.sent: list[tuple[PeerId, bytes]] = []
        self.published: list[bytes] = []
        self.wall_offset_ms = 0
        self.gap_machine = Gaps(
            self.peer,
            config or net.config,
            FakeCensus(net, self.peer),
            is_partial=lambda: self.partial,
            is_suspect=lambda peer: peer in net.suspects,
        )
        self.data = DataMachines(
            self.crypto,
            config or net.config,
            tokens=itertools.count(1),
            entropy=self.rng.randbytes,
            rng=self.rng,
            rtt_s=lambda _peer: RTT_S,
            name=nickname or name,
            is_partial=lambda: self.partial,
            is_live=lambda peer: peer in net.nodes and net.nodes[peer].alive,
            gaps=self.gap_machine,
            choice=choice,
        )
        links = FakeLinks()
        self.mesh = Mesh((self.gap_machine, *self.data.machines, links), cast(Peers, links), cast(Presence, links))
        store = self.store
        damaged = self.data.restore(
            rooms=[(RoomId(key), row) for key, row in store.tables.get("rooms", {}).items()],
            frontiers=[(room, key, row) for (room, key), row in store.frontiers.items()],
            next_arrivals=store.next_arrivals(),
            members=store.tables.get("members", {}).items(),
            kept=store.tables.get("kept", {}).items(),
            own_log=store.tables.get("meta", {}).get(OWN_LOG_ROW),
            moved=moved,
            power_lost=power_lost,
            wall_ms=self.instant().wall_ms,
        )
        assert not damaged
        self.handle(NodeStarted(endpoints=(), ports=(1, 2, 3)))

    def instant(self) -> Instant:
        """This node's moment; its wall clock may be wrong."""
        return Instant(self.net.now_s, WALL_START_MS + int(self.net.now_s * 1000) + self.wall_offset_ms)

    # In ----------------------------------------------------------------------------------------

    def handle(self, fact: Fact) -> None:
        """Feed a fact and do what follows from it."""
        if self.alive:
            self.mesh.handle(fact, self.instant())
            self.mesh.settle(self.instant())
            self._apply()

    def join(self, name: str = "lobby", latest_first: bool = False) -> RoomId:
        """Join a room."""
        room = lobby(name)
        self.handle(JoinRoom(room=room, name=name, latest_first=latest_first))
        return room

    def leave(self, name: str = "lobby") -> None:
        """Leave a room."""
        self.handle(LeaveRoom(room=lobby(name)))

    def say(self, *texts: str, room: str = "lobby") -> list[MessageId]:
        """Post texts."""
        return self.post(Kind.TEXT, texts, room)

    def post(self, kind: int, bodies: Iterable[object], room: str = "lobby") -> list[MessageId]:
        """Post events of any kind."""
        ids = self.data.publishing.post(lobby(room), kind, tuple(bodies), self.instant())
        self.mesh.settle(self.instant())
        self._apply()
        return ids

    def switch(self, *, partial: bool) -> None:
        """The overlay goes over to the other kind of mesh."""
        self.partial = partial
        self.handle(MeshSwitched(partial=partial))

    def blocked(self, other: FakeNode) -> None:
        """Something to this node was dropped."""
        self.handle(LinkBlocked(peer=other.peer))

    def learns_of(self, peer: PeerId) -> None:
        """The roster has a new live member."""
        self.handle(MembersLive(peers=(peer,)))

    # Out ---------------------------------------------------------------------------------------

    def _apply(self) -> None:
        for effect in self.mesh.take_effects():
            if isinstance(effect, FrameOut):
                self.sent.append((effect.peer, effect.payload))
                self.net.carry(self, effect.peer, effect.payload)
            elif isinstance(effect, PublishFeed):
                self.published.append(effect.payload)
                self.net.carry_feed(self, effect.room, effect.payload)
            elif isinstance(effect, Store):
                self._later(partial(self.store.write, effect))
            elif isinstance(effect, LoadRange):
                self._later(partial(self.store.load, effect))
            elif isinstance(effect, SetTimer):
                self._set_timer(effect)
            elif isinstance(effect, SetTopics):
                self.topics = effect.rooms
                self.net.topics_changed(self)
            elif isinstance(effect, Deliver):
                self.delivers.append(effect)
            elif isinstance(effect, FaultSeen):
                self.faults.append(effect.fault)
            else:
                self.told.append(effect)

    def _later(self, answer: Callable[[], Fact]) -> None:
        def act() -> None:
            if self.alive:
                self.handle(answer())

        self.net.at(self.store.delay_s, act)

    def _set_timer(self, effect: SetTimer) -> None:
        if effect.at_s is None:
            self.timers.pop(effect.name, None)
            return
        self.timers[effect.name] = effect.at_s

        def fire(at_s: float = effect.at_s) -> None:
            if self.timers.get(effect.name) == at_s:
                del self.timers[effect.name]
                self.handle(TimerFired(name=effect.name))

        self.net.at(max(0.0, effect.at_s - self.net.now_s), fire)

    # Looking -----------------------------------------------------------------------------------

    def texts(self, room: str = "lobby") -> list[str]:
        """The texts that were delivered, in the order of arrival."""
        return [text for _author, text, _deliver in self.messages(room)]

    def messages(self, room: str = "lobby") -> list[tuple[PeerId, str, Deliver]]:
        """Author, text and how it came, of each delivered text."""
        found = []
        for deliver in self.delivers:
            if deliver.arrival.room == lobby(room) and deliver.raw is not None:
                header = peek(deliver.raw)
                unpacked = unpack_batch(deliver.raw)
                assert isinstance(header, BatchHeader) and isinstance(unpacked, tuple)
                part = unpacked[1][deliver.arrival.first - header.first : deliver.arrival.end - header.first]
                for raw in part:
                    event = decode_event(raw)
                    text = body_text(event) if isinstance(event, Event) else None
                    if text is not None:
                        found.append((deliver.arrival.key.author, text, deliver))
        return found

    def gaps(self, room: str = "lobby") -> list[PutArrival]:
        """The gaps that were delivered."""
        return [d.arrival for d in self.delivers if d.raw is None and d.arrival.room == lobby(room)]

    def of(self, kind: type[Any]) -> list[Any]:
        """The effects of this type that the application was told."""
        return [effect for effect in self.told if isinstance(effect, kind)]

    def hash(self, room: str = "lobby") -> bytes:
        """The hash of what is held of a room."""
        return self.data.ledger.rooms[lobby(room)].frontier.hash

    def end(self, author: FakeNode, room: str = "lobby") -> int:
        """Up to where the author's current log is held here without a gap."""
        key = LogKey(author.peer, author.data.ledger.own_log)
        return self.data.ledger.contiguous_end(lobby(room), key)

    def kill(self) -> None:
        """The process is gone at once; what the store was told and has not done is lost."""
        self.alive = False
        for other in self.net.others(self):
            self.net.unlink(self, other)


class FrameFilter:
    """What a node sends to one peer, decoded, from now on."""

    def __init__(self, node: FakeNode, peer: PeerId) -> None:
        self._node = node
        self._peer = peer
        self._position = len(node.sent)

    def take(self) -> list[Frame]:
        """The frames since the last call."""
        part = self._node.sent[self._position :]
        self._position = len(self._node.sent)
        frames = [decode(payload) for peer, payload in part if peer == self._peer]
        assert all(isinstance(frame, Frame) for frame in frames)
        return [frame for frame in frames if isinstance(frame, Frame)]


@dataclass(slots=True)
class _Pipe:
    """One direction of a link."""

    feed: bool = True
    free_at_s: float = 0.0
    subscribed: set[RoomId] = field(default_factory=set)


class FakeNet:
    """Nodes, links and the clock.

    lose, double  whether a frame (sender, receiver, payload, by feed) is lost, or comes twice
    tells_members whether each node knows of all others, so that gaps can open; suspects are those whom some doubt
    partial       whether new nodes take the mesh for a partial one; each has its own `partial`
    late_s        how long a feed frame is held up beyond latency_s, so that it is overtaken
    """

    def __init__(self, seed: int = 1, config: Config | None = None) -> None:
        self.seed = seed
        self.config = config or Config()
        self.now_s = 0.0
        self.latency_s = RTT_S / 2
        self.partial = False
        self.tells_members = False
        self.suspects: set[PeerId] = set()
        self.nodes: dict[PeerId, FakeNode] = {}
        self.lose: Callable[[FakeNode, FakeNode, bytes, bool], bool] = lambda _a, _b, _payload, _feed: False
        self.double: Callable[[FakeNode, FakeNode, bytes, bool], bool] = lambda _a, _b, _payload, _feed: False
        self.late_s: Callable[[], float] = lambda: 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._pipes: dict[tuple[PeerId, PeerId], _Pipe] = {}

    def node(self, name: str, **options: Any) -> FakeNode:
        """A new node, or the next life of one (give its store)."""
        node = FakeNode(self, name, **options)
        self.nodes[node.peer] = node
        if self.tells_members:
            for other in self.nodes.values():
                if other is not node:
                    other.handle(MembersLive(peers=(node.peer,)))
                    node.handle(MembersLive(peers=(other.peer,)))
        return node

    def buries(self, node: FakeNode) -> None:
        """A node dies, and all who live know it."""
        node.kill()
        for other in self.nodes.values():
            if other.alive:
                other.handle(MemberDead(peer=node.peer))

    def hand(self, sender: FakeNode, receiver: FakeNode, frame: Frame) -> None:
        """A frame that a link's end did not mean to send."""
        receiver.handle(FrameReceived(peer=sender.peer, payload=encode(frame), inbound=True))

    def restart(self, node: FakeNode, **options: Any) -> FakeNode:
        """The node again, on the same store."""
        if node.alive:
            node.kill()
        node.store.generation += 1
        return self.node(node.name, crypto=node.crypto, store=node.store, **options)

    def at(self, delay_s: float, act: Callable[[], None]) -> None:
        """Do this after a while."""
        heapq.heappush(self._heap, (self.now_s + delay_s, next(self._numbers), act))

    def run(self, seconds: float) -> None:
        """Let this much time pass."""
        end_s = self.now_s + seconds
        while self._heap and self._heap[0][0] <= end_s:
            self._step()
        self.now_s = end_s

    def run_until(self, condition: Callable[[], bool], limit_s: float = 60.0) -> None:
        """Let time pass until this holds; fails after limit_s."""
        end_s = self.now_s + limit_s
        while not condition():
            assert self._heap and self._heap[0][0] <= end_s, f"not within {limit_s} s"
            self._step()

    def _step(self) -> None:
        moment_s, _number, act = heapq.heappop(self._heap)
        self.now_s = max(self.now_s, moment_s)
        act()

    # Links -------------------------------------------------------------------------------------

    def link(self, one: FakeNode, other: FakeNode, *, feed: bool = True) -> None:
        """Link two nodes; without feed, neither can dial the other's."""
        for a, b in ((one, other), (other, one)):
            self._pipes[(a.peer, b.peer)] = _Pipe(feed=feed, free_at_s=self.now_s)
        for a, b in ((one, other), (other, one)):
            store = b.name.encode().ljust(16, b"-")
            a.handle(PeerLinked(peer=b.peer, store=store, generation=b.store.generation, features=b.features))
        for node in (one, other):
            self.topics_changed(node)

    def unlink(self, one: FakeNode, other: FakeNode, reason: str = "lost") -> None:
        """Cut the link; what is on the way is lost."""
        for a, b in ((one, other), (other, one)):
            if self._pipes.pop((a.peer, b.peer), None) is not None:
                a.handle(PeerUnlinked(peer=b.peer, reason=reason))

    def linked(self, one: FakeNode, other: FakeNode) -> bool:
        """Whether the two are linked."""
        return (one.peer, other.peer) in self._pipes

    def others(self, node: FakeNode) -> list[FakeNode]:
        """The nodes that this one is linked to."""
        return [self.nodes[b] for a, b in list(self._pipes) if a == node.peer]

    def topics_changed(self, node: FakeNode) -> None:
        """The node's SUBs follow its topics."""
        for other in self.others(node):
            pipe = self._pipes[(other.peer, node.peer)]
            if not pipe.feed:
                continue
            for room in sorted(node.topics ^ pipe.subscribed):
                other.handle(PeerSubscribed(peer=node.peer, room=room, on=room in node.topics))
            pipe.subscribed = set(node.topics)

    def carry(self, sender: FakeNode, peer: PeerId, payload: bytes) -> None:
        """A frame over the link, in order."""
        pipe = self._pipes.get((sender.peer, peer))
        if pipe is None:
            return
        receiver = self.nodes[peer]
        if self.lose(sender, receiver, payload, False):
            return
        pipe.free_at_s = max(pipe.free_at_s, self.now_s + self.latency_s)
        copies = 2 if self.double(sender, receiver, payload, False) else 1
        for _ in range(copies):
            fact = FrameReceived(peer=sender.peer, payload=payload, inbound=True)
            self._arrive(sender, receiver, pipe, fact, pipe.free_at_s - self.now_s)

    def carry_feed(self, sender: FakeNode, room: RoomId, payload: bytes) -> None:
        """A frame to all that subscribed, which may overtake another."""
        for receiver in self.others(sender):
            pipe = self._pipes[(sender.peer, receiver.peer)]
            if room not in pipe.subscribed or self.lose(sender, receiver, payload, True):
                continue
            for _ in range(2 if self.double(sender, receiver, payload, True) else 1):
                fact = FeedReceived(peer=sender.peer, room=room, payload=payload)
                self._arrive(sender, receiver, pipe, fact, self.latency_s + self.late_s())

    def _arrive(self, sender: FakeNode, receiver: FakeNode, pipe: _Pipe, fact: Fact, delay_s: float) -> None:
        def act() -> None:
            if self._pipes.get((sender.peer, receiver.peer)) is pipe:
                receiver.handle(fact)

        self.at(delay_s, act)


def quick(config: Config | None = None, **changes: Any) -> Config:
    """A Config with some fields changed."""
    return replace(config or Config(), **changes)
