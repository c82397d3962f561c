"""`send_all`: many messages through a bounded window, each reported when it has got where it should.

How it works. A feeder task takes from the source and posts in chunks, as far as the window allows; the
generator waits for the oldest message that is on its way and yields it, and all behind it that are
there too. So neither side waits for the other's round trip, and an endless source costs no memory.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import TYPE_CHECKING

from zmqchat.model.ids import MessageId
from zmqchat.model.limits import SEND_WINDOW_EVENTS_MAX
from zmqchat.node.sending import Sent

if TYPE_CHECKING:
    from zmqchat.node.room import Room

CHUNK_EVENTS = 512
CHUNK_S = 0.002
"""A plain generator runs on the event loop: after this long everything else gets its turn."""


class Window:
    """What a `send_all` has on its way."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.on_way: deque[MessageId] = deque()
        self.is_exhausted = False
        self._changed = asyncio.Event()

    async def feed(self, source: Iterable[str] | AsyncIterable[str]) -> None:
        """Post everything of the source as the window allows."""
        try:
            if isinstance(source, AsyncIterable):
                async for text in source:
                    await self._post([text])
            else:
                await self._feed_plain(source)
        finally:
            self.is_exhausted = True
            self._changed.set()

    async def _feed_plain(self, source: Iterable[str]) -> None:
        chunk: list[str] = []
        until_s = time.monotonic() + CHUNK_S
        for text in source:
            chunk.append(text)
            if len(chunk) >= CHUNK_EVENTS or time.monotonic() > until_s:
                await self._post(chunk)
                chunk = []
                await asyncio.sleep(0)
                until_s = time.monotonic() + CHUNK_S
        if chunk:
            await self._post(chunk)

    async def _post(self, texts: list[str]) -> None:
        while len(self.on_way) >= SEND_WINDOW_EVENTS_MAX:
            self._changed.clear()
            await self._changed.wait()
        await self._room.wait_for_room()
        self.on_way.extend(self._room.post_many(texts))
        self._changed.set()

    async def head(self) -> MessageId | None:
        """The oldest message on its way; None when the source is exhausted and all have arrived."""
        while not self.on_way:
            if self.is_exhausted:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self.on_way[0]

    def shrunk(self) -> None:
        """Messages have left the window."""
        self._changed.set()


async def send_all(
    room: Room, source: Iterable[str] | AsyncIterable[str], until: str, timeout_s: float | None, copies: int
) -> AsyncIterator[Sent]:
    """Send every text of the source; yields a Sent for each, in order, when it has got to `until`."""
    window = Window(room)
    feeder = asyncio.get_running_loop().create_task(window.feed(source), name="zmqchat send_all")
    on_way = window.on_way
    try:
        while (head := await window.head()) is not None:
            await room.wait(head, until, timeout_s, copies=copies)
            yield Sent(room, on_way.popleft())
            while on_way and room.has_reached(on_way[0], until, copies):
                yield Sent(room, on_way.popleft())
            window.shrunk()
        await feeder
    finally:
        feeder.cancel()
        await asyncio.wait({feeder})
