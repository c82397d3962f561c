"""A node in memory with the public surface of `zmqchat.Node`: rooms that echo, peers and events that a test sets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, cast

from zmqchat.model.errors import DeliveryTimeout, NodeClosed
from zmqchat.model.ids import MessageId, PeerId, RoomId, mesh_id, room_id, room_name_checked
from zmqchat.node.home import Home
from zmqchat.node.mesh import MeshNode, MeshView
from zmqchat.node.values import Member, NodeEvent, Peer, Receipts

if TYPE_CHECKING:
    from zmqchat.node.node import Node

EPOCH = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=timezone.utc)


def peer_id(letter: str) -> PeerId:
    """A made-up peer id: 32 bytes of one letter."""
    return PeerId(letter.encode("ascii") * 32)


class FakeMessage:
    """A message as faces see it."""

    def __init__(self, room: FakeRoom, author: Peer, text: str | None, number: int, kind: str = "text") -> None:
        self.room = room
        self.author = author
        self.author_id = author.id
        self.text = text
        self.id = MessageId(author.id, 1, number, number.to_bytes(8, "big"))
        self.kind = kind
        self.sent_at = EPOCH + timedelta(seconds=number)
        self.live = True
        self.backfill = False
        self.content_type: str | None = None
        self.value: object = None

    def mark_read(self) -> None:
        """Note that it was read."""
        self.room.read.append(self.id)


class FakeSent:
    """A stored message and who has it."""

    def __init__(self, message: MessageId, delivered: tuple[Peer, ...]) -> None:
        self.id = message
        self.delivered = delivered
        self.pending: tuple[Peer, ...] = ()


class FakeRoom:
    """A room in memory; what is posted appears in it once the fake disk lets it."""

    def __init__(self, node: FakeNode, name: str) -> None:
        self.node = node
        self.name = name
        self.id: RoomId = room_id(mesh_id("fake"), name)
        self.on_disk: list[FakeMessage] = []
        self.held_by_nobody: set[str] = set()
        self.read: list[MessageId] = []
        self.posted: dict[MessageId, FakeMessage] = {}
        self._news = asyncio.Event()

    async def count_unread(self) -> int:
        """Nobody else says anything here."""
        return 0

    @property
    def members(self) -> list[Member]:
        """The node itself and all its peers."""
        return [Member(self.node.id, self.node.name, True), *(Member(p.id, p.name, p.online) for p in self.node.peers)]

    def post_many(self, texts: Sequence[str]) -> list[MessageId]:
        """Accept texts."""
        me = Peer(self.node.id, self.node.name, True)
        posted = []
        for text in texts:
            message = FakeMessage(self, me, text, len(self.on_disk) + len(self.posted) + 1)
            self.posted[message.id] = message
            posted.append(message.id)
        self.wake()
        return posted

    async def stored(self, message: MessageId) -> None:
        """Wait until the fake disk has everything up to this message, or fails."""
        await self.node.disk.wait()
        if self.node.store_error is not None:
            raise self.node.store_error
        for each in [each for each in self.posted if each.number <= message.number]:
            self.arrive(self.posted.pop(each))

    async def has_posted(self, count: int) -> None:
        """Wait until so many texts wait for the disk."""
        while len(self.posted) < count:
            await self._news.wait()

    def said(self, author: Peer, text: str | None, kind: str = "text") -> FakeMessage:
        """Somebody else's message arrives."""
        message = FakeMessage(self, author, text, len(self.on_disk) + len(self.posted) + 1, kind)
        self.arrive(message)
        return message

    async def has_on_disk(self, count: int) -> None:
        """Wait until so many messages are there."""
        while len(self.on_disk) < count:
            await self._news.wait()

    def arrive(self, message: FakeMessage) -> None:
        """A message becomes readable."""
        self.on_disk.append(message)
        self.wake()

    def wake(self) -> None:
        """Let cursors look again."""
        self._news.set()
        self._news = asyncio.Event()

    async def wait_for_room(self) -> None:
        """There is always room."""

    async def wait(self, message: MessageId, until: str, timeout: float | None = None, *, copies: int = 1) -> FakeSent:
        """Whoever is a peer has it; with none it takes for ever."""
        if len(self.node.peers) >= copies:
            return FakeSent(message, tuple(self.node.peers))
        try:
            await asyncio.wait_for(self.node.somebody_came.wait(), timeout)
        except asyncio.TimeoutError:
            raise DeliveryTimeout(message, until, timeout or 0.0, [], []) from None
        return FakeSent(message, tuple(self.node.peers))

    def has_reached(self, message: MessageId, until: str, copies: int = 1) -> bool:
        """Whoever is a peer has what is stored."""
        stored = [each for each in self.on_disk if each.id == message and each.text not in self.held_by_nobody]
        return bool(stored) and (until == "stored" or len(self.node.peers) >= copies)

    def reached_below(self, message: MessageId, end: int, until: str, copies: int) -> int:
        """The same for all from this message on."""
        numbers = range(message.number, end)
        reached = {each.id.number for each in self.on_disk if self.has_reached(each.id, until, copies)}
        return next((number for number in numbers if number not in reached), end)

    def receipts_changed(self) -> asyncio.Future[None]:
        """Done when somebody has come."""
        return asyncio.ensure_future(self._somebody_came())

    async def _somebody_came(self) -> None:
        await self.node.somebody_came.wait()
        if self.node.is_closed:
            raise NodeClosed("the node is stopped")

    def receipts_of(self, message: MessageId) -> Receipts:
        """All peers are members, and have what is stored; keepers are what a test says."""
        is_held = self.has_reached(message, "stored")
        return Receipts(delivered=tuple(self.node.peers), keepers=tuple(self.node.keepers)) if is_held else Receipts()

    def late(self, message: MessageId, until: str, timeout_s: float) -> DeliveryTimeout:
        """Nobody has it."""
        return DeliveryTimeout(message, until, timeout_s, [], [])

    def messages(self, after: str | None = None) -> FakeMessages:
        """What arrives from now on, or everything from "start"."""
        return FakeMessages(self, 0 if after == "start" else len(self.on_disk))

    async def news(self) -> None:
        """Wait until something has arrived. Raises NodeClosed."""
        if self.node.is_closed:
            raise NodeClosed("the node is stopped")
        await self._news.wait()

    async def history(self, last: int = 50) -> list[FakeMessage]:
        """The last messages."""
        return self.on_disk[-last:] if last else []


