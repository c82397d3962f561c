"""Transports under test: real and in-memory ones made alike, and facts that can be waited for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import zmq
from zmq.utils import z85

from zmqchat.model.addresses import Endpoint
from zmqchat.model.ids import PeerId, RoomId
from zmqchat.net.memory import MemoryHub, MemoryTransport
from zmqchat.net.transport import Ports
from zmqchat.net.zmq_transport import ZmqTransport
from zmqchat.protocol.effects import Admit, Effect, OpenDirect, OpenFeed, SetTopics
from zmqchat.protocol.facts import DirectOpened, Fact, FeedOpened, PeerSubscribed

WAIT_S = 10.0
FactType = TypeVar("FactType", bound=Fact)
AnyTransport = ZmqTransport | MemoryTransport


def new_pair() -> tuple[bytes, bytes]:
    """A fresh CURVE pair: public and secret, 32 raw bytes each."""
    public, secret = zmq.curve_keypair()
    return z85.decode(public), z85.decode(secret)


DOOR_PAIR = new_pair()


class World:
    """What the nodes of a test share: which key belongs to which peer, and a hub for in-memory ones."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.hub = MemoryHub()
        self.keys: dict[PeerId, bytes] = {}
        self.nodes: list[NodeUnderTest] = []

    def make(self) -> NodeUnderTest:
        """A node that is not started."""
        node = NodeUnderTest(self)
        self.nodes.append(node)
        return node

    async def start(self) -> NodeUnderTest:
        """A node on loopback, with any ports."""
        node = self.make()
        await node.start()
        return node


class NodeUnderTest:
    """A transport with an identity, and everything that it told."""

    def __init__(self, world: World) -> None:
        self.public, self.secret = new_pair()
        self.peer = PeerId(os.urandom(31) + b"\x01")
        self.facts: list[Fact] = []
        self.answer: Callable[[Fact], bool] = lambda _fact: False
        self.failures: list[str] = []
        self.ports = Ports(0, 0, 0)
        world.keys[self.peer] = self.public
        self._told = asyncio.Event()
        common = {"curve_key": world.keys.get, "door_public": DOOR_PAIR[0], "door_secret": DOOR_PAIR[1]}
        self.transport: AnyTransport = (
            ZmqTransport(**common, failed=self.failures.append)  # type: ignore[arg-type]  # one dict for both twins
            if world.kind == "zmq"
            else MemoryTransport(world.hub, **common)  # type: ignore[arg-type]  # the same
        )

    async def start(
        self, listen: tuple[str | None, int | None] = ("127.0.0.1", None), preferred: Ports | None = None
    ) -> None:
        """Start on any ports, unless others are wanted."""
        self.ports = await self.transport.start(
            self.secret, self.public, listen, preferred or Ports(0, 0, 0), self.hear
        )

    @property
    def endpoint(self) -> Endpoint:
        """Where this node is."""
        return Endpoint("127.0.0.1", *self.ports)

    def hear(self, fact: Fact) -> None:
        """The sink."""
        if not self.answer(fact):
            self.facts.append(fact)
        self._told.set()

    def apply(self, *effects: Effect) -> None:
        """Apply effects in order."""
        for effect in effects:
            self.transport.apply(effect)

    def of(self, kind: type[FactType]) -> list[FactType]:
        """All facts of this kind so far."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    async def until(self, condition: Callable[[], bool], within_s: float = WAIT_S) -> None:
        """Wait until the condition holds; it is looked at after each fact and now and then."""

        async def look() -> None:
            while not condition():
                self._told.clear()
                # Not every condition comes with a fact: counters and memory are looked at as well.
                try:
                    await asyncio.wait_for(self._told.wait(), 0.02)
                except asyncio.TimeoutError:
                    continue

        await asyncio.wait_for(look(), within_s)

    async def get(self, kind: type[FactType], count: int = 1, within_s: float = WAIT_S) -> FactType:
        """The latest fact of this kind, once there are so many."""
        await self.until(lambda: len(self.of(kind)) >= count, within_s)
        return self.of(kind)[count - 1]

    def forget(self) -> None:
        """Forget the facts so far."""
        self.facts.clear()


@asynccontextmanager
async def a_world(kind: str) -> AsyncIterator[World]:
    """A world whose nodes are stopped at the end."""
    world = World(kind)
    try:
        yield world
    finally:
        for node in world.nodes:
            await node.transport.stop(0)


async def link(one: NodeUnderTest, other: NodeUnderTest) -> None:
    """Admit each other, and dial from one to the other's direct socket."""
    one.apply(Admit(peer=other.peer))
    other.apply(Admit(peer=one.peer))
    one.apply(OpenDirect(peer=other.peer, endpoint=other.endpoint))
    await one.get(DirectOpened, len(one.of(DirectOpened)) + 1)


async def subscribe(reader: NodeUnderTest, publisher: NodeUnderTest, *rooms: RoomId) -> None:
    """Have the reader's SUB at the publisher's feed, subscribed to these rooms, and known there."""
    publisher.apply(Admit(peer=reader.peer))
    reader.apply(SetTopics(rooms=frozenset(rooms)), OpenFeed(peer=publisher.peer, endpoint=publisher.endpoint))
    await reader.get(FeedOpened, len(reader.of(FeedOpened)) + 1)
    wanted = {(reader.peer, room) for room in rooms}
    await publisher.until(lambda: wanted <= {(fact.peer, fact.room) for fact in publisher.of(PeerSubscribed)})


async def quiet(node: NodeUnderTest) -> None:
    """Let a tenth of a second pass, in which nothing should happen."""
    await asyncio.sleep(0.1)  # what does not come can't be waited for
