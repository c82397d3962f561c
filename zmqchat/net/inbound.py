"""Reading a ROUTER: a routing id, one payload, and nothing else.

A message of more than two frames is none of ours: its connection is reported, and the rest is read and
dropped frame by frame, so that a long one can't hold the loop.
"""

from __future__ import annotations

from collections.abc import Callable

import zmq

ROUTING_BYTES = 5


class RouterReading:
    """Puts the frames of a ROUTER together.

    message   told of (routing id, payload frame) for each well-formed message
    bad       told of a frame from a connection that sent what no node sends
    """

    def __init__(self, message: Callable[[bytes, zmq.Frame], None], bad: Callable[[zmq.Frame, str], None]) -> None:
        self._message = message
        self._bad = bad
        self._routing: bytes | None = None
        self._dropping = False

    def read(self, socket: zmq.Socket[bytes]) -> None:
        """Take one frame; raises zmq.Again when there is none."""
        frame = socket.recv(zmq.NOBLOCK, copy=False)
        if self._dropping:
            self._dropping = frame.more
            return
        if self._routing is None:
            if frame.more:
                self._routing = frame.bytes
            return
        routing, self._routing = self._routing, None
        if frame.more:
            self._dropping = True
            self._bad(frame, "parts")
        elif len(routing) != ROUTING_BYTES or routing[0] != 0:
            self._bad(frame, "routing")
        else:
            self._message(routing, frame)
