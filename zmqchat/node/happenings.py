"""What happens in the mesh, for whoever listens: presence, members, warnings. Bounded a listener."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator

from zmqchat.node.values import NodeEvent

EVENTS_KEPT_MAX = 1_000
"""What waits for a slow listener; older ones are dropped: presence is news, not history."""


class Listening(AsyncIterator[NodeEvent]):
    """What one listener was not given yet; it may be cancelled while it waits, and goes on."""

    def __init__(self) -> None:
        self.events: deque[NodeEvent] = deque(maxlen=EVENTS_KEPT_MAX)
        self.news = asyncio.Event()
        self.ended = False

    async def __anext__(self) -> NodeEvent:
        while not self.events:
            if self.ended:
                raise StopAsyncIteration
            self.news.clear()
            await self.news.wait()
        return self.events.popleft()


class Happenings:
    """Gives each listener what happens from the moment it began to listen."""

    def __init__(self) -> None:
        self._listeners: weakref.WeakSet[Listening] = weakref.WeakSet()

    def tell(self, event: NodeEvent) -> None:
        """Something happened."""
        for listening in list(self._listeners):
            listening.events.append(event)
            listening.news.set()

    def close(self) -> None:
        """End all listening, once what has happened is told."""
        for listening in list(self._listeners):
            listening.ended = True
            listening.news.set()

    def listen(self) -> Listening:
        """Everything from now on, until the node stops; forgotten when nobody holds it."""
        listening = Listening()
        self._listeners.add(listening)
        return listening
