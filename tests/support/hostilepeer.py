"""A peer that keeps the rules until it is linked, and then sends whatever a test gives it.

It is built from the real wire, crypto and net: it knocks at the door of a running node, links itself, offers a
feed of its own, and has neither store nor machines. What it is sent is kept for the test to look at.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import TypeVar

from tests.support.authors import Author
from tests.support.nodes import MESH, eventually
from zmqchat import Node
from zmqchat.crypto.keys import DOOR_PUBLIC, DOOR_SECRET, create_identity, curve_key
from zmqchat.crypto.signing import IdentityCrypto
from zmqchat.history.batch import Batch
from zmqchat.history.clock import hlc_of
from zmqchat.model.addresses import Endpoint
from zmqchat.model.ids import MeshId, RoomId, mesh_id, room_id
from zmqchat.net.transport import Ports
from zmqchat.net.zmq_transport import ZmqTransport
from zmqchat.protocol.effects import Admit, CloseDoor, DialDoor, OpenDirect, PublishFeed, Send
from zmqchat.protocol.facts import (
    DialFailed,
    DirectClosed,
    DirectOpened,
    DoorAnswered,
    Fact,
    FrameReceived,
    InboundClosed,
    PeerSubscribed,
)
from zmqchat.wire.frames import (
    Frame,
    Hello,
    Inquire,
    Interest,
    Link,
    Linked,
    Ping,
    Pong,
    Push,
    Refused,
    Report,
    UnknownFrame,
    Welcome,
    decode,
    encode,
)

FactType = TypeVar("FactType", bound=Fact)
AnyFrame = TypeVar("AnyFrame", bound=Frame)

TEST_MESH = mesh_id(MESH)
FLOOD_STEP = 100


def room_of(name: str, mesh: MeshId = TEST_MESH) -> RoomId:
    """The id of a room, of the tests' own mesh unless told otherwise."""
    return room_id(mesh, name)


