"""Clients that speak something else, or nothing, at each of the three sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from tests.support.hostile import dealer, honest_knock
from tests.support.raw_zmtp import RawClient
from tests.support.transports import DOOR_PAIR, World, a_world
from zmqchat.model.limits import (
    HALF_OPEN_MAX,
)
from zmqchat.net import options
from zmqchat.protocol.effects import Admit
from zmqchat.protocol.facts import (
    DoorKnocked,
    FrameReceived,
    PeerAbused,
)


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Real transports that wait a second for a handshake."""
    monkeypatch.setattr(options, "HANDSHAKE_MS", 1_000)
    async with a_world("zmq") as made:
        yield made


async def test_message_of_many_parts_is_none_of_ours(world: World) -> None:
    """Three parts at the door are dropped and cut; on direct they end the session."""
    node, peer = await world.start(), world.make()
    node.apply(Admit(peer=peer.peer))
    stranger = dealer(node.ports.door, DOOR_PAIR[0])
    stranger.send_multipart([b"one", b"two", b"three"])
    await node.until(lambda: node.transport.stats().counters.get("door_bad_parts", 0) == 1)
    member = dealer(node.ports.direct, node.public, (peer.public, peer.secret))
    member.send_multipart([b"x"] * 1_000)
    assert (await node.get(PeerAbused)).reason == "parts"
    assert not node.of(DoorKnocked)
    assert not node.of(FrameReceived)
    stranger.close()
    member.close()


async def test_silent_connections_are_bounded_and_go(world: World) -> None:
    """Hundreds that say nothing are held up to the bound, the oldest cut first; honest peers get in."""
    node = await world.start()
    silent = [socket.create_connection(("127.0.0.1", node.ports.door)) for _ in range(HALF_OPEN_MAX + 44)]
    await node.until(lambda: node.transport.stats().counters.get("half_open_cut", 0) >= 44)
    await node.until(lambda: node.transport.stats().inbound <= HALF_OPEN_MAX)
    await honest_knock(world, node)
    await node.until(lambda: node.transport.stats().inbound <= 1, within_s=15)
    for client in silent:
        client.close()


@pytest.mark.parametrize(
    "greeting",
    [
        b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n",
        bytes.fromhex("16030100c8010000c40303") + bytes(190),
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\xff\xfb\x1f\xff\xfb\x20",
        bytes(range(256)) * 8,
        b"\xff" + b"\0" * 7 + b"\x01\x7f" + b"\x03\x00CURVE" + b"\xff" * 200,
    ],
    ids=["http", "tls", "ssh", "telnet", "bytes", "broken-zmtp"],
)
async def test_other_protocols_are_dropped(world: World, greeting: bytes) -> None:
    """What is no ZMTP reaches nobody, on none of the ports, and honest peers get in."""
    node = await world.start()
    clients = [RawClient(port) for port in node.ports]
    for client in clients:
        client.socket.sendall(greeting)
    await honest_knock(world, node)
    for client in clients:
        assert await asyncio.to_thread(client.closed)
        client.socket.close()
    assert all(isinstance(fact, DoorKnocked) and fact.payload == b"honest" for fact in node.facts)


@pytest.mark.parametrize("mechanism", [b"NULL", b"PLAIN", b"GSSAPI", b"CURVE"])
@pytest.mark.parametrize("place", ["door", "direct", "feed"])
async def test_other_mechanisms_are_refused(world: World, mechanism: bytes, place: str) -> None:
    """Without a CURVE handshake no frame is delivered, whatever is sent after the greeting."""
    node = await world.start()
    with RawClient(getattr(node.ports, place)) as client:
        try:
            await asyncio.to_thread(client.greet, mechanism)
            client.command(b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER")
            client.socket.sendall(b"\x00\x05hello")
        except OSError:
            pass  # it was cut already
        assert await asyncio.to_thread(client.closed)
    assert not node.facts