class FakeMessages:
    """A cursor over what arrives."""

    def __init__(self, room: FakeRoom, index: int) -> None:
        self._room = room
        self._index = index

    def __aiter__(self) -> FakeMessages:
        return self

    async def __anext__(self) -> FakeMessage:
        while self._index >= len(self._room.on_disk):
            await self._room.news()
        self._index += 1
        return self._room.on_disk[self._index - 1]

    async def blocks(self) -> AsyncIterator[list[FakeMessage]]:
        """A block a message."""
        while True:
            yield [await anext(self)]


class FakeNode:
    """A node in memory.

    disk            posts become durable while it is set
    store_error     what a post fails with instead
    somebody_came   what waits for delivery ends when it is set
    """

    def __init__(self, home: Path, name: str = "ann", *, home_lock: bool = False) -> None:
        self.home = home
        self.name = name
        self.id = peer_id("a")
        self.address = "127.0.0.1:42100"
        self.peers: list[Peer] = []
        self.keepers: list[Peer] = []
        self.strangers: list[Peer] = []
        self.notices: list[str] = []
        self.added: list[str] = []
        self.nobody = "nobody found on eth0 (10.0.0.1): try --peer HOST:PORT"
        self.missing = 0
        self.view: MeshView | None = None
        self.surveys = 0
        self.report: dict[str, object] = {"name": name, "problems": ["the disk is nearly full: free some"]}
        self.disk = asyncio.Event()
        self.disk.set()
        self.store_error: Exception | None = None
        self.somebody_came = asyncio.Event()
        self.is_closed = False
        self.happened: asyncio.Queue[NodeEvent] = asyncio.Queue()
        self.room_table: dict[str, FakeRoom] = {}
        self._lock = Home.open(home) if home_lock else None

    def as_node(self) -> Node:
        """The same for code that is typed against the real one."""
        return cast("Node", self)

    async def start(self) -> None:
        """Be in the lobby."""
        await self.join("lobby")

    async def stop(self) -> None:
        """End all cursors."""
        self.is_closed = True
        for room in self.room_table.values():
            room.wake()
        if self._lock is not None:
            self._lock.close()

    @property
    def rooms(self) -> list[FakeRoom]:
        """All rooms."""
        return list(self.room_table.values())

    def known_peers(self) -> list[Peer]:
        """Those in touch, and the strangers."""
        return [*self.peers, *self.strangers]

    async def join(self, name: str, latest_first: bool = False) -> FakeRoom:
        """The room of this name."""
        checked = room_name_checked(name)
        return self.room_table.setdefault(checked, FakeRoom(self, checked))

    async def leave(self, name: str) -> None:
        """Forget a room."""
        self.room_table.pop(room_name_checked(name), None)

    def add_peer(self, address: str) -> None:
        """Note an address."""
        self.added.append(address)

    def mesh(self) -> MeshView:
        """The view that the test has set, else this node with a link to each peer."""
        if self.view is not None:
            return self.view
        others = [MeshNode(p.id, p.name, online=p.online, linked=True, hops=1, lacks=0) for p in self.peers]
        links = tuple(sorted((min(self.id, p.id), max(self.id, p.id)) for p in self.peers))
        return MeshView((MeshNode(self.id, self.name, is_self=True, hops=0, lacks=0), *others), links, False)

    async def survey(self, timeout: float = 1.0) -> MeshView:  # as the real one
        """Nobody knows more."""
        self.surveys += 1
        return self.mesh()

    def missing_messages(self) -> int:
        """Everything is here."""
        return self.missing

    def nobody_found(self) -> str | None:
        """The line, while there is no peer."""
        return None if self.peers else self.nobody

    async def doctor(self, peer: str | None = None) -> Mapping[str, object]:
        """The report that the test has set."""
        return {**self.report, "peer": peer} if peer is not None else self.report

    async def linger(self, timeout: float) -> bool:
        """Whether a peer is there."""
        return bool(self.peers)

    async def events(self) -> AsyncIterator[NodeEvent]:
        """What the test puts into `happened`."""
        while True:
            yield await self.happened.get()
