"""`send_all`: many messages through a bounded window, each reported when it has got where it should.

How it works. A feeder task takes from the source and posts in chunks, as far as the window allows; the
iterator waits for the oldest message that is on its way and gives it, and all behind it that are there too.
So neither side waits for the other's round trip, and an endless source costs no memory. Nothing is taken
from a source before there is room for it, and what was taken is posted before anything is awaited: whoever
cancels or breaks off finds each text sent or still in the source.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from itertools import islice
from typing import TYPE_CHECKING

from zmqchat.model.errors import ZmqChatError
from zmqchat.model.ids import MessageId
from zmqchat.model.limits import BATCH_BYTES_MAX, SEND_WINDOW_EVENTS_MAX
from zmqchat.node.sending import Sent

if TYPE_CHECKING:
    from zmqchat.node.room import Room

CHUNK_EVENTS = 512
CHUNK_S = 0.002
"""A plain generator runs on the event loop: after this long everything else gets its turn."""

STEP_EVENTS_MAX = 64
STEP_S = 0.0002
"""A source that is quicker than this is asked for twice as many at once."""


class Window:
    """What a `send_all` has on its way."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.on_way: deque[MessageId] = deque()
        self.is_exhausted = False
        self._failures = room.failures
        self._changed = asyncio.Event()

    async def feed(self, source: Iterable[str] | AsyncIterable[str]) -> None:
        """Post everything of the source as the window allows."""
        try:
            if isinstance(source, AsyncIterable):
                await self._feed_asynchronous(aiter(source))
            else:
                await self._feed_plain(source)
        finally:
            self.is_exhausted = True
            self._changed.set()

    async def _feed_asynchronous(self, source: AsyncIterator[str]) -> None:
        turn_until_s = time.monotonic() + CHUNK_S
        while await self._has_space():
            try:
                text = await anext(source)
            except StopAsyncIteration:
                return
            self._post([text])
            if time.monotonic() > turn_until_s:  # it may never have to wait for anything
                await asyncio.sleep(0)
                turn_until_s = time.monotonic() + CHUNK_S

    async def _feed_plain(self, source: Iterable[str]) -> None:
        iterator = iter(source)
        exhausted = False
        while not exhausted and await self._has_space():
            texts: list[str] = []
            try:
                exhausted = _take(texts, iterator, min(CHUNK_EVENTS, SEND_WINDOW_EVENTS_MAX - len(self.on_way)))
            finally:  # what it gave before it failed was given
                self._post(texts)
            await asyncio.sleep(0)

    async def _has_space(self) -> bool:
        """Wait for space; False when what is on its way was given up, as nothing may follow in its place."""
        while len(self.on_way) >= SEND_WINDOW_EVENTS_MAX:
            self._changed.clear()
            await self._changed.wait()
        await self._room.wait_for_room()
        return self.is_whole()

    def is_whole(self) -> bool:
        """Whether nothing that is on its way was given up."""
        failures = self._room.failures
        if failures != self._failures:
            if self.on_way and self._room.was_given_up_since(self.on_way[-1], self._failures):
                return False
            self._failures = failures
        return True

    def _post(self, texts: list[str]) -> None:
        try:
            self.on_way.extend(self._room.post_many(texts))
        except ZmqChatError:
            for text in texts:  # up to the one that can't be sent
                self.on_way.extend(self._room.post_many([text]))
        finally:
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


def _take(texts: list[str], iterator: Iterable[str], count: int) -> bool:
    """Take up to so many texts within a turn of the loop; whether the iterator is at its end."""
    began_s = now_s = time.monotonic()
    step, characters = 1, 0
    while len(texts) < count and characters < BATCH_BYTES_MAX and now_s < began_s + CHUNK_S:
        before, before_s = len(texts), now_s
        wanted = min(step, count - before)
        texts.extend(islice(iterator, wanted))
        if len(texts) < before + wanted:
            return True
        characters += sum(len(text) for text in texts[before:] if isinstance(text, str))
        now_s = time.monotonic()
        step = min(2 * step, STEP_EVENTS_MAX) if now_s - before_s < STEP_S else 1
    return False


class Sends(AsyncIterator[Sent]):
    """What `send_all` gives: each Sent, in order, when it has got to `until`; may be cancelled and asked again."""

    def __init__(
        self,
        room: Room,
        source: Iterable[str] | AsyncIterable[str],
        until: str,
        timeout_s: float | None,
        copies: int,
    ) -> None:
        self._room = room
        self._source = source
        self._until = until
        self._timeout_s = timeout_s
        self._copies = copies
        self._window = Window(room)
        self._feeder: asyncio.Task[None] | None = None
        self._log = 0
        self._reached_below = 0
        self._ended = False

    @property
    def is_next_ready(self) -> bool:
        """Whether the next one is there without waiting."""
        on_way = self._window.on_way
        return bool(on_way) and on_way[0].number < self._reached_below and on_way[0].log == self._log

    async def __anext__(self) -> Sent:
        if self.is_next_ready:
            return Sent(self._room, self._window.on_way.popleft())
        if self._ended:
            raise StopAsyncIteration
        try:
            return await self._wait_for_next()
        except Exception:
            self._end()
            raise

    async def _wait_for_next(self) -> Sent:
        window = self._window
        if self._feeder is None:
            self._feeder = self._room.start_task(window.feed(self._source), "zmqchat send_all")
        window.shrunk()
        head = await window.head()
        if head is None:
            self._room.check_open()
            await self._feeder
            raise StopAsyncIteration
        self._log, self._reached_below = head.log, 0
        if window.is_whole():  # else each is asked for by itself: their numbers may name others now
            end = window.on_way[-1].number + 1
            self._reached_below = self._room.reached_below(head, end, self._until, self._copies)
        if head.number >= self._reached_below:
            await self._room.wait(head, self._until, self._timeout_s, copies=self._copies)
        return Sent(self._room, window.on_way.popleft())

    async def aclose(self) -> None:
        """Take nothing more from the source; what was posted stays sent."""
        self._end()

    def _end(self) -> None:
        self._ended = True
        if self._feeder is not None:
            self._feeder.cancel()

    def __del__(self) -> None:
        feeder = self._feeder
        if feeder is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and its tasks with it
                # Any thread may be the one that collects this.
                feeder.get_loop().call_soon_threadsafe(feeder.cancel)
