"""Binding: the ports of the last start, then the usual ones, then any; a port that was asked for is a must."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Final

import zmq

from zmqchat.model.addresses import format_address
from zmqchat.model.errors import NetworkError, PortInUse
from zmqchat.net.transport import Ports

USUAL_PORTS: Final = Ports(42100, 42101, 42102)
_PORT_MAX: Final = 65_535


def wanted_ports(port: int | None, preferred: tuple[int, int, int] | None) -> tuple[list[int], list[int], list[int]]:
    """For door, direct and feed the ports to try in order; 0 means any."""
    if port:
        return [port], _next_to(port + 1), _next_to(port + 2)
    choices = [ports for ports in (preferred, USUAL_PORTS) if ports is not None]
    door, direct, feed = ([ports[index] for ports in choices] + [0] for index in range(3))
    return door, direct, feed


def bind_first(socket: zmq.Socket[bytes], host: str | None, ports: Sequence[int]) -> int:
    """Bind to the first of these ports that is free, and return it; raises PortInUse or NetworkError."""
    shown = host or "*"
    for port in ports:
        try:
            socket.bind(f"tcp://{format_address(shown, port)}")
        except zmq.ZMQError as error:
            if error.errno == errno.EADDRINUSE or (error.errno == errno.EACCES and port != ports[-1]):
                continue
            why = "no address of this machine" if error.errno == errno.EADDRNOTAVAIL else error.strerror
            raise NetworkError(
                f"can't listen on {format_address(shown, port)} ({why}): choose another address with --listen; "
                "`zmqchat doctor` lists this machine's"
            ) from error
        return bound_port(socket)
    taken = format_address(shown, ports[-1])
    raise PortInUse(f"{taken} is in use by another program: stop it, or choose another port with --listen")


def bound_port(socket: zmq.Socket[bytes]) -> int:
    """The port that the socket was bound to last."""
    endpoint = socket.get(zmq.LAST_ENDPOINT)
    assert isinstance(endpoint, bytes)
    return int(endpoint.rstrip(b"\0").rpartition(b":")[2])


def _next_to(port: int) -> list[int]:
    return [port, 0] if port <= _PORT_MAX else [0]
