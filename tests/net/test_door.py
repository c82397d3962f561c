"""The door: its limit, its rate, and that a flood at it costs the mesh nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.support.hostile import dealer, honest_knock
from tests.support.raw_zmtp import RawClient
from tests.support.transports import DOOR_PAIR, World, a_world, link, new_pair
from zmqchat.model.limits import (
    DOOR_FRAME_BYTES_MAX,
    DOOR_FRAMES_PER_S_MAX,
)
from zmqchat.protocol.effects import Send
from zmqchat.protocol.facts import (
    DirectClosed,
    DoorKnocked,
    FrameReceived,
)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Real transports."""
    async with a_world("zmq") as made:
        yield made


async def test_hello_over_the_limit_is_cut(world: World) -> None:
    """A HELLO of 5 KiB, or of one byte too many, never arrives; the limit itself does."""
    node = await world.start()
    for size in (5 * 1024, DOOR_FRAME_BYTES_MAX + 1):
        with RawClient(node.ports.door) as client:
            assert await asyncio.to_thread(client.curve, DOOR_PAIR[0], new_pair(), b"DEALER")
            client.message(bytes(size))
            assert await asyncio.to_thread(client.closed)
    assert not node.facts
    with RawClient(node.ports.door) as client:
        assert await asyncio.to_thread(client.curve, DOOR_PAIR[0], new_pair(), b"DEALER")
        client.message(bytes(DOOR_FRAME_BYTES_MAX))
        assert len((await node.get(DoorKnocked)).payload) == DOOR_FRAME_BYTES_MAX
    await honest_knock(world, node)


async def test_flood_of_knocks_is_read_at_the_doors_rate(world: World) -> None:
    """A thousand HELLOs at once are told at the door's rate, and the link next to it does not wait."""
    ann, bob = await world.start(), await world.start()
    await link(ann, bob)
    flooders = [dealer(bob.ports.door, DOOR_PAIR[0]) for _ in range(20)]
    started_s = time.perf_counter()
    for flooder in flooders:
        for _ in range(50):
            flooder.send(b"hello")
    await bob.get(DoorKnocked, 120)
    took_s = time.perf_counter() - started_s
    ann.apply(Send(peer=bob.peer, payload=b"ping", outbound=True))
    await bob.get(FrameReceived, within_s=0.5)
    assert len(bob.of(DoorKnocked)) <= DOOR_FRAMES_PER_S_MAX * (3 + took_s)
    assert bob.transport.stats().counters["door_waits"] > 0
    for flooder in flooders:
        flooder.close()


async def test_handshake_storm_leaves_the_mesh_alone(world: World) -> None:
    """Hundreds of handshakes with fresh keys: the door admits its rate, and a link's frames pass in time."""
    ann, bob = await world.start(), await world.start()
    await link(ann, bob)
    clients = [dealer(bob.ports.door, DOOR_PAIR[0]) for _ in range(300)]
    slowest_s = 0.0
    for number in range(100):
        started_s = time.perf_counter()
        ann.apply(Send(peer=bob.peer, payload=b"ping", outbound=True))
        await bob.get(FrameReceived, number + 1)
        slowest_s = max(slowest_s, time.perf_counter() - started_s)
    await bob.until(lambda: bob.transport.stats().counters.get("door_denied", 0) > 0)
    for client in clients:
        client.close()
    assert slowest_s < 1.0
    assert not ann.of(DirectClosed)
