"""A bound socket: connections come and go with their monitor's events, and hear of their user."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest

from tests.support.transports import World, a_world, link
from zmqchat.net.zmq_transport import ZmqTransport
from zmqchat.protocol.effects import Send
from zmqchat.protocol.facts import FrameReceived


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Real transports."""
    async with a_world("zmq") as made:
        yield made


async def test_connections_are_counted_as_they_come_and_go(world: World) -> None:
    """A TCP connection counts from its acceptance to its end, whatever it says."""
    node = await world.start()
    with socket.create_connection(("127.0.0.1", node.ports.direct)):
        await node.until(lambda: node.transport.stats().inbound == 1)
    await node.until(lambda: node.transport.stats().inbound == 0)


async def test_failed_handshakes_are_counted_by_service(world: World) -> None:
    """`doctor` sees at which socket handshakes fail."""
    node = await world.start()
    with socket.create_connection(("127.0.0.1", node.ports.feed)) as client:
        client.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x01NULL" + bytes(16) + bytes(32))
        await node.until(lambda: node.transport.stats().counters.get("feed_handshakes_failed", 0) > 0)


async def test_endpoint_is_what_was_bound(world: World) -> None:
    """The listener remembers what to unbind."""
    node, peer = await world.start(), await world.start()
    await link(peer, node)
    peer.apply(Send(peer=node.peer, payload=b"link", outbound=True))
    await node.get(FrameReceived)
    assert isinstance(node.transport, ZmqTransport)
    assert node.transport._parts is not None
    listener = node.transport._parts.links.listener
    assert listener.endpoint.endswith(f":{node.ports.direct}")
    assert [len(one.connections) for one in node.transport._parts.listeners] == [0, 1, 0]
