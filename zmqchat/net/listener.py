"""A bound socket with what guards it: its monitor, its connections, its reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import zmq

from zmqchat.net.connections import Connection, Connections
from zmqchat.net.engine import Engine
from zmqchat.net.monitor import HANDSHAKE_FAILURES, LISTENER_EVENTS, Monitor
from zmqchat.net.options import Role, make_listener
from zmqchat.net.ports import bind_first
from zmqchat.net.reader import Reader
from zmqchat.net.watch import Watch

_DRAINS_AT_CLOSE = 16


class Listener:
    """One of the three services, as the side that listens.

    read      takes one frame from `socket`, raises zmq.Again when there is none
    gone      told when a connection is closed, after what it sent was read
    abused    told when a connection was cut for an endless message
    changed   told when the number of connections has changed

    `endpoint` is what it is bound to, as libzmq says it
    """

    def __init__(
        self,
        engine: Engine,
        watch: Watch,
        role: Role,
        secret: bytes,
        *,
        read: Callable[[], None],
        gone: Callable[[Connection], None],
        abused: Callable[[Connection], None],
        changed: Callable[[], None],
    ) -> None:
        self.role = role
        self._engine = engine
        self._watch = watch
        self._read = read
        self._gone = gone
        self._abused = abused
        self._changed = changed
        self.endpoint = ""
        self.socket = make_listener(engine.context, role, secret)
        self.connections = Connections(
            engine.counters, settles=role is not Role.DOOR, added=self._added, removed=self._removed
        )
        self.monitor = Monitor(engine.context, engine.loop, self.socket, LISTENER_EVENTS, self._heard)
        self.reader = Reader(engine.loop, self.socket, read)

    def bind(self, host: str | None, ports: Sequence[int]) -> int:
        """Bind to the first free port; raises PortInUse or NetworkError."""
        port = bind_first(self.socket, host, ports)
        endpoint = self.socket.get(zmq.LAST_ENDPOINT)
        assert isinstance(endpoint, bytes)
        self.endpoint = endpoint.rstrip(b"\0").decode()
        return port

    def delivered(self, frame: zmq.Frame, owner: str) -> Connection:
        """Note that a valid frame came, and return its connection."""
        file = frame.get(zmq.SRCFD)
        assert isinstance(file, int)
        return self.connections.delivered(file, owner, self._engine.loop.time())

    def connection_of(self, frame: zmq.Frame) -> Connection:
        """The connection that the frame came by."""
        file = frame.get(zmq.SRCFD)
        assert isinstance(file, int)
        return self.connections.of(file, self._engine.loop.time())

    def close(self, linger_ms: int) -> None:
        """Close the socket; what was sent has so long to leave."""
        self.monitor.close()
        self.reader.close()
        self.socket.close(linger_ms)

    def _heard(self, event: int, value: int) -> None:
        if event == zmq.EVENT_ACCEPTED:
            self.connections.accepted(value, self._engine.loop.time())
        elif event == zmq.EVENT_DISCONNECTED:
            self.reader.drain_all(_DRAINS_AT_CLOSE)
            self.connections.closed(value)
        elif event in HANDSHAKE_FAILURES:
            self._engine.counters[f"{self.role.value}_handshakes_failed"] += 1

    def _added(self, connection: Connection) -> None:
        self._watch.add(connection, self.role, self.reader, self._abused)
        self._changed()

    def _removed(self, connection: Connection) -> None:
        self._watch.remove(connection)
        self._gone(connection)
        self._changed()


def user_id(frame: zmq.Frame) -> str:
    """What ZAP named the frame's connection; "" where it is closed already."""
    try:
        user = frame.get("User-Id")
    except zmq.ZMQError:
        return ""
    return user if isinstance(user, str) else ""