class HostilePeer:
    """One identity with real sockets, at one node.

    door_key  what a caller expects at any door
    frames  what the node has sent over the link, decoded; pings are answered unless `answers` is False
    """

    door_key = DOOR_PUBLIC

    def __init__(self, node: Node) -> None:
        self.node = node
        self.mesh = node._core().mesh
        self.identity = create_identity()
        self.peer = self.identity.peer
        self.author = Author(crypto=IdentityCrypto(self.identity))
        self.author.ticks = hlc_of(int(time.time() * 1000) - 60_000)
        self.instance = os.urandom(16)
        self.facts: list[Fact] = []
        self.frames: list[Frame] = []
        self.answers = True
        self.ports = Ports(0, 0, 0)
        self._dials = 0
        self.transport = ZmqTransport(
            curve_key=curve_key, door_public=DOOR_PUBLIC, door_secret=DOOR_SECRET, failed=_failed
        )

    async def start(self) -> None:
        """Bind the sockets."""
        self.ports = await self.transport.start(
            self.identity.curve_secret, self.identity.curve_public, ("127.0.0.1", None), Ports(0, 0, 0), self._hear
        )

    # The door --------------------------------------------------------------------------------------

    def hello(self) -> Hello:
        """The HELLO of an honest node."""
        return Hello(
            versions=(1,),
            features=(),
            peer=self.peer,
            mesh=self.mesh,
            instance=self.instance,
            store=self.peer[:16],
            generation=1,
            endpoints=(Endpoint("127.0.0.1", *self.ports),),
        )

    async def knock(self, payload: bytes, timeout_s: float = 5.0) -> Frame | UnknownFrame | None:
        """Send these bytes to the door; the answer, None where there is none in time."""
        self._dials += 1
        dial = self._dials
        self.transport.apply(DialDoor(dial=dial, endpoint=self._endpoint(), payload=payload))

        def answer() -> DoorAnswered | DialFailed | None:
            ends = (fact for fact in self.facts if isinstance(fact, DoorAnswered | DialFailed) and fact.dial == dial)
            return next(ends, None)

        deadline_s = time.monotonic() + timeout_s
        while (fact := answer()) is None and time.monotonic() < deadline_s:
            await asyncio.sleep(0.002)
        self.transport.apply(CloseDoor(dial=dial))
        frame = decode(fact.payload) if isinstance(fact, DoorAnswered) else None
        assert frame is None or isinstance(frame, Frame | UnknownFrame)
        return frame

    async def refusal(self, **changes: object) -> str:
        """The reason that the node gives for refusing a HELLO with these fields; "" where it is welcome."""
        answer = await self.knock(encode(replace(self.hello(), **changes)))  # type: ignore[arg-type]  # any field
        if isinstance(answer, Refused):
            return answer.reason
        assert isinstance(answer, Welcome), answer
        return ""

    # The link --------------------------------------------------------------------------------------

    async def link(self, *rooms: str, feed: bool = True) -> None:
        """Be admitted and linked, be in these rooms, and have the node subscribed to our feed."""
        self.transport.apply(Admit(peer=self.node.id))
        refusal = await self.refusal()
        assert refusal == "", refusal
        opened = len(self.of(DirectOpened))
        _door, direct, _feed = self.node.ports
        self.transport.apply(OpenDirect(peer=self.node.id, endpoint=self._endpoint()._replace(direct=direct)))
        await eventually(lambda: len(self.of(DirectOpened)) > opened)
        self.say(Link(instance=self.instance))
        await eventually(lambda: self.got(Linked))
        if rooms:
            self.say(Interest(rooms=tuple(room_of(room, self.mesh) for room in rooms)))
        if feed and rooms:
            wanted = {room_of(room, self.mesh) for room in rooms}
            await eventually(lambda: wanted <= {fact.room for fact in self.of(PeerSubscribed) if fact.on})

    def send(self, payload: bytes) -> None:
        """These bytes as a frame over the link."""
        self.transport.apply(Send(peer=self.node.id, payload=payload, outbound=True))

    async def flood(self, payloads: Iterable[bytes]) -> None:
        """Many frames as fast as they leave: our own transport, which has its bounds, drops none of them."""
        for number, payload in enumerate(payloads, 1):
            self.send(payload)
            if number % FLOOD_STEP == 0:
                await asyncio.sleep(0.002)  # what has left tells nobody

    def say(self, frame: Frame) -> None:
        """A frame over the link."""
        self.send(encode(frame))

    def push(self, *batches: Batch) -> None:
        """Batches over the link."""
        for batch in batches:
            self.say(Push(batch=batch.raw))

    def publish(self, room: str, payload: bytes) -> None:
        """These bytes by our feed."""
        self.transport.apply(PublishFeed(room=room_of(room, self.mesh), payload=payload))

    def batch(self, text: str, room: str = "lobby", *, after: Batch | None = None, log: int = 1) -> Batch:
        """An honest batch of one text."""
        return self.author.batch((text,), room=room_of(room, self.mesh), after=after, log=log)

    @property
    def is_cut(self) -> bool:
        """Whether the node has ended the link."""
        closed = [fact for fact in self.facts if isinstance(fact, DirectClosed | InboundClosed)]
        return bool(closed) and self.peer not in {peer.id for peer in self.node.peers}

    async def cut_within(self, timeout_s: float) -> None:
        """Wait until the node has ended the link."""
        await eventually(lambda: self.is_cut, timeout_s)

    # What came -------------------------------------------------------------------------------------

    def of(self, kind: type[FactType]) -> list[FactType]:
        """The facts of this kind."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def got(self, kind: type[AnyFrame]) -> list[AnyFrame]:
        """The frames of this kind that came over the link."""
        return [frame for frame in self.frames if isinstance(frame, kind)]

    def _hear(self, fact: Fact) -> None:
        if not isinstance(fact, FrameReceived):
            self.facts.append(fact)
            return
        frame = decode(fact.payload)
        if isinstance(frame, Ping) and self.answers:
            self.say(Pong(token=frame.token, wall_ms=frame.wall_ms))
        if isinstance(frame, Inquire):
            self.say(Report(token=frame.token, lines=()))
        if isinstance(frame, Frame):
            self.frames.append(frame)

    def _endpoint(self) -> Endpoint:
        return Endpoint("127.0.0.1", self.node.ports[0])


@contextlib.asynccontextmanager
async def hostile_peer(node: Node) -> AsyncIterator[HostilePeer]:
    """A hostile peer whose sockets are open until the end of the block."""
    peer = HostilePeer(node)
    await peer.start()
    try:
        yield peer
    finally:
        await peer.transport.stop(0)


def resigned(raw: bytes) -> bytes:
    """The batch with its last byte, of the signature, changed."""
    return raw[:-1] + bytes([raw[-1] ^ 1])


def _failed(why: str) -> None:
    raise AssertionError(f"the hostile peer's own transport failed: {why}")
