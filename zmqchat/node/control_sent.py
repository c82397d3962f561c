"""What commands have sent lately: each text once, and the message that it has become as soon as it is durable.

How it works. A line has a key of its own. The first time it is seen, the text is posted, and what becomes of it is
remembered under the key, so that the same line again, over any connection, is the same message. What is told of it
is the message itself as it comes by in the room, so it says what every other node will say.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from zmqchat.model.errors import UsageError
from zmqchat.model.ids import MessageId
from zmqchat.model.limits import (
    CONTROL_REMEMBERED_CHARACTERS_MAX,
    CONTROL_REMEMBERED_MAX,
)
from zmqchat.node.cursor import Blocks
from zmqchat.node.message import Message
from zmqchat.protocol.publishing import check_text

if TYPE_CHECKING:
    from zmqchat.node.room import Room

MESSAGES_PER_TURN: Final = 256
"""Messages that are looked at before everything else on the loop gets its turn."""


class Line(NamedTuple):
    """One text of a stream: its place, its key, and what it says."""

    number: int
    key: str
    text: str


class Accepted:
    """A text that was posted; `outcome` is the message once it is durable here, or why it was given up."""

    __slots__ = ("characters", "message", "outcome")

    def __init__(self, message: MessageId, characters: int) -> None:
        self.message = message
        self.characters = characters
        self.outcome: Message | Exception | None = None


class SentMemory:
    """The texts that commands have sent lately, by key; one a node, bounded."""

    def __init__(self) -> None:
        self._accepted: OrderedDict[str, Accepted] = OrderedDict()
        self._characters = 0
        self._echoes: dict[str, Echo] = {}

    async def accept(self, room: Room, lines: Sequence[Line]) -> list[Accepted | Exception]:
        """Post the texts whose keys were not seen before; for each line what it is, or why it can't be sent."""
        failure: Exception | None = None
        if any(self._known(line.key) is None for line in lines):
            try:
                await room.wait_for_room()
            except Exception as error:  # noqa: BLE001  # whatever it is, these lines are told, and the rest goes on
                failure = error
        results = self._post(room, lines, failure)
        while len(self._accepted) > CONTROL_REMEMBERED_MAX or self._characters > CONTROL_REMEMBERED_CHARACTERS_MAX:
            self._forget(next(iter(self._accepted)))
        return results

    def _post(self, room: Room, lines: Sequence[Line], failure: Exception | None) -> list[Accepted | Exception]:
        """Post what is new of these, unless that fails anyway."""
        fresh: dict[str, str] = {}
        refused: dict[int, Exception] = {}
        for index, line in enumerate(lines):
            if self._known(line.key) is None and line.key not in fresh:
                try:
                    check_text(line.text)
                except UsageError as error:
                    refused[index] = error
                else:
                    fresh[line.key] = line.text
        if fresh and failure is None:
            try:
                posted = self.echo(room).post(list(fresh.values()))
            except Exception as error:  # noqa: BLE001  # as above
                failure = error
            else:
                self._accepted.update(zip(fresh, posted, strict=True))
                self._characters += sum(accepted.characters for accepted in posted)
        results: list[Accepted | Exception] = []
        for index, line in enumerate(lines):
            result = refused.get(index) or self._known(line.key) or failure
            assert result is not None
            results.append(result)
        return results

    def _known(self, key: str) -> Accepted | None:
        """What was sent under this key; what was not stored may be sent again under it."""
        known = self._accepted.get(key)
        if known is not None and isinstance(known.outcome, Exception):
            self._forget(key)
            return None
        return known

    def _forget(self, key: str) -> None:
        self._characters -= self._accepted.pop(key).characters

    def echo(self, room: Room) -> Echo:
        """What is told when something that was sent to the room has come out."""
        return self._echoes.setdefault(room.name, Echo(room))

    async def close(self) -> None:
        """Stop reading rooms."""
        tasks = [task for echo in self._echoes.values() for task in echo.tasks()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Echo:
    """Own messages of a room as they come by; `listeners` are called when some have.

    listeners  what each stream that sends to the room wants called
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._waiting: dict[MessageId, Accepted] = {}
        self._storing: set[asyncio.Task[None]] = set()
        self._reader: asyncio.Task[None] | None = None
        self.listeners: list[Callable[[], None]] = []

    def post(self, texts: Sequence[str]) -> list[Accepted]:
        """Post texts that were checked. Raises as `Room.post_many` does."""
        loop = asyncio.get_running_loop()
        # The place to read from is taken before anything is posted.
        blocks = self._room.messages(after=None).blocks() if self._reader is None or self._reader.done() else None
        messages = self._room.post_many(texts)
        posted = [Accepted(message, len(text)) for message, text in zip(messages, texts, strict=True)]
        self._waiting.update(zip(messages, posted, strict=True))
        if blocks is not None:
            self._reader = loop.create_task(self._read(blocks), name="zmqchat control echo")
        task = loop.create_task(self._stored(posted), name="zmqchat control send")
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)
        return posted

    def tasks(self) -> list[asyncio.Task[None]]:
        """What runs for this room."""
        return [*self._storing, *([self._reader] if self._reader is not None else [])]

    async def _stored(self, posted: Sequence[Accepted]) -> None:
        """See to it that what is given up is told; what is durable comes by."""
        try:
            await self._room.stored(posted[-1].message)
        except Exception as error:  # noqa: BLE001  # whoever waits must hear of it, whatever it was
            self._fail([each for each in posted if not self._room.has_reached(each.message, "stored")], error)

    async def _read(self, blocks: Blocks) -> None:
        try:
            async for block in blocks:
                if self._waiting and block[0].author_id == next(iter(self._waiting)).author:
                    await self._come_by(block)
                if not self._waiting:
                    return
                await asyncio.sleep(0)
        except Exception as error:  # noqa: BLE001  # as above
            self._fail(list(self._waiting.values()), error)

    async def _come_by(self, block: Sequence[Message]) -> None:
        for begin in range(0, len(block), MESSAGES_PER_TURN):
            for message in block[begin : begin + MESSAGES_PER_TURN]:
                accepted = self._waiting.pop(message.id, None)
                if accepted is not None:
                    accepted.outcome = message
            self._tell()
            await asyncio.sleep(0)

    def _fail(self, posted: Sequence[Accepted], error: Exception) -> None:
        for accepted in posted:
            if self._waiting.pop(accepted.message, None) is not None:
                accepted.outcome = error
        self._tell()

    def _tell(self) -> None:
        for listener in self.listeners:
            listener()
