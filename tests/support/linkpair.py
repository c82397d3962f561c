"""Link machines of several nodes over an in-memory network: a manual clock, no socket, no thread.

A node here is admission, peers, presence and exchange behind a real `Mesh`. The network keeps connections as
TCP does: what is sent on one arrives in order, and closing it is seen at the other end. A test decides what can
be reached (`blocked`), what is swallowed (`silenced`), and when time passes (`run`, `until`).
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from tests.support.fakelink import MESH, WALL_START_MS, peer_of
from zmqchat.crypto.twin import TwinCrypto
from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.model.faults import Fault
from zmqchat.model.ids import MeshId, PeerId, RoomId, is_peer_id
from zmqchat.protocol.admission import Admission, Self
from zmqchat.protocol.effects import (
    Admit,
    AnswerDoor,
    CloseDirect,
    CloseDoor,
    DialDoor,
    Effect,
    Expel,
    OpenDirect,
    OpenFeed,
    Send,
    SetTimer,
)
from zmqchat.protocol.exchange import Exchange
from zmqchat.protocol.facts import (
    DialFailed,
    DirectClosed,
    DirectOpened,
    DoorAnswered,
    DoorCaller,
    DoorKnocked,
    Fact,
    FeedClosed,
    FeedOpened,
    FrameReceived,
    InboundClosed,
    Instant,
    NodeStarted,
    PeerSighted,
    PeerSubscribed,
    StopRequested,
    TimerFired,
)
from zmqchat.protocol.inquiry import Inquiry
from zmqchat.protocol.mesh import Mesh
from zmqchat.protocol.overlay import Overlay
from zmqchat.protocol.peers import Peers
from zmqchat.protocol.presence import Presence
from zmqchat.protocol.reach import Reach
from zmqchat.protocol.survey import Survey
from zmqchat.wire.frames import Frame, UnknownFrame, decode

LATENCY_S = 0.001
DOOR = 42100

Told = TypeVar("Told", bound=Effect)


def curve_key(peer: PeerId) -> bytes | None:
    """The twin of the conversion of keys: a valid id is its own CURVE key."""
    return peer if is_peer_id(peer) else None


@dataclass(slots=True, eq=False)
class Connection:
    """A DEALER of `dialler` to the ROUTER of `listener`; `said` once a frame came over it."""

    dialler: LinkNode
    listener: LinkNode
    is_open: bool = False
    is_closed: bool = False
    said: bool = False


@dataclass(slots=True, eq=False)
class _Knock:
    """A dialled door."""

    dialler: LinkNode
    dial: int
    is_closed: bool = False


class NetCensus:
    """Who lives in the network, as a member table would say."""

    def __init__(self, net: LinkNet, me: PeerId) -> None:
        self._net, self._me = net, me

    @property
    def live_count(self) -> int:
        """All others; nobody in a network of the full mesh."""
        return len(self._others()) if self._net.has_census else 0

    def _others(self) -> dict[PeerId, LinkNode]:
        return {node.peer: node for node in self._net.nodes.values() if node.peer != self._me}

    def pick(self, count: int, exclude: Iterable[PeerId] = ()) -> list[PeerId]:
        """Others, in an order that differs from node to node."""
        found = sorted(self._others().keys() - set(exclude))
        return Random(f"{self._net.now_s} {self._me.hex()}").sample(found, min(count, len(found)))

    def endpoints_of(self, peer: PeerId) -> tuple[Endpoint, ...]:
        """Where a node is."""
        node = self._others().get(peer)
        return () if node is None else (node.endpoint,)

    def in_room(self, _room: RoomId) -> list[PeerId]:
        """Links know no rooms."""
        return []


class LinkNode:
    """One node: its machines, where it can be reached, and all that it did.

    told      effects for the application
    effects   all effects of the transport and of time, in order
    """

    def __init__(
        self,
        net: LinkNet,
        name: str,
        *,
        host: str,
        door: int,
        mesh: MeshId = MESH,
        versions: tuple[int, ...] = (1,),
        identity: str | None = None,
        config: Config | None = None,
        advertised: tuple[Endpoint, ...] | None = None,
    ) -> None:
        self.net, self.name, self.host = net, name, host
        self.peer = peer_of(identity or name)
        self.ports = (door, door + 1, door + 2)
        self.endpoint = Endpoint(host, *self.ports)
        self.instance = next(net.instances).to_bytes(16, "big")
        self.alive = True
        self.wall_offset_ms = 0
        self.told: list[Effect] = []
        self.effects: list[Effect] = []
        self.timers: dict[tuple[Hashable, ...], float] = {}
        self.admitted: set[PeerId] = set()
        self.directs: dict[PeerId, Connection] = {}
        self.inbound: dict[PeerId, Connection] = {}
        self.feeds: set[PeerId] = set()
        self.sent: list[tuple[PeerId, Frame | UnknownFrame | Fault]] = []
        config = config or net.config
        me = Self(
            peer=self.peer,
            mesh=mesh,
            instance=self.instance,
            store=bytes(16),
            generation=1,
            curve_key=curve_key,
            versions=versions,
        )
        rng = Random(f"{net.seed} {name} {self.instance.hex()}")
        self.reach = Reach()
        self.overlay = Overlay(
            self.peer,
            config,
            rng,
            NetCensus(net, self.peer),
            self.reach,
            is_valid_peer=is_peer_id,
        )
        self.admission = Admission(me, TwinCrypto(self.peer), config, self.overlay.may_accept)
        self.peers = Peers(
            self.peer, self.instance, config, rng, lambda: self.admission.dials_free, self.overlay.dialable
        )
        self.presence = Presence(config)
        self.published: dict[PeerId, tuple[Endpoint, ...]] = {}
        self.exchange = Exchange(self.peer, config, self.peers, is_peer_id, rng, published=self.where_published)
        self.inquiry = Inquiry(self.peers.describe)
        self.survey = Survey(self.peer, lambda: self.peers.linked, self.exchange.linked_of)
        links = (self.admission, self.peers, self.overlay, self.reach, self.presence)
        self.mesh = Mesh((*links, self.exchange, self.inquiry, self.survey), self.peers, self.presence)
        endpoints = (self.endpoint,) if advertised is None else advertised
        self.handle(NodeStarted(endpoints=endpoints, ports=self.ports))

    def where_published(self, peer: PeerId) -> tuple[Endpoint, ...]:
        """Where the roster tells that a peer is."""
        return self.published.get(peer, ())

    # In and out -----------------------------------------------------------------------------------

    def instant(self) -> Instant:
        """This node's moment; its wall clock may be wrong."""
        return Instant(self.net.now_s, WALL_START_MS + int(self.net.now_s * 1000) + self.wall_offset_ms)

    def handle(self, fact: Fact) -> None:
        """Feed a fact and do what follows from it."""
        if self.alive:
            self.mesh.handle(fact, self.instant())
            for effect in self.mesh.take_effects():
                self._apply(effect)

    def sight(self, other: LinkNode | Endpoint, source: str = "config", peer: PeerId | None = None) -> None:
        """Be told where a node may be."""
        endpoint = other if isinstance(other, Endpoint) else other.endpoint
        self.handle(PeerSighted(endpoint=Endpoint(endpoint.host, endpoint.door), peer=peer, source=source))

    def _apply(self, effect: Effect) -> None:
        match effect:
            case SetTimer():
                self._set_timer(effect)
                return
            case DialDoor():
                self.net.knock(self, effect)
            case CloseDoor():
                self.net.close_door(self, effect.dial)
            case AnswerDoor():
                self.net.answer(self, effect)
            case Admit():
                self.admitted.add(effect.peer)
            case Expel():
                self._expel(effect.peer)
            case OpenDirect():
                self.net.open_direct(self, effect)
            case CloseDirect():
                self.net.close(self.directs.pop(effect.peer, None), self)
            case OpenFeed():
                self.net.open_feed(self, effect)
            case Send():
                self.sent.append((effect.peer, decode(effect.payload)))
                self.net.carry(self, effect)
            case _:
                self.told.append(effect)
                return
        self.effects.append(effect)

    def _expel(self, peer: PeerId) -> None:
        self.admitted.discard(peer)
        self.feeds.discard(peer)
        self.net.close(self.directs.pop(peer, None), self)
        self.net.close(self.inbound.pop(peer, None), self)

    def _set_timer(self, effect: SetTimer) -> None:
        if effect.at_s is None:
            self.timers.pop(effect.name, None)
            return
        self.timers[effect.name] = effect.at_s

        def fire(at_s: float = effect.at_s) -> None:
            if self.alive and self.timers.get(effect.name) == at_s:
                del self.timers[effect.name]
                self.handle(TimerFired(name=effect.name))

        self.net.at(max(0.0, effect.at_s - self.net.now_s), fire)

    # Looking and ending -----------------------------------------------------------------------------

    def of(self, kind: type[Told]) -> list[Told]:
        """The effects of this type that the application was told."""
        return [effect for effect in self.told if isinstance(effect, kind)]

    def did(self, kind: type[Told]) -> list[Told]:
        """The effects of this type that the transport was given."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def dialled(self) -> list[Endpoint]:
        """The doors that were dialled, in order."""
        return [effect.endpoint for effect in self.did(DialDoor)]

    def is_linked(self, other: LinkNode) -> bool:
        """Whether there is a link to the other node."""
        return self.peers.is_linked(other.peer)

    def kill(self) -> None:
        """The process is gone at once; its connections are seen to close."""
        self.alive = False
        self.net.nodes.pop((self.host, self.ports[0]), None)
        for connection in [*self.directs.values(), *self.inbound.values()]:
            self.net.close(connection, self)
        self.net.feeds_lost(self)

    def stop(self) -> None:
        """A clean stop: BYE, then the end."""
        self.handle(StopRequested())
        self.net.run(2 * LATENCY_S)
        self.kill()


@dataclass(slots=True)
class LinkNet:
    """Nodes by place, connections, and the clock.

    blocked    says of (dialler, listener, "door" | "direct" | "feed") whether a dial is refused
    hole       the same, for a dial that is never answered
    silenced   says of (sender, receiver) whether a frame is swallowed on an open connection
    has_census whether nodes know how many there are, so that many of them make a partial mesh
    """

    seed: int = 1
    config: Config = field(default_factory=Config)
    now_s: float = 0.0
    has_census: bool = False
    nodes: dict[tuple[str, int], LinkNode] = field(default_factory=dict)
    blocked: Callable[[LinkNode, LinkNode, str], bool] = lambda _from, _to, _what: False
    hole: Callable[[LinkNode, LinkNode, str], bool] = lambda _from, _to, _what: False
    silenced: Callable[[LinkNode, LinkNode], bool] = lambda _from, _to: False
    instances: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _knocks: dict[bytes, _Knock] = field(default_factory=dict)

    def node(self, name: str, *, host: str | None = None, door: int = DOOR, **options: Any) -> LinkNode:
        """A node on a host of its own, unless one is named; `restart` is the same name and place again."""
        place = (host or f"10.0.0.{len(self.nodes) + 1}", door)
        made = LinkNode(self, name, host=place[0], door=door, **options)
        self.nodes[place] = made
        return made

    def pair(self, **options: Any) -> tuple[LinkNode, LinkNode]:
        """Two linked nodes, the one with the smaller id first; the first dialled."""
        small, large = sorted(("ann", "bob"), key=peer_of)
        first, second = self.node(small, **options), self.node(large, **options)
        first.sight(second)
        self.until(lambda: first.is_linked(second) and second.is_linked(first))
        return first, second

    # Time -------------------------------------------------------------------------------------------

    def at(self, delay_s: float, act: Callable[[], None]) -> None:
        """Do this so much later."""
        heapq.heappush(self._events, (self.now_s + delay_s, next(self._numbers), act))

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        end_s = self.now_s + seconds
        while self._events and self._events[0][0] <= end_s:
            self.now_s, _, act = heapq.heappop(self._events)
            act()
        self.now_s = end_s

    def until(self, condition: Callable[[], bool], within_s: float = 10.0) -> float:
        """Let time pass until the condition holds; gives the seconds that it took, fails when they are too many."""
        started_s = self.now_s
        while not condition():
            assert self._events and self._events[0][0] <= started_s + within_s, "it did not come about in time"
            self.now_s, _, act = heapq.heappop(self._events)
            act()
        return self.now_s - started_s

    # The door ---------------------------------------------------------------------------------------

    def knock(self, dialler: LinkNode, effect: DialDoor) -> None:
        """Dial a door and send what is to be sent."""
        knock = _Knock(dialler, effect.dial)
        routing = next(self._numbers).to_bytes(8, "big")
        self._knocks[routing] = knock

        def arrive() -> None:
            listener = self.nodes.get((effect.endpoint.host, effect.endpoint.door))
            if listener is None or self.blocked(dialler, listener, "door"):
                if not knock.is_closed:
                    dialler.handle(DialFailed(dial=effect.dial, reason="refused"))
            elif not self.hole(dialler, listener, "door"):
                caller = DoorCaller(routing, dialler.peer, dialler.host)
                listener.handle(DoorKnocked(caller=caller, payload=effect.payload))

        self.at(LATENCY_S, arrive)

    def answer(self, _listener: LinkNode, effect: AnswerDoor) -> None:
        """Carry the answer of a door back."""
        knock = self._knocks.get(effect.caller.routing)

        def arrive() -> None:
            if knock is not None and not knock.is_closed:
                knock.dialler.handle(DoorAnswered(dial=knock.dial, payload=effect.payload))

        self.at(LATENCY_S, arrive)

    def close_door(self, dialler: LinkNode, dial: int) -> None:
        """Nobody waits at this door any longer."""
        for routing, knock in list(self._knocks.items()):
            if knock.dialler is dialler and knock.dial == dial:
                knock.is_closed = True
                del self._knocks[routing]

    # Links ------------------------------------------------------------------------------------------

    def open_direct(self, dialler: LinkNode, effect: OpenDirect) -> None:
        """Dial a peer's direct socket."""
        self.close(dialler.directs.pop(effect.peer, None), dialler)
        listener = self._listener(effect.endpoint, effect.endpoint.direct, 1)

        def arrive() -> None:
            current = dialler.directs.get(effect.peer)
            if listener is None or not listener.alive or self.blocked(dialler, listener, "direct"):
                dialler.handle(DirectClosed(peer=effect.peer, reason="refused"))
            elif self.hole(dialler, listener, "direct"):
                return
            elif dialler.peer not in listener.admitted or listener.peer != effect.peer:
                dialler.handle(DirectClosed(peer=effect.peer, reason="denied"))
            elif current is None:
                connection = Connection(dialler, listener, is_open=True)
                dialler.directs[effect.peer] = connection
                dialler.handle(DirectOpened(peer=effect.peer))

        self.at(LATENCY_S, arrive)

    def open_feed(self, dialler: LinkNode, effect: OpenFeed) -> None:
        """Dial a peer's feed."""
        listener = self._listener(effect.endpoint, effect.endpoint.feed, 2)

        def arrive() -> None:
            if listener is None or not listener.alive or self.blocked(dialler, listener, "feed"):
                dialler.handle(FeedClosed(peer=effect.peer, reason="refused"))
            elif dialler.peer not in listener.admitted or listener.peer != effect.peer:
                dialler.handle(FeedClosed(peer=effect.peer, reason="denied"))
            else:
                dialler.feeds.add(effect.peer)
                dialler.handle(FeedOpened(peer=effect.peer))
                listener.handle(PeerSubscribed(peer=dialler.peer, room=RoomId(bytes(16)), on=True))

        self.at(LATENCY_S, arrive)

    def feeds_lost(self, listener: LinkNode) -> None:
        """Whoever listened to this node's feed sees it end."""
        for other in list(self.nodes.values()):
            if listener.peer in other.feeds:
                other.feeds.discard(listener.peer)
                other.handle(FeedClosed(peer=listener.peer, reason="lost"))

    def _listener(self, endpoint: Endpoint, port: int, offset: int) -> LinkNode | None:
        return self.nodes.get((endpoint.host, port - offset))

    def carry(self, sender: LinkNode, effect: Send) -> None:
        """Take a frame over our DEALER, or back over the peer's."""
        connection = (sender.directs if effect.outbound else sender.inbound).get(effect.peer)
        if connection is None or connection.is_closed:
            return
        receiver = connection.listener if effect.outbound else connection.dialler

        def arrive() -> None:
            if connection.is_closed or not receiver.alive or self.silenced(sender, receiver):
                return
            if effect.outbound:
                if sender.peer not in receiver.admitted:
                    self.close(connection, receiver)
                    return
                receiver.inbound[sender.peer] = connection
            receiver.handle(FrameReceived(peer=sender.peer, payload=effect.payload, inbound=effect.outbound))

        self.at(LATENCY_S, arrive)

    def deliver(self, sender: LinkNode, receiver: LinkNode, payload: bytes) -> None:
        """Put bytes of the test's own making on the link between two nodes."""
        inbound = receiver.peer in sender.directs
        receiver.handle(FrameReceived(peer=sender.peer, payload=payload, inbound=inbound))

    def cut(self, first: LinkNode, second: LinkNode) -> None:
        """Close all connections between two nodes, as a cable that is pulled and whose peer resets."""
        for one, other in ((first, second), (second, first)):
            connection = one.directs.get(other.peer)
            if connection is not None:
                self._close_both(connection)

    def close(self, connection: Connection | None, by: LinkNode) -> None:
        """One end closes a connection; the other end sees it."""
        if connection is None or connection.is_closed:
            return
        connection.is_closed = True
        other = connection.listener if by is connection.dialler else connection.dialler
        self.at(LATENCY_S, lambda: self._closed(connection, other))

    def _close_both(self, connection: Connection) -> None:
        connection.is_closed = True
        for end in (connection.dialler, connection.listener):
            self.at(LATENCY_S, lambda end=end: self._closed(connection, end))  # type: ignore[misc]  # a default binds it

    def _closed(self, connection: Connection, seen_by: LinkNode) -> None:
        if seen_by is connection.dialler:
            if seen_by.directs.get(connection.listener.peer) is connection:
                del seen_by.directs[connection.listener.peer]
                seen_by.handle(DirectClosed(peer=connection.listener.peer, reason="lost"))
        elif seen_by.inbound.get(connection.dialler.peer) is connection:
            del seen_by.inbound[connection.dialler.peer]
            seen_by.handle(InboundClosed(peer=connection.dialler.peer))
