"""Endless messages are cut early, and honest traffic never is."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator

import pytest

from tests.support.hostile import honest_knock, resident_bytes
from tests.support.raw_zmtp import MORE, RawClient
from tests.support.transports import DOOR_PAIR, World, a_world, link, new_pair
from zmqchat.model.limits import (
    DOOR_FRAME_BYTES_MAX,
    FRAME_BYTES_MAX,
    MIB,
)
from zmqchat.protocol.effects import Admit, Send
from zmqchat.protocol.facts import (
    DirectClosed,
    DoorKnocked,
    FrameReceived,
    PeerAbused,
)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="bytes received are counted on Linux only")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Real transports."""
    async with a_world("zmq") as made:
        yield made


@linux_only
async def test_endless_message_at_the_door_is_cut_early(world: World) -> None:
    """A client that only ever sends MORE frames is cut before it has cost a few megabytes."""
    node = await world.start()
    with RawClient(node.ports.door) as client:
        assert await asyncio.to_thread(client.curve, DOOR_PAIR[0], new_pair(), b"DEALER")
        before = resident_bytes()
        sent = await asyncio.to_thread(_flood, client, bytes(DOOR_FRAME_BYTES_MAX), 300 * MIB)
    await node.until(lambda: node.transport.stats().counters.get("endless_cut", 0) == 1)
    assert sent < 24 * MIB
    assert resident_bytes() - before < 16 * MIB
    assert not node.of(DoorKnocked)
    await honest_knock(world, node)


@linux_only
async def test_endless_message_of_an_admitted_peer_ends_its_session(world: World) -> None:
    """The same on direct: PeerAbused, the session is over, and other peers go on."""
    node, peer, honest = await world.start(), world.make(), await world.start()
    await link(honest, node)
    node.apply(Admit(peer=peer.peer))
    with RawClient(node.ports.direct) as client:
        assert await asyncio.to_thread(client.curve, node.public, (peer.public, peer.secret), b"DEALER")
        client.message(b"link")
        await node.get(FrameReceived)
        honest.apply(Send(peer=node.peer, payload=b"link", outbound=True))
        await node.get(FrameReceived, 2)
        before = resident_bytes()
        sent = await asyncio.to_thread(_flood, client, bytes(64 * 1024), 2_000 * MIB)
    assert await node.get(PeerAbused) == PeerAbused(peer=peer.peer, reason="endless")
    assert sent < 100 * MIB
    await node.until(lambda: resident_bytes() - before < 16 * MIB)
    honest.apply(Send(peer=node.peer, payload=b"still here", outbound=True))
    assert (await node.get(FrameReceived, 3)).payload == b"still here"
    assert node.transport.stats().sessions == 1


def _flood(client: RawClient, payload: bytes, bytes_max: int) -> int:
    sent = 0
    # The cut closes its window before it is seen: TCP would probe for a while.
    client.socket.settimeout(2)
    try:
        while sent < bytes_max:
            client.message(payload, MORE)
            sent += len(payload)
    except OSError:
        pass
    return sent


@linux_only
async def test_long_quiet_and_much_traffic_is_no_endless_message(world: World) -> None:
    """An honest peer that sends hundreds of megabytes as fast as it can is not cut."""
    ann, bob = await world.start(), await world.start()
    await link(ann, bob)
    received = [0]

    def count(fact: object) -> bool:
        received[0] += isinstance(fact, FrameReceived)
        return isinstance(fact, FrameReceived)

    bob.answer = count
    for _ in range(12):
        wanted = received[0] + 50
        for _ in range(50):
            ann.apply(Send(peer=bob.peer, payload=bytes(FRAME_BYTES_MAX), outbound=True))
        until_s = time.perf_counter() + 0.03
        while time.perf_counter() < until_s:
            pass  # a loop that is busy elsewhere: bytes pile up while nobody reads
        await bob.until(lambda wanted=wanted: received[0] == wanted)  # type: ignore[misc]  # binds the loop's variable
    assert "endless_cut" not in bob.transport.stats().counters
    assert not ann.of(DirectClosed)
