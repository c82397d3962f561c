"""Reading a ZeroMQ socket from an asyncio loop, without a task.

The descriptor that libzmq gives is edge-triggered: it becomes readable when something happened, not
while something waits. So whoever is woken reads until the socket is empty; whoever sends, which may
swallow an edge, calls `after_send`. Others get a turn after READS_AT_ONCE frames or TURN_S.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import zmq

from zmqchat.net.loops import readers_of

READS_AT_ONCE: Final = 64

TURN_S: Final = 0.02
"""No further frame is read in a turn that has taken so long: some frames cost their reader a hundred times others."""

_log = logging.getLogger(__name__)


class Reader:
    """Calls `read` while the socket has something; `read` takes one frame and raises zmq.Again when empty."""

    def __init__(self, loop: asyncio.AbstractEventLoop, socket: zmq.Socket[bytes], read: Callable[[], None]) -> None:
        self._loop = loop
        self._socket = socket
        self._read = read
        file = socket.get(zmq.FD)
        assert isinstance(file, int)
        self._file = file
        self._again: asyncio.Handle | None = None
        self._pause: asyncio.TimerHandle | None = None
        self.closed = False
        self._readers = readers_of(loop)
        self._readers.add_reader(self._file, self.drain)
        self._schedule()

    @property
    def behind(self) -> bool:
        """Whether frames may wait that were not read yet."""
        return self._again is not None or self._pause is not None

    def drain(self) -> None:
        """Read what is there, within the bound; the rest follows after the loop's next turn."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if self.closed or self._pause is not None:
            return
        try:
            until_s = self._loop.time() + TURN_S
            for _ in range(READS_AT_ONCE):
                self._read()
                if self.closed or self._pause is not None:
                    return
                if self._loop.time() > until_s:
                    break
        except zmq.Again:
            return
        except zmq.ZMQError as error:
            if not self.closed:
                _log.warning("reading a socket failed: %s", error)
            return
        except BaseException:
            self._schedule()  # the edge is spent: what else waits would wait for ever
            raise
        self._schedule()

    def drain_all(self, times: int) -> None:
        """Read what is there, in up to so many turns at once."""
        for _ in range(times):
            self.drain()
            if not self.behind:
                return

    def after_send(self) -> None:
        """Look for frames whose edge the send may have swallowed."""
        if not self.closed and self._pause is None and self._again is None and self._readable():
            self._schedule()

    def pause(self, seconds: float) -> None:
        """Leave what comes in the socket for so long."""
        if self.closed or self._pause is not None:
            return
        if self._again is not None:
            self._again.cancel()
            self._again = None
        self._readers.remove_reader(self._file)
        self._pause = self._loop.call_later(seconds, self._resume)

    def close(self) -> None:
        """Stop reading; must precede the close of the socket."""
        if self.closed:
            return
        self.closed = True
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if self._pause is not None:
            self._pause.cancel()
        else:
            self._readers.remove_reader(self._file)

    def _readable(self) -> bool:
        events = self._socket.get(zmq.EVENTS)
        return isinstance(events, int) and bool(events & zmq.POLLIN)

    def _resume(self) -> None:
        self._pause = None
        self._readers.add_reader(self._file, self.drain)
        self.drain()

    def _schedule(self) -> None:
        if self._again is None and self._pause is None and not self.closed:
            self._again = self._loop.call_soon(self.drain)
