"""A node in a process of its own for tests: JSON orders on standard input, one answer a line on standard output.

It notes the monotonic time of all that it reads and of each peer that comes and goes; all processes of a
machine, whatever their namespace, share that clock.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from zmqchat import Message, Node, PeerOffline, PeerOnline, Room

ROOM = "field"
Answer = dict[str, Any]


class Worker:
    """The node, and what it saw."""

    def __init__(self) -> None:
        self._node: Node | None = None
        self._room: Room | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._read: list[tuple[str, float]] = []
        self._presence: list[tuple[str, bool, float]] = []
        self._news = asyncio.Event()
        self.orders: dict[str, Callable[..., Awaitable[Answer]]] = {
            "open": self.open,
            "linked": self.linked,
            "members": self.members,
            "presence": self.presence,
            "peers": self.peers,
            "dial": self.dial,
            "say": self.say,
            "read": self.read,
            "timeline": self.timeline,
            "notices": self.notices,
            "feed": self.feed,
            "refused": self.refused,
        }

    def _here(self) -> tuple[Node, Room]:
        assert self._node is not None and self._room is not None, "the order `open` comes first"
        return self._node, self._room

    async def open(self, **settings: Any) -> Answer:
        """Be the node of these settings, a member of the room."""
        began_s = time.monotonic()
        node = self._node = Node(**settings)
        await node.start()
        room = self._room = await node.join(ROOM)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._reading(room)), loop.create_task(self._watching(node))]
        return {"id": node.id.hex(), "ports": list(node.ports), "began_s": began_s}

    async def _reading(self, room: Room) -> None:
        async for message in room.messages("start"):
            if isinstance(message, Message) and message.text is not None:
                self._read.append((message.text, time.monotonic()))
                self._news.set()

    async def _watching(self, node: Node) -> None:
        for peer in node.peers:
            self._presence.append((peer.id.hex(), True, time.monotonic()))
        async for event in node.events():
            if isinstance(event, PeerOnline | PeerOffline):
                self._presence.append((event.peer.id.hex(), isinstance(event, PeerOnline), time.monotonic()))
                self._news.set()

    async def linked(self, ids: list[str]) -> Answer:
        """Wait until there is a link with each of these peers."""
        node, _room = self._here()
        await _until(lambda: set(ids) <= {peer.id.hex() for peer in node.peers})
        return {"at_s": time.monotonic()}

    async def members(self, count: int) -> Answer:
        """Wait until so many members of the room, this node among them, are online."""
        _node, room = self._here()
        await _until(lambda: sum(member.online for member in room.members) >= count)
        return {}

    async def presence(self, peer: str, online: bool, after_s: float = 0.0) -> Answer:
        """Wait until a peer was said to come or go after that time."""
        while True:
            for told, is_online, at_s in self._presence:
                if told == peer and is_online == online and at_s >= after_s:
                    return {"at_s": at_s}
            self._news.clear()
            await self._news.wait()

    async def peers(self) -> Answer:
        """The peers in touch: id, address and how each was found."""
        node, _room = self._here()
        return {"peers": {peer.id.hex(): [peer.address, peer.found_by] for peer in node.peers}}

    async def dial(self, address: str) -> Answer:
        """Be told of a peer."""
        node, _room = self._here()
        node.add_peer(address)
        return {}

    async def say(self, texts: list[str], interval_s: float = 0.0) -> Answer:
        """Send texts one after the other, and tell when each began to be sent."""
        _node, room = self._here()
        sent = []
        for text in texts:
            sent.append(time.monotonic())
            await room.send(text)
            await asyncio.sleep(interval_s)  # the pace is what is asked for
        return {"at_s": sent}

    async def read(self, texts: list[str]) -> Answer:
        """Wait until all of these were read; when each was first, and how often this and all else was read."""
        while not set(texts) <= {text for text, _at_s in self._read}:
            self._news.clear()
            await self._news.wait()
        first: dict[str, float] = {}
        for text, at_s in self._read:
            first.setdefault(text, at_s)
        return {"at_s": [first[text] for text in texts], "twice": len(self._read) - len(first)}

    async def timeline(self) -> Answer:
        """All texts of the room in the order of the timeline."""
        _node, room = self._here()
        return {"texts": [message.text for message in await room.history(100_000)]}

    async def notices(self, containing: str = "") -> Answer:
        """The node's notices, once one of them has this in it."""
        node, _room = self._here()
        await _until(lambda: not containing or any(containing in notice for notice in node.notices))
        return {"notices": node.notices}

    async def feed(self, peer: str) -> Answer:
        """Wait until we read this peer's feed."""
        node, _room = self._here()
        bare = next(known for known in node.peers if known.id.hex() == peer)
        while True:
            report = await node.doctor(bare.id_text)
            thoughts = report["peer"]
            assert isinstance(thoughts, dict)
            if thoughts["here"].get("feed") == "open":
                return {}
            await asyncio.sleep(0.02)

    async def refused(self, reason: str) -> Answer:
        """Wait until this node has refused somebody at its door for this reason."""
        node, _room = self._here()
        while True:
            refusals = (await node.doctor())["refusals"]
            assert isinstance(refusals, dict)
            if refusals.get(reason):
                return {}
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        """Stop the node."""
        if self._node is not None:
            await self._node.stop()
        for task in self._tasks:
            task.cancel()


async def _until(condition: Callable[[], bool]) -> None:
    # Looking again and again, as nothing tells of links before their peers are told of.
    while not condition():
        await asyncio.sleep(0.005)


async def serve() -> None:
    """Carry out orders, one after the other, until standard input ends."""
    worker = Worker()
    loop = asyncio.get_running_loop()
    print(json.dumps({}), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        within_s = order.pop("within_s")
        try:
            answer = await asyncio.wait_for(worker.orders[order.pop("do")](**order), within_s)
        except asyncio.TimeoutError:
            answer = {"timed_out": True, **await _state(worker)}
        print(json.dumps(answer), flush=True)
    await worker.close()


async def _state(worker: Worker) -> Answer:
    """What may explain why something did not happen."""
    node, room = worker._here()
    report = await node.doctor()
    return {
        "peers": report["peers"],
        "hosts": report["hosts"],
        "discovery": report["discovery"],
        "counters": report["counters"],
        "refusals": report["refusals"],
        "notices": node.notices,
        "members": [[member.name, member.online] for member in room.members],
        "last_read": [text for text, _at_s in worker._read[-5:]],
    }


if __name__ == "__main__":
    asyncio.run(serve())
