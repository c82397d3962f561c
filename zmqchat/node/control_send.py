"""Sending for commands: a stream of texts through a bounded window, each answered when it has got to `until`.

How it works. A line has a key of its own. The first time it is seen, the text is posted, and what becomes of it is
remembered under the key, so that the same line again, over any connection, is the same message. The record of a
message is made from the message itself as it comes by in the room, so it says what every other node will say.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

from zmqchat.model.ids import MessageId
from zmqchat.model.limits import (
    CONTROL_REMEMBERED_CHARACTERS_MAX,
    CONTROL_REMEMBERED_MAX,
    CONTROL_SEND_WINDOW_BYTES,
    CONTROL_SEND_WINDOW_EVENTS,
)
from zmqchat.node.message import Gap, Message
from zmqchat.node.records import Record, message_record

if TYPE_CHECKING:
    from zmqchat.node.room import Room


class Line(NamedTuple):
    """One text of a stream: its place, its key, and what it says."""

    number: int
    key: str
    text: str


class Accepted(NamedTuple):
    """A text that was posted: its id, its record once it is durable here, and how long it is."""

    message: MessageId
    record: asyncio.Task[Record]
    characters: int


class SentMemory:
    """The texts that commands have sent lately, by key; one a node, bounded."""

    def __init__(self) -> None:
        self._accepted: OrderedDict[str, Accepted] = OrderedDict()
        self._characters = 0
        self._echoes: dict[str, _Echo] = {}

    async def accept(self, room: Room, key: str, text: str) -> Accepted:
        """Post the text, unless the key was seen before. Raises as `Room.post` does; nothing is remembered then."""
        known = self._accepted.get(key)
        if known is None:
            await room.wait_for_room()
            known = self._accepted.get(key)
        if known is not None:
            return known
        echo = self._echoes.setdefault(room.name, _Echo(room))
        accepted = echo.post(text)
        self._accepted[key] = accepted
        self._characters += accepted.characters
        accepted.record.add_done_callback(lambda task: self._forget_failed(key, task))
        while len(self._accepted) > CONTROL_REMEMBERED_MAX or self._characters > CONTROL_REMEMBERED_CHARACTERS_MAX:
            self._forget(next(iter(self._accepted)))
        return accepted

    def _forget(self, key: str) -> None:
        forgotten = self._accepted.pop(key, None)
        if forgotten is not None:
            self._characters -= forgotten.characters

    def _forget_failed(self, key: str, task: asyncio.Task[Record]) -> None:
        """What was not stored may be sent again under its key."""
        if task.cancelled() or task.exception() is not None:
            self._forget(key)

    async def close(self) -> None:
        """Stop reading rooms."""
        tasks = [task for echo in self._echoes.values() for task in echo.tasks()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Echo:
    """Own messages of a room as they come by, for those who wait for their records."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._waiting: dict[MessageId, asyncio.Future[Record]] = {}
        self._storing: set[asyncio.Task[Record]] = set()
        self._reader: asyncio.Task[None] | None = None

    def post(self, text: str) -> Accepted:
        loop = asyncio.get_running_loop()
        if self._reader is None or self._reader.done():
            cursor = self._room.messages(after=None)
            self._reader = loop.create_task(self._read(cursor), name="zmqchat control echo")
        posting = self._room.post(text)
        echo: asyncio.Future[Record] = loop.create_future()
        self._waiting[posting.id] = echo
        task = loop.create_task(self._stored(posting.id, posting, echo), name="zmqchat control send")
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)
        return Accepted(posting.id, task, len(text))

    def tasks(self) -> list[asyncio.Task[None] | asyncio.Task[Record]]:
        return [*self._storing, *([self._reader] if self._reader is not None else [])]

    async def _stored(self, message: MessageId, posting: Awaitable[object], echo: asyncio.Future[Record]) -> Record:
        try:
            await posting
            return await echo
        finally:
            self._waiting.pop(message, None)

    async def _read(self, cursor: AsyncIterator[Message | Gap]) -> None:
        try:
            async for item in cursor:
                echo = None if isinstance(item, Gap) else self._waiting.get(item.id)
                if echo is not None and not echo.done() and not isinstance(item, Gap):
                    echo.set_result(message_record(item))
                if not self._waiting:
                    return
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it, whatever ended the reading
            for echo in self._waiting.values():
                if not echo.done():
                    echo.set_exception(error)


class SendStream:
    """The texts of one `send` request, and how far each is to get."""

    def __init__(
        self,
        room: Room,
        memory: SentMemory,
        answer: Callable[[int, Record | Exception], Awaitable[None]],
        until: str,
        timeout_s: float | None,
        copies: int,
    ) -> None:
        self._room = room
        self._memory = memory
        self._answer = answer
        self._until = until
        self._timeout_s = timeout_s
        self._copies = copies
        self._lines: asyncio.Queue[Line | None] = asyncio.Queue(maxsize=1)
        self._window = asyncio.Semaphore(CONTROL_SEND_WINDOW_EVENTS)
        self._unstored_bytes = 0
        self._has_ended = False
        self._shrunk = asyncio.Event()
        self._waiting: set[asyncio.Task[None]] = set()

    async def put(self, line: Line | None) -> None:
        """The next line, None for the end; waits while the window is full. Dropped when the stream has ended."""
        if not self._has_ended:
            await self._lines.put(line)

    async def run(self) -> None:
        """Send all lines until the end; returns when each is answered."""
        loop = asyncio.get_running_loop()
        try:
            while (line := await self._lines.get()) is not None:
                await self._window.acquire()
                size = len(line.text)
                while self._unstored_bytes and self._unstored_bytes + size > CONTROL_SEND_WINDOW_BYTES:
                    self._shrunk.clear()
                    await self._shrunk.wait()
                try:
                    accepted = await self._memory.accept(self._room, line.key, line.text)
                except Exception as error:  # noqa: BLE001  # whatever it is, it is this line's, and the rest goes on
                    self._window.release()
                    await self._answer(line.number, error)
                    continue
                self._unstored_bytes += size
                task = loop.create_task(self._follow(line.number, accepted, size), name="zmqchat control line")
                self._waiting.add(task)
                task.add_done_callback(self._waiting.discard)
            while self._waiting:
                await asyncio.wait(self._waiting)
        finally:
            self._has_ended = True
            if not self._lines.empty():
                self._lines.get_nowait()  # who waits to put one goes on
            for task in self._waiting:
                task.cancel()

    async def _follow(self, number: int, accepted: Accepted, size: int) -> None:
        result: Record | Exception
        try:
            try:
                result = await asyncio.shield(accepted.record)
            finally:
                self._unstored_bytes -= size
                self._shrunk.set()
            if self._until != "stored":
                await self._room.wait(accepted.message, self._until, self._timeout_s, copies=self._copies)
        except Exception as error:  # noqa: BLE001  # it is told to who sent the line
            result = error
        try:
            await self._answer(number, result)
        finally:
            self._window.release()
