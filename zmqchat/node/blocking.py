"""What `zmqchat.sync` runs on a node's loop for callers on other threads."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterable

from zmqchat.node.bulk import Sends
from zmqchat.node.sending import Sent
from zmqchat.node.values import NodeEvent

SENTS_AT_ONCE_MAX = 1_024
"""Results of `send_all` that one change of threads brings."""

ITEMS_AHEAD_MAX = 64
"""Items of the source of `send_all` that are taken before there is room for them."""


def serve_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Run a node's loop until it is stopped, and close it.

    All on the loop's own thread: the one that stops the node may be running a loop itself, as a notebook's does.
    """
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


async def cancel_all() -> None:
    """End every task of this loop: the node is stopped."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=1.0)


async def next_or_none(events: AsyncIterator[NodeEvent]) -> NodeEvent | None:
    """What happens next; None at the end."""
    return await anext(events, None)


class Exhausted(Exception):
    """The source of a `send_all` is at its end, and everything is reported."""


async def next_sents(sends: Sends) -> list[Sent]:
    """The next results: at least one, and what is there beside it."""
    try:
        sents = [await anext(sends)]
        while sends.is_next_ready and len(sents) < SENTS_AT_ONCE_MAX:
            sents.append(await anext(sends))
    except StopAsyncIteration:
        raise Exhausted from None
    return sents


class Pump(AsyncIterator[str]):
    """The items of a plain iterable, which runs on a thread of its own; a daemon, as it may never come back."""

    def __init__(self, source: Iterable[str]) -> None:
        self._source = source
        self._items: deque[str] = deque()
        self._slots = threading.Semaphore(ITEMS_AHEAD_MAX)
        self._closed = False
        self._ended = False
        self._error: BaseException | None = None
        self._news: asyncio.Event | None = None

    async def __anext__(self) -> str:
        if self._news is None:
            self._news = asyncio.Event()
            arguments = (asyncio.get_running_loop(), self._news)
            threading.Thread(target=self._pump, args=arguments, name="zmqchat-source", daemon=True).start()
        while not self._items:
            if self._ended:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            self._news.clear()
            if not self._items and not self._ended:
                await self._news.wait()
        self._slots.release()
        return self._items.popleft()

    def close(self) -> None:
        """Take no more than the item that is being taken."""
        self._closed = True
        self._slots.release()

    def _pump(self, loop: asyncio.AbstractEventLoop, news: asyncio.Event) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            try:
                for item in self._source:
                    self._slots.acquire()
                    if self._closed:
                        return
                    self._items.append(item)
                    loop.call_soon_threadsafe(news.set)
            except Exception as error:  # noqa: BLE001  # it is raised where the results are asked for
                self._error = error
            self._ended = True
            loop.call_soon_threadsafe(news.set)
