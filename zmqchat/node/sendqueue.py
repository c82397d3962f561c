"""Single sends, posted together: what tasks send while a commit is under way becomes one order to the machines.

Posting a hundred texts at once costs a tenth of posting each by itself, and a commit costs the same for one
text as for a hundred. So what is sent while something of the room is on its way to the disk waits here, and
goes out when that has arrived and its senders have had their turn: a hundred tasks that send in a loop stay
one group. A sender that is alone waits for nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from zmqchat.model.errors import NotStored, ZmqChatError
from zmqchat.model.events import Kind
from zmqchat.model.ids import MessageId, RoomId
from zmqchat.model.limits import BATCH_BYTES_MAX
from zmqchat.node import forks

if TYPE_CHECKING:
    from zmqchat.node.core import Core


class SendQueue:
    """The texts of one room that wait for the end of this turn."""

    def __init__(self, core: Core, room: RoomId) -> None:
        self._core = core
        self._room = room
        self._loop = asyncio.get_running_loop()
        self._texts: list[str] = []
        self._futures: list[asyncio.Future[MessageId]] = []
        self._characters = 0
        self._on_way = 0
        self._last_count = 0
        self._scheduled = False
        self._has_space = False

    @property
    def is_open(self) -> bool:
        """Whether a text may be added now; else `wait_for_room` says why not, or until when to wait."""
        core = self._core
        return self._has_space and not core.closed and forks.generation() == core.generation

    def add(self, text: str) -> asyncio.Future[MessageId]:
        """Queue a checked text; the future gives its id when it is durable here, or raises NotStored."""
        future: asyncio.Future[MessageId] = self._loop.create_future()
        self._texts.append(text)
        self._futures.append(future)
        self._characters += len(text)
        if self._characters >= BATCH_BYTES_MAX:
            self._post()
        elif self._on_way == 0 and not self._scheduled:
            if self._last_count <= 1:
                self._post()
                self._core.runner.settle()
            else:
                self._schedule()
        return future

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._end_of_turn)

    def _end_of_turn(self) -> None:
        self._scheduled = False
        if self._texts:
            self._post()
            self._core.runner.settle()

    def _post(self) -> None:
        texts, futures = self._texts, self._futures
        self._texts, self._futures, self._characters = [], [], 0
        try:
            messages = self._core.post(self._room, Kind.TEXT, texts)
        except ZmqChatError as error:
            _refuse(futures, error)
            return
        self._has_space = self._core.may_send(self._room)
        self._on_way += len(messages)
        self._last_count = len(messages)
        stored = self._core.marks.wait(self._room, messages[-1])
        stored.add_done_callback(lambda done: self._done(messages, futures, done))

    def _done(
        self, messages: list[MessageId], futures: list[asyncio.Future[MessageId]], done: asyncio.Future[None]
    ) -> None:
        self._on_way -= len(messages)
        self._has_space = not self._core.closed and self._core.may_send(self._room)
        error = None if done.cancelled() else done.exception()
        if error is None and not done.cancelled():
            for message, future in zip(messages, futures, strict=True):
                if not future.done():
                    future.set_result(message)
            self._schedule()
            return
        is_stored = self._core.marks.is_stored
        for message, future in zip(messages, futures, strict=True):
            if future.done():
                continue
            if is_stored(self._room, message):
                future.set_result(message)
            else:
                _refuse([future], error or NotStored("the node is stopped"))
        self._schedule()


def _refuse(futures: list[asyncio.Future[MessageId]], error: BaseException) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)
            future.exception()  # a sender that was cancelled never looks: that is no unhandled error
