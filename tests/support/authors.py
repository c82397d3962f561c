"""Batches of a made-up author, honest or not, and a stranger whose frames a test writes by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from tests.support.fakelink import WALL_START_MS, FakeNet, FakeNode, FrameFilter, lobby, peer_of
from zmqchat.crypto.twin import TwinCrypto
from zmqchat.history.batch import NO_DIGEST, Batch, seal
from zmqchat.history.clock import hlc_of
from zmqchat.history.crypto import Crypto
from zmqchat.model.events import Kind
from zmqchat.model.ids import LogKey, RoomId
from zmqchat.protocol.facts import FrameReceived
from zmqchat.protocol.machine import PeerLinked
from zmqchat.wire.events import encode_event
from zmqchat.wire.frames import Frame, Interest, Push, encode

AnyFrame = TypeVar("AnyFrame", bound=Frame)


class Author:
    """Writes logs by hand: any number, any predecessor, any clock."""

    def __init__(self, name: str = "eve", crypto: Crypto | None = None) -> None:
        self.crypto = crypto or TwinCrypto(peer_of(name))
        self.peer = self.crypto.peer
        self.ticks = hlc_of(WALL_START_MS)

    def batch(
        self,
        texts: Sequence[str] = ("x",),
        *,
        after: Batch | None = None,
        log: int = 1,
        first: int | None = None,
        previous: bytes | None = None,
        sealed_at: int | None = None,
        room: RoomId | None = None,
        events: Sequence[bytes] | None = None,
    ) -> Batch:
        """A signed batch of texts that goes on from another, unless told otherwise."""
        self.ticks += 10
        if sealed_at is None:
            sealed_at = self.ticks
        if events is None:
            salts = [self.crypto.event_digest(f"{text} {self.ticks}".encode())[:16] for text in texts]
            at = min(sealed_at, self.ticks)
            events = [encode_event(salt, at, Kind.TEXT, text) for salt, text in zip(salts, texts, strict=True)]
        number = first if first is not None else (after.end if after is not None else 0)
        if previous is None:
            previous = after.digest if after is not None else (NO_DIGEST if number == 0 else b"\x07" * 32)
        return seal(
            room=room or lobby(),
            log=log,
            first=number,
            previous=previous,
            sealed_at=sealed_at,
            events=list(events),
            digests=self.crypto.event_digests(events),
            crypto=self.crypto,
        )

    def chain(self, count: int, **options: Any) -> list[Batch]:
        """Batches that go on from one another, a text each."""
        batches: list[Batch] = []
        for index in range(count):
            after = batches[-1] if batches else None
            batches.append(self.batch((f"{index}",), after=after, **options))
        return batches

    def key(self, log: int = 1) -> LogKey:
        """The main branch of a log of his."""
        return LogKey(self.peer, log)


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
