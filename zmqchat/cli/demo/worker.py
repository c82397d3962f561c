"""One node of the demo: `python -m zmqchat.cli.demo.worker`, ordered by zmqchat.cli.processes.

Beside its answers it tells, as events, whom it is in touch with and how many messages it has, whenever that changes,
and each message of `stream` once its send() has returned.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from zmqchat import DeliveryTimeout, Message, Node, Room
from zmqchat.node.cable import cut_off

ROOM = "lobby"
LOOPBACK = "127.0.0.1"
HISTORY_MAX = 100_000
LOOK_S = 0.02
STREAM_INTERVAL_S = 0.0005

Answer = dict[str, Any]


class Worker:
    """One node, and what it has read."""

    def __init__(self) -> None:
        self._node: Node | None = None
        self._room: Room | None = None
        self._have: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self.orders: dict[str, Callable[..., Awaitable[Answer]]] = {
            "open": self.open,
            "multicast": self.multicast,
            "dial": self.dial,
            "touch": self.touch,
            "say": self.say,
            "stream": self.stream,
            "hold": self.hold,
            "timeline": self.timeline,
            "cut": self.cut,
            "close": self.close,
        }

    def _here(self) -> tuple[Node, Room]:
        assert self._node is not None and self._room is not None, "the order `open` comes first"
        return self._node, self._room

    async def open(self, name: str, home: str, mesh: str, discovery: bool, peers: list[str]) -> Answer:
        """Be a node of this home, on the loopback interface alone."""
        self._node = Node(
            name, home=home, mesh=mesh, listen=LOOPBACK, interfaces=(LOOPBACK,), discovery=discovery, peers=peers
        )
        await self._node.start()
        self._room = await self._node.join(ROOM)
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._read(self._room), name="demo reads"),
            loop.create_task(self._tell(self._node), name="demo tells"),
        ]
        return {"address": self._node.address}

    async def multicast(self) -> Answer:
        """Whether multicast works on the loopback interface, and why not."""
        node, _room = self._here()
        report: Any = await node.doctor()
        probes = report["discovery"]["multicast"]
        problem = next((probe["problem"] for probe in probes if probe["problem"]), None)
        return {"works": any(probe["heard"] for probe in probes), "problem": problem}

    async def dial(self, address: str) -> Answer:
        """Be told of an address."""
        node, _room = self._here()
        node.add_peer(address)
        return {}

    async def touch(self, names: list[str], timeout_s: float) -> Answer:
        """Wait until this node is in touch with exactly these, and they are in the room."""
        node, room = self._here()

        def is_so() -> bool:
            present = {member.name for member in room.members if member.online}
            return {peer.name for peer in node.peers} == set(names) and set(names) <= present

        return {"done": await _until(is_so, timeout_s)}

    async def say(self, text: str, until: str, timeout_s: float) -> Answer:
        """Send a text; its id, and who has it on disk."""
        _node, room = self._here()
        try:
            sent = await room.send(text, until=until, timeout=timeout_s)
        except DeliveryTimeout as error:
            return {"id": str(error.message), "on": len(error.delivered)}
        return {"id": str(sent.id), "on": len(sent.delivered)}

    async def stream(self, text: str) -> Answer:
        """Send numbered texts without end, and tell each whose send() has returned."""
        _node, room = self._here()

        async def texts() -> AsyncIterator[str]:
            number = 0
            while True:
                number += 1
                yield f"{text} {number}"
                await asyncio.sleep(STREAM_INTERVAL_S)

        number = 0
        async for sent in room.send_all(texts()):
            number += 1
            _print({"event": "acknowledged", "id": str(sent.id), "text": f"{text} {number}"})
        return {}

    async def hold(self, ids: list[str], timeout_s: float) -> Answer:
        """Wait until all of these are readable here."""
        done = await _until(lambda: self._have.issuperset(ids), timeout_s)
        return {"done": done}

    async def timeline(self) -> Answer:
        """All that the store gives as history, oldest first."""
        _node, room = self._here()
        messages = await room.history(HISTORY_MAX)
        return {
            "ids": [str(message.id) for message in messages],
            "texts": [message.text for message in messages],
            "authors": [message.author.name for message in messages],
        }

    async def cut(self, is_cut: bool) -> Answer:
        """Pull this node's cable, or plug it in again."""
        cut_off(self._here()[0], is_cut)
        return {}

    async def close(self) -> Answer:
        """Stop the node."""
        for task in self._tasks:
            task.cancel()
        if self._node is not None:
            await self._node.stop()
        return {}

    async def _read(self, room: Room) -> None:
        async for message in room.messages("start"):
            if isinstance(message, Message) and message.text is not None:
                self._have.add(str(message.id))

    async def _tell(self, node: Node) -> None:
        last: Answer = {}
        while True:
            now = {"event": "state", "peers": [peer.name for peer in node.peers], "messages": len(self._have)}
            if now != last:
                _print(now)
                last = now
            await asyncio.sleep(5 * LOOK_S)


async def _until(is_so: Callable[[], bool], timeout_s: float) -> bool:
    """Whether it becomes so in time."""
    deadline_s = asyncio.get_running_loop().time() + timeout_s
    while not is_so():
        if asyncio.get_running_loop().time() > deadline_s:
            return False
        await asyncio.sleep(LOOK_S)
    return True


def _print(told: Answer) -> None:
    print(json.dumps(told), flush=True)


async def serve() -> None:
    """Carry out orders until standard input ends."""
    worker = Worker()
    loop = asyncio.get_running_loop()
    try:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            order = json.loads(line)
            _print(await worker.orders[order.pop("do")](**order))
    finally:
        await worker.close()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # whoever gave the orders is gone
        asyncio.run(serve())
