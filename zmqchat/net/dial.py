"""One connection that we open: a fresh socket for each attempt, never connected twice.

A connection that ZAP denies is given up by libzmq for good, and a second connect on the same socket is
a silent no-op, so whoever wants to try again makes a new Dial. A host may be a name: it is looked up
off the loop (libzmq would block its I/O thread), and its addresses are tried one after the other.

    connecting --HANDSHAKE_SUCCEEDED--> open --DISCONNECTED--> closed("lost")
         |-- CLOSED, HANDSHAKE_FAILED_*, DISCONNECTED --> next address, or
                                                          closed("refused" | "denied" | "timeout" | …)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import zmq

from zmqchat.model.addresses import format_address
from zmqchat.net.connections import Connection
from zmqchat.net.engine import Engine
from zmqchat.net.monitor import DIALLER_EVENTS, Monitor
from zmqchat.net.options import CONNECT_TIMEOUT_MS, HANDSHAKE_MS, Role, make_dialler
from zmqchat.net.reader import Reader
from zmqchat.net.resolve import is_literal
from zmqchat.net.watch import Watch

_DRAINS_AT_CLOSE = 16
_CONNECT_S = CONNECT_TIMEOUT_MS / 1_000 + 0.5
_HANDSHAKE_S = HANDSHAKE_MS / 1_000 + 0.5
"""libzmq says nothing where it could not even begin (a scope that is gone): our own clock ends that."""


class Dial:
    """An outgoing connection.

    opened     told once, when the handshake is done
    closed     told once with the reason, unless we closed it ourselves; never from within `connect`
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
        self._server_key = server_key
        self._opened = opened
        self._closed = closed
        self._received = received
        self._addresses: list[str] = []
        self._port = 0
        self._dropping = False
        self._connection: Connection | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: Monitor | None = None
        self._reader: Reader | None = None
        self._overdue: asyncio.TimerHandle | None = None
        self._started_s = 0.0
        self.open = False
        self.done = False

    def connect(self, host: str, port: int) -> None:
        """Begin."""
        self._port = port
        if is_literal(host):
            self._addresses = [host]
            self._attempt()
        else:
            self._engine.resolver.resolve(host, self._resolved)

    def send(self, payload: bytes) -> bool:
        """Whether the frame was taken: False where the connection is gone or its high-water mark reached."""
        if self._socket is None or self._reader is None:
            return False
        try:
            self._socket.send(payload, zmq.NOBLOCK)
        except zmq.Again:
            return False
        finally:
            self._reader.after_send()
        return True

    def subscribe(self, topic: bytes, *, on: bool) -> None:
        """Subscribe an open SUB to a topic, or end that."""
        if self._socket is not None and self._reader is not None:
            self._socket.set(zmq.SUBSCRIBE if on else zmq.UNSUBSCRIBE, topic)
            self._reader.after_send()

    def close(self, linger_ms: int = 0) -> None:
        """Close without telling anybody."""
        self.done = True
        self._release(linger_ms)

    def _resolved(self, addresses: tuple[str, ...]) -> None:
        self._addresses = list(addresses)
        if not addresses:
            self._end("no such name")
        elif not self.done:
            self._attempt()

    def _attempt(self) -> None:
        engine = self._engine
        self._started_s = engine.loop.time()
        address = self._addresses.pop(0)
        try:
            self._socket = make_dialler(engine.context, self._role, engine.own, self._server_key)
            self._monitor = Monitor(engine.context, engine.loop, self._socket, DIALLER_EVENTS, self._heard)
            self._reader = Reader(engine.loop, self._socket, self._read)
            self._socket.connect(f"tcp://{format_address(address, self._port)}")
            self._overdue = engine.loop.call_later(_CONNECT_S, self._end, "unreachable")
        except zmq.ZMQError:
            # No socket to be had, or no address that the system knows (a scope that is gone).
            engine.counters["dials_impossible"] += 1
            self._release(0)
            engine.loop.call_soon(self._end, "unreachable")

    def _read(self) -> None:
        assert self._socket is not None
        frame = self._socket.recv(zmq.NOBLOCK, copy=False)
        if self._dropping or frame.more:
            self._dropping = frame.more
            self._engine.counters["dial_parts_dropped"] += 1
            return
        self._shaken()  # where the frame came before the monitor's event
        if self._connection is not None:
            self._connection.frames += 1
        if not self.done:
            self._received(frame.bytes)

    def _shaken(self) -> None:
        if not self.open and not self.done and self._socket is not None:
            self.open = True
            self._stop_clock()
            self._socket.get(zmq.EVENTS)  # makes libzmq attach the connection, so that what follows is sent
            self._opened()

    def _heard(self, event: int, value: int) -> None:
        if self._socket is None or self._reader is None:
            return
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._shaken()
        elif event == zmq.EVENT_CONNECTED:
            self._stop_clock()
            self._overdue = self._engine.loop.call_later(_HANDSHAKE_S, self._end, "timeout")
            self._connection = Connection(value, self._engine.loop.time())
            self._watch.add(self._connection, self._role, self._reader, self._abused)
        elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            self._end("denied")
        elif event == zmq.EVENT_DISCONNECTED and self.open:
            self._reader.drain_all(_DRAINS_AT_CLOSE)
            self._end("lost")
        else:
            waited_ms = 1_000 * (self._engine.loop.time() - self._started_s)
            slow_ms = CONNECT_TIMEOUT_MS if event == zmq.EVENT_CLOSED else HANDSHAKE_MS
            self._end("timeout" if waited_ms > 0.9 * slow_ms else "refused")

    def _abused(self, _connection: Connection) -> None:
        self._end("lost")

    def _end(self, reason: str) -> None:
        if self.done:
            return
        self._release(0)
        if self._addresses and not self.open and reason != "denied":
            self._attempt()
            return
        self.done = True
        self._closed(reason)

    def _stop_clock(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _release(self, linger_ms: int) -> None:
        self._stop_clock()
        if self._connection is not None:
            self._watch.remove(self._connection)
            self._connection = None
        if self._monitor is not None:
            self._monitor.close()
        if self._reader is not None:
            self._reader.close()
        if self._socket is not None:
            self._socket.close(linger_ms)
        self._monitor = self._reader = self._socket = None
