"""What the in-memory network has of its own: nodes that can be parted and healed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.transports import World, a_world, link, subscribe
from zmqchat.model.ids import RoomId
from zmqchat.net.memory import MemoryTransport
from zmqchat.protocol.effects import DialDoor, OpenDirect, Send
from zmqchat.protocol.facts import DialFailed, DirectClosed, FeedClosed, FrameReceived, InboundClosed

ROOM = RoomId(b"r" * 16)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """In-memory transports."""
    async with a_world("memory") as made:
        yield made


async def test_parted_nodes_lose_their_links_and_get_no_new_ones(world: World) -> None:
    """Parting cuts what is there; dials time out until the two are healed; others notice nothing."""
    ann, bob, eve = await world.start(), await world.start(), await world.start()
    assert isinstance(ann.transport, MemoryTransport)
    assert isinstance(bob.transport, MemoryTransport)
    await link(ann, bob)
    await link(ann, eve)
    await subscribe(bob, ann, ROOM)
    ann.apply(Send(peer=bob.peer, payload=b"link", outbound=True))
    await bob.get(FrameReceived)
    world.hub.part(ann.transport, bob.transport)
    assert (await ann.get(DirectClosed)).reason == "lost"
    assert (await bob.get(FeedClosed)).reason == "lost"
    assert (await bob.get(InboundClosed)).peer == ann.peer
    ann.apply(
        OpenDirect(peer=bob.peer, endpoint=bob.endpoint), DialDoor(dial=1, endpoint=bob.endpoint, payload=b"hello")
    )
    assert (await ann.get(DirectClosed, 2)).reason == "timeout"
    assert (await ann.get(DialFailed)).reason == "timeout"
    ann.apply(Send(peer=eve.peer, payload=b"you", outbound=True))
    assert (await eve.get(FrameReceived)).payload == b"you"
    world.hub.heal(ann.transport, bob.transport)
    await link(ann, bob)
    ann.apply(Send(peer=bob.peer, payload=b"again", outbound=True))
    assert (await bob.get(FrameReceived, 2)).payload == b"again"


async def test_stopped_node_s_ports_are_free(world: World) -> None:
    """What a stopped node had bound refuses, and another may have it."""
    ann, bob = await world.start(), await world.start()
    endpoint = bob.endpoint
    await bob.transport.stop(0)
    ann.apply(DialDoor(dial=1, endpoint=endpoint, payload=b"hello"))
    assert (await ann.get(DialFailed)).reason == "refused"
    heir = world.make()
    await heir.start(("127.0.0.1", endpoint.door))
    assert heir.ports.door == endpoint.door
