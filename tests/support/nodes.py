"""Nodes in this process, on the loopback interface, without multicast and with all timings divided by ten."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from zmqchat import Block, Config, Gap, Message, Node, Room

FAST = Config().scaled(0.1)
MESH = f"tests of {os.getpid()}"
"""Of these tests alone: the ports of nodes are used again, also by suites that run at the same time."""

WAIT_S = 15.0
"""Far more than anything takes, as the machine may be busy; what must be quick is timed by the test itself."""

Value = TypeVar("Value")


async def eventually(condition: Callable[[], Value], timeout_s: float = WAIT_S) -> Value:
    """Wait until the condition gives something true; fails after `timeout_s`, with what it gave last."""
    deadline_s = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline_s, f"not within {timeout_s:g} s; the last value was {value!r}"
        await asyncio.sleep(0.005)
    return value


@contextlib.asynccontextmanager
async def running(
    folder: Path, name: str = "ann", *others: Node, config: Config = FAST, mesh: str = MESH
) -> AsyncIterator[Node]:
    """A node with a home of its name in the folder, told of the other nodes."""
    node = Node(
        name,
        home=folder / name,
        mesh=mesh,
        listen="127.0.0.1",
        peers=[other.address for other in others],
        discovery=False,
        config=config,
    )
    async with node:
        yield node


async def linked(*nodes: Node) -> None:
    """Wait until each of the nodes is in touch with all the others."""
    await eventually(lambda: all(len(node.peers) >= len(nodes) - 1 for node in nodes))


async def share_room(name: str, *nodes: Node) -> list[Room]:
    """The room of all these nodes, once each of them knows the others as its members."""
    rooms = [await node.join(name) for node in nodes]
    await eventually(lambda: all(len(room.members) >= len(nodes) for room in rooms))
    await eventually(lambda: all(len(room.peers()) >= len(nodes) - 1 for room in rooms))
    return rooms


async def history_texts(room: Room, last: int = 100_000) -> list[str | None]:
    """All texts of the room in timeline order."""
    return [message.text for message in await room.history(last)]


async def has_texts(room: Room, texts: Sequence[str | None], timeout_s: float = WAIT_S) -> None:
    """Wait until the room's timeline is exactly these texts."""
    deadline_s = time.monotonic() + timeout_s
    while (found := await history_texts(room)) != list(texts):
        assert time.monotonic() < deadline_s, f"{len(found)} of {len(texts)}: {found[-5:]} instead of {texts[-5:]}"
        await asyncio.sleep(0.01)


async def take(cursor: AsyncIterator[Message | Gap], count: int, timeout_s: float = WAIT_S) -> list[Message | Gap]:
    """The next items of a cursor."""
    return [await asyncio.wait_for(cursor.__anext__(), timeout_s) for _ in range(count)]


async def take_texts(cursor: AsyncIterator[Message | Gap], count: int) -> list[str | None]:
    """The texts of the next items."""
    return [item.text for item in await take(cursor, count)]


async def is_silent(cursor: AsyncIterator[object], for_s: float = 0.15) -> bool:
    """Whether the cursor has nothing to give for a while; it stays usable."""
    try:
        await asyncio.wait_for(cursor.__anext__(), for_s)
    except asyncio.TimeoutError:
        return True
    return False


def texts_of(block: Block) -> list[str | None]:
    """The texts of a block."""
    return [message.text for message in block]
