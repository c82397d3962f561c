"""Binding door, direct and feed: the ports that were asked for, else the preferred ones, else any."""

from __future__ import annotations

from typing import Final

import zmq

from zmqchat.model.addresses import format_address
from zmqchat.model.errors import NetworkError, PortInUse
from zmqchat.net.inbound import Inbound
from zmqchat.net.transport import Listen, Ports

DEFAULT_PORTS: Final = Ports(42100, 42101, 42102)


def bind_all(inbound: Inbound, listen: Listen, preferred: Ports | None) -> Ports:
    """Bind the three sockets and start reading; raises PortInUse where the asked-for port is taken."""
    host = listen.host or "*"
    if listen.port is not None:
        wanted = Ports(listen.port, listen.port + 1, listen.port + 2)
        door = _bind(inbound.door, host, [wanted.door], must=True)
    else:
        wanted = preferred or DEFAULT_PORTS
        door = _bind(inbound.door, host, [wanted.door, DEFAULT_PORTS.door, 0], must=False)
    direct = _bind(inbound.direct, host, [wanted.direct, 0], must=False)
    feed = _bind(inbound.feed, host, [wanted.feed, 0], must=False)
    inbound.start_reading()
    return Ports(door, direct, feed)


def _bind(socket: zmq.Socket[bytes], host: str, ports: list[int], *, must: bool) -> int:
    error: zmq.ZMQError | None = None
    for port in ports:
        if port > 65535:
            continue
        try:
            place = f"*:{port}" if host == "*" else format_address(host, port)
            socket.bind(f"tcp://{place}")
        except zmq.ZMQError as raised:
            error = raised
            if raised.errno != zmq.EADDRINUSE:
                break
            continue
        bound = socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()
        return int(bound.rpartition(":")[2])
    if error is not None and error.errno == zmq.EADDRINUSE and must:
        raise PortInUse(
            f"port {ports[0]} is in use by another program: stop it, or choose another one with --listen"
        ) from error
    raise NetworkError(f"can't listen on {host} ({error}): is that an address of this machine?") from error
