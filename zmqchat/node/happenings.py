"""What happens in the mesh, for whoever listens: presence, members, warnings. Bounded a listener."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from zmqchat.node.values import NodeEvent

EVENTS_KEPT_MAX = 1_000
"""What waits for a slow listener; older ones are dropped: presence is news, not history."""


class Happenings:
    """Gives each listener what happens from the moment it began to listen."""

    def __init__(self) -> None:
        self._listeners: list[tuple[deque[NodeEvent], asyncio.Event]] = []
        self._closed = False

    def tell(self, event: NodeEvent) -> None:
        """Something happened."""
        for queue, news in self._listeners:
            queue.append(event)
            news.set()

    def close(self) -> None:
        """End all listening."""
        self._closed = True
        for _queue, news in self._listeners:
            news.set()

    async def listen(self) -> AsyncIterator[NodeEvent]:
        """Everything from now on, until the node stops."""
        queue: deque[NodeEvent] = deque(maxlen=EVENTS_KEPT_MAX)
        news = asyncio.Event()
        self._listeners.append((queue, news))
        try:
            while True:
                while queue:
                    yield queue.popleft()
                if self._closed:
                    return
                news.clear()
                await news.wait()
        finally:
            self._listeners.remove((queue, news))
