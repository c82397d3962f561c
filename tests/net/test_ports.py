"""Which ports are tried, and what is said when none can be had."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import zmq

from zmqchat.model.errors import NetworkError, PortInUse
from zmqchat.net.ports import USUAL_PORTS, bind_first, bound_port, wanted_ports


@pytest.fixture
def sockets() -> Iterator[list[zmq.Socket[bytes]]]:
    """Three sockets that are closed at the end."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made = [context.socket(zmq.ROUTER) for _ in range(3)]
    yield made
    context.destroy(0)


def test_order_of_the_ports() -> None:
    """The last start's, then the usual ones, then any; with --listen its port and the next two when free."""
    assert wanted_ports(None, None) == ([42100, 0], [42101, 0], [42102, 0])
    assert wanted_ports(None, (1, 2, 3)) == ([1, 42100, 0], [2, 42101, 0], [3, 42102, 0])
    assert wanted_ports(0, None)[0] == [42100, 0]
    assert wanted_ports(5_000, (1, 2, 3)) == ([5_000], [5_001, 0], [5_002, 0])
    assert wanted_ports(65_535, None) == ([65_535], [0], [0])
    assert USUAL_PORTS == (42100, 42101, 42102)


def test_taken_port_gives_way_or_is_told(sockets: list[zmq.Socket[bytes]]) -> None:
    """The next choice is bound; without one PortInUse names the address."""
    first, second, third = sockets
    port = bind_first(first, "127.0.0.1", [0])
    assert bound_port(first) == port
    assert bind_first(second, "127.0.0.1", [port, 0]) != port
    with pytest.raises(PortInUse, match=f"127.0.0.1:{port} is in use"):
        bind_first(third, "127.0.0.1", [port])


def test_address_of_another_machine_is_told(sockets: list[zmq.Socket[bytes]]) -> None:
    """What can't be bound at all is no matter of ports."""
    with pytest.raises(NetworkError, match=r"can't listen on 192\.0\.2\.7:0 \(no address of this machine\).*--listen"):
        bind_first(sockets[0], "192.0.2.7", [0])
