"""What libzmq tells of a socket's connections: accepted, shaken hands, gone.

The events describe TCP connections, not peers, and may be lost under load, so they are never the only
source of truth: a connection is also known by its first frame, and forgotten when its descriptor is.
"""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections.abc import Callable
from typing import Final

import zmq

from zmqchat.net.reader import Reader

LISTENER_EVENTS: Final = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
DIALLER_EVENTS: Final = (
    zmq.EVENT_CONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
HANDSHAKE_FAILURES: Final = frozenset(
    {zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, zmq.EVENT_HANDSHAKE_FAILED_AUTH}
)

_EVENT = struct.Struct("=HI")
_numbers = itertools.count(1)


class Monitor:
    """Calls `told` with (event, value) for each event of the socket; value is a descriptor or an errno."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        loop: asyncio.AbstractEventLoop,
        watched: zmq.Socket[bytes],
        events: int,
        told: Callable[[int, int], None],
    ) -> None:
        self._watched = watched
        self._told = told
        endpoint = f"inproc://zmqchat-monitor-{next(_numbers)}"
        watched.monitor(endpoint, events)
        self._socket = context.socket(zmq.PAIR)
        self._socket.set(zmq.LINGER, 0)
        self._socket.connect(endpoint)
        self._reader = Reader(loop, self._socket, self._read)

    def drain(self) -> None:
        """Hear what waits, now."""
        self._reader.drain()

    def close(self) -> None:
        """Stop listening; must precede the close of the watched socket."""
        if self._reader.closed:
            return
        self._reader.close()
        self._watched.disable_monitor()
        self._socket.close(0)

    def _read(self) -> None:
        frames = self._socket.recv_multipart(zmq.NOBLOCK)
        if frames and len(frames[0]) == _EVENT.size:
            event, value = _EVENT.unpack(frames[0])
            self._told(event, value)
