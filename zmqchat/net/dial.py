"""One connection that we open: a fresh socket for each attempt, never connected twice.

A connection that ZAP denies is given up by libzmq for good, and a second connect on the same socket is
a silent no-op, so whoever wants to try again makes a new Dial.

    connecting --HANDSHAKE_SUCCEEDED--> open --DISCONNECTED--> closed("lost")
         |-- CLOSED, HANDSHAKE_FAILED_*, DISCONNECTED --> closed("refused" | "denied" | "timeout")
"""

from __future__ import annotations

from collections.abc import Callable

import zmq

from zmqchat.model.addresses import format_address
from zmqchat.net.connections import Connection
from zmqchat.net.engine import Engine
from zmqchat.net.monitor import DIALLER_EVENTS, Monitor
from zmqchat.net.options import CONNECT_TIMEOUT_MS, HANDSHAKE_MS, Role, make_dialler
from zmqchat.net.reader import Reader
from zmqchat.net.watch import Watch

_DRAINS_AT_CLOSE = 16


class Dial:
    """An outgoing connection.

    opened     told once, when the handshake is done
    closed     told once with the reason, unless we closed it ourselves
    received   told of each frame that is a message of its own
    """

    def __init__(
        self,
        engine: Engine,
        watch: Watch,
        role: Role,
        server_key: bytes,
        *,
        opened: Callable[[], None],
        closed: Callable[[str], None],
        received: Callable[[bytes], None],
    ) -> None:
        self._engine = engine
        self._watch = watch
        self._role = role
        self._opened = opened
        self._closed = closed
        self._received = received
        self._dropping = False
        self._connection: Connection | None = None
        self._started_s = engine.loop.time()
        self.open = False
        self.done = False
        self.socket = make_dialler(engine.context, role, engine.own, server_key)
        self._monitor = Monitor(engine.context, engine.loop, self.socket, DIALLER_EVENTS, self._heard)
        self.reader = Reader(engine.loop, self.socket, self._read)

    def connect(self, host: str, port: int) -> None:
        """Begin; the host is an address, not a name."""
        try:
            self.socket.connect(f"tcp://{format_address(host, port)}")
        except zmq.ZMQError:
            self._engine.loop.call_soon(self._end, "unreachable")

    def send(self, payload: bytes) -> bool:
        """Whether the frame was taken: False where the connection is gone or its high-water mark reached."""
        if self.done:
            return False
        try:
            self.socket.send(payload, zmq.NOBLOCK)
        except zmq.Again:
            return False
        finally:
            self.reader.after_send()
        return True

    def close(self, linger_ms: int = 0) -> None:
        """Close without telling anybody."""
        if self.done:
            return
        self.done = True
        if self._connection is not None:
            self._watch.remove(self._connection)
        self._monitor.close()
        self.reader.close()
        self.socket.close(linger_ms)

    def _read(self) -> None:
        frame = self.socket.recv(zmq.NOBLOCK, copy=False)
        if self._dropping or frame.more:
            self._dropping = frame.more
            self._engine.counters["dial_parts_dropped"] += 1
            return
        if not self.open:
            self._shaken()  # the frame came before the monitor's event
        if self._connection is not None:
            self._connection.frames += 1
        self._received(frame.bytes)

    def _shaken(self) -> None:
        if not self.open and not self.done:
            self.open = True
            self.socket.get(zmq.EVENTS)  # makes libzmq attach the connection, so that what follows is sent
            self._opened()

    def _heard(self, event: int, value: int) -> None:
        if self.done:
            return
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._shaken()
        elif event == zmq.EVENT_CONNECTED:
            self._connection = Connection(value, self._engine.loop.time())
            self._watch.add(self._connection, self._role, self.reader, self._abused)
        elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            self._end("denied")
        elif event == zmq.EVENT_DISCONNECTED and self.open:
            for _ in range(_DRAINS_AT_CLOSE):
                self.reader.drain()
                if not self.reader.behind:
                    break
            self._end("lost")
        else:
            waited_ms = 1_000 * (self._engine.loop.time() - self._started_s)
            slow_ms = CONNECT_TIMEOUT_MS if event == zmq.EVENT_CLOSED else HANDSHAKE_MS
            self._end("timeout" if waited_ms > 0.9 * slow_ms else "refused")

    def _abused(self, _connection: Connection) -> None:
        self._end("lost")

    def _end(self, reason: str) -> None:
        if not self.done:
            self.close()
            self._closed(reason)
