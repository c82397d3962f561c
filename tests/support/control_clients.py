"""A raw control client for tests, and a served node in memory to talk to."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.support.fakenode import FakeNode
from zmqchat.model.limits import CONTROL_LINE_BYTES_MAX
from zmqchat.node.control import ControlServer
from zmqchat.node.home import control_path

Fields = dict[str, Any]


class Client:
    """A raw control client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, *lines: Fields) -> None:
        """Send lines."""
        for line in lines:
            self.writer.write(json.dumps(line).encode() + b"\n")
        await self.writer.drain()

    async def hear(self) -> Fields:
        """The next line; empty where the server has cut the connection."""
        line = await asyncio.wait_for(self.reader.readline(), 5)
        answer: Fields = json.loads(line) if line else {}
        return answer

    async def ask(self, operation: str, **fields: object) -> Fields:
        """A request of one answer."""
        await self.say({"id": "1", "op": operation, **fields})
        return await self.hear()

    async def close(self) -> None:
        """Leave."""
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


async def connect(home: Path) -> Client:
    """A new client of the node on this home."""
    return Client(*await asyncio.open_unix_connection(control_path(home), limit=CONTROL_LINE_BYTES_MAX))


@contextlib.asynccontextmanager
async def serving(home: Path) -> AsyncIterator[tuple[FakeNode, Client]]:
    """A started node in memory with its control server, and a client of it."""
    node = FakeNode(home)
    await node.start()
    server = ControlServer(node.as_node(), home, {})
    await server.start()
    client = await connect(home)
    try:
        yield node, client
    finally:
        await client.close()
        await server.stop()


def line(number: int, text: str, key: str | None = None) -> Fields:
    """One text of a send request."""
    return {"id": "s", "op": "line", "n": number, "key": key or f"key-{number:06}", "text": text}


async def begin_send(
    client: Client, until: str = "stored", timeout: float | None = None, *, progress: bool = False
) -> None:
    """Begin a send request."""
    fields: Fields = {"room": "lobby", "until": until, "timeout": timeout, "progress": progress}
    await client.say({"id": "s", "op": "send", **fields})
    assert (await client.hear())["item"] == {"ready": True}
