"""Batches of a made-up author, honest or not, and a stranger whose frames a test writes by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from tests.support.fakelink import FakeNet, FakeNode, FrameFilter, lobby
from zmqchat.history.batch import Batch
from zmqchat.model.ids import RoomId
from zmqchat.protocol.facts import FrameReceived
from zmqchat.protocol.machine import PeerLinked
from zmqchat.sim import author
from zmqchat.wire.frames import Frame, Interest, Push, encode

Author = author.Author
AnyFrame = TypeVar("AnyFrame", bound=Frame)


class Stranger(Author):
    """A linked peer without machines: the test writes its frames and reads what it is sent."""

    def __init__(self, net: FakeNet, node: FakeNode, name: str = "eve", rooms: Sequence[RoomId] | None = None) -> None:
        super().__init__(name)
        self.net = net
        self.node = node
        self.got = FrameFilter(node, self.peer)
        node.handle(PeerLinked(peer=self.peer, store=name.encode().ljust(16, b"-"), generation=1))
        if rooms is None:
            rooms = (lobby(),)
        if rooms:
            self.send(Interest(rooms=tuple(rooms)))

    def send(self, frame: Frame) -> None:
        """A frame for the node, now."""
        self.node.handle(FrameReceived(peer=self.peer, payload=encode(frame), inbound=True))

    def push(self, *batches: Batch) -> None:
        """Batches for the node, now."""
        for batch in batches:
            self.send(Push(batch=batch.raw))

    def frames(self, kind: type[AnyFrame]) -> list[AnyFrame]:
        """The frames of a type that the node has sent to it since the last call."""
        return [frame for frame in self.got.take() if isinstance(frame, kind)]
