"""The processes that the bench measures: one JSON order a line on standard input, one answer a line on standard output.

`python -m zmqchat.cli.bench.worker` starts with nothing; `open` makes it a node, the `plain-…` orders make it a
yardstick. Times are of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from zmqchat import Message, Node, Room

ROOM = "bench"
_STAMP_DIGITS = 20
Answer = dict[str, Any]


class Worker:
    """One measured process."""

    def __init__(self) -> None:
        self._node: Node | None = None
        self._room: Room | None = None
        self.orders: dict[str, Callable[..., Awaitable[Answer]]] = {
            "open": self.open,
            "peers": self.peers,
            "stream": self.stream,
            "stream-chat": self.stream_chat,
            "count": self.count,
            "counted": self.counted,
            "converse": self.converse,
            "send": self.send,
            "history": self.history,
            "cpu": self.cpu,
            "rss": self.rss,
            "close": self.close,
        }

    def _here(self) -> tuple[Node, Room]:
        assert self._node is not None and self._room is not None, "the order `open` comes first"
        return self._node, self._room

    async def open(self, home: str, peers: list[str], listen: str = "127.0.0.1") -> Answer:
        """Be a node of this home."""
        self._node = Node("bench", home=home, listen=listen, peers=peers, discovery=False, mesh="bench")
        await self._node.start()
        self._room = await self._node.join(ROOM)
        return {"address": self._node.address, "ports": list(self._node.ports)}

    async def peers(self, count: int, members: bool = True) -> Answer:
        """Wait until so many peers are in touch, and known as members of the room where `members` says so."""
        node, room = self._here()
        # An event would be one more thing that the measured node does.
        while len(node.peers) < count or (members and _online(room) < count + 1):  # noqa: ASYNC110 - as said above
            await asyncio.sleep(0.002)
        return {"at_s": time.monotonic()}

    async def stream(self, duration_s: float, payload_bytes: int, count: int = 0) -> Answer:
        """Stream texts through send_all for so long, or so many."""
        _node, room = self._here()
        started_s = time.monotonic()
        sent = 0
        async for _sent in room.send_all(_texts(duration_s, payload_bytes, count)):
            sent += 1
        return {"count": sent, "started_s": started_s}

    async def stream_chat(self, duration_s: float, payload_bytes: int, tasks: int = 100) -> Answer:
        """Send each text by a send() of its own, from so many tasks."""
        _node, room = self._here()
        text = "x" * payload_bytes
        started_s = time.monotonic()
        until_s = started_s + duration_s

        async def chat() -> int:
            count = 0
            while time.monotonic() < until_s:
                await room.send(text)
                count += 1
            return count

        counts = await asyncio.gather(*(chat() for _ in range(tasks)))
        return {"count": sum(counts), "started_s": started_s}

    async def count(self) -> Answer:
        """Begin to count what is readable here from now on."""
        _node, room = self._here()
        self._blocks = room.messages(None).blocks()
        self._seen = 0
        return {}

    async def counted(self, count: int, after: str = "") -> Answer:
        """Wait until so many texts were read; from the start of the room where after says so."""
        _node, room = self._here()
        if after:
            self._blocks, self._seen = room.messages(after).blocks(), 0
        while self._seen < count:
            self._seen += len(await self._blocks.__anext__())
        return {"at_s": time.monotonic(), "count": self._seen}

    async def converse(self, count: int, payload_bytes: int, begins: bool) -> Answer:
        """Answer each text of the other side by one, one at a time; how long each took from its send() to us, in ns."""
        node, room = self._here()
        me = node.id
        taken: list[int] = []
        sent = 0
        messages = room.messages(None)
        if begins:
            await room.send(_stamped(payload_bytes))
            sent = 1
        while len(taken) < count:
            message = await messages.__anext__()
            if not isinstance(message, Message) or message.author_id == me or not message.text:
                continue
            taken.append(time.monotonic_ns() - int(message.text[:_STAMP_DIGITS]))
            if sent < count:
                await room.send(_stamped(payload_bytes))
                sent += 1
        return {"ns": taken}

    async def send(self, payload_bytes: int) -> Answer:
        """Send one text and wait until the others have it."""
        _node, room = self._here()
        await room.send("x" * payload_bytes, until="delivered", timeout=10)
        return {}

    async def history(self, last: int) -> Answer:
        """Read the last page."""
        _node, room = self._here()
        return {"count": len([message.text for message in await room.history(last)])}

    async def cpu(self) -> Answer:
        """Seconds of processor that this process has used."""
        return {"cpu_s": time.process_time(), "at_s": time.monotonic()}

    async def rss(self) -> Answer:
        """Resident memory in bytes, None where the system does not tell."""
        return {"bytes": _resident_bytes()}

    async def close(self) -> Answer:
        """Stop the node."""
        if self._node is not None:
            await self._node.stop()
        return {}


def _stamped(payload_bytes: int) -> str:
    """A text that begins with the time of its send()."""
    return f"{time.monotonic_ns():0{_STAMP_DIGITS}d}".ljust(payload_bytes, "x")


def _online(room: Room) -> int:
    return sum(member.online for member in room.members)


def _texts(duration_s: float, payload_bytes: int, count: int) -> Iterator[str]:
    text = "x" * payload_bytes
    if count:
        for _ in range(count):
            yield text
        return
    until_s = time.monotonic() + duration_s
    while time.monotonic() < until_s:
        for _ in range(256):
            yield text


def _resident_bytes() -> int | None:
    if sys.platform != "win32":
        with contextlib.suppress(OSError, ValueError, IndexError):
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE")
    return None


async def serve() -> None:
    """Carry out orders until standard input ends."""
    worker = Worker()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        answer = await worker.orders[order.pop("do")](**order)
        print(json.dumps(answer), flush=True)
    await worker.close()


if __name__ == "__main__":
    asyncio.run(serve())
