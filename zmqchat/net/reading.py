"""Reading sockets on the event loop: libzmq's file descriptor is edge-triggered.

So a readiness that was not drained is never told again: a reader drains up to DRAIN_MAX messages, and
comes back by itself while there may be more. Sending can swallow an edge too, so whoever sends looks
afterwards (`recheck`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import zmq

from zmqchat.model.errors import NetworkError

DRAIN_MAX = 64
"""Messages read in a row before other work gets its turn."""


class Reader:
    """Calls `receive` for as long as the socket has messages; `receive` returns False when it has none."""

    def __init__(self, socket: zmq.Socket[bytes], receive: Callable[[zmq.Socket[bytes]], bool]) -> None:
        self._socket = socket
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._scheduled = False
        self._closed = False
        self._descriptor = socket.getsockopt(zmq.FD)
        try:
            self._loop.add_reader(self._descriptor, self._drain)
        except NotImplementedError:
            raise NetworkError("this event loop can't watch sockets: run zmqchat on a selector event loop") from None
        self.recheck()

    def recheck(self) -> None:
        """Something was sent, or the reader is new: drain soon where messages wait."""
        if not self._scheduled and not self._closed and self._socket.getsockopt(zmq.EVENTS) & zmq.POLLIN:
            self._scheduled = True
            self._loop.call_soon(self._drain)

    def close(self) -> None:
        """Read no more; before the socket is closed, as its descriptor will be another's."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._descriptor)

    def _drain(self) -> None:
        self._scheduled = False
        for _ in range(DRAIN_MAX):
            if self._closed or not self._receive(self._socket):
                return
        self._scheduled = True
        self._loop.call_soon(self._drain)
