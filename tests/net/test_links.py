"""Direct links: frames belong to sessions, and a peer's connections are bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.hostile import dealer
from tests.support.raw_zmtp import RawClient
from tests.support.transports import DOOR_PAIR, World, a_world, link, new_pair
from zmqchat.model.limits import (
    FRAME_BYTES_MAX,
    LINK_SEND_BYTES_MAX,
)
from zmqchat.protocol.effects import Admit, Expel, Send
from zmqchat.protocol.facts import (
    DoorKnocked,
    FrameReceived,
    InboundClosed,
    LinkBlocked,
    PeerAbused,
)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Real transports."""
    async with a_world("zmq") as made:
        yield made


async def test_frame_over_the_limit_on_direct_ends_the_link(world: World) -> None:
    """An admitted peer's frame of one byte too many never arrives, and its connection is gone."""
    node, peer = await world.start(), world.make()
    node.apply(Admit(peer=peer.peer))
    with RawClient(node.ports.direct) as client:
        assert await asyncio.to_thread(client.curve, node.public, (peer.public, peer.secret), b"DEALER")
        client.message(bytes(FRAME_BYTES_MAX))
        assert len((await node.get(FrameReceived)).payload) == FRAME_BYTES_MAX
        await asyncio.to_thread(client.message, bytes(FRAME_BYTES_MAX + 1))
        assert await asyncio.to_thread(client.closed)
    await node.get(InboundClosed)
    assert len(node.of(FrameReceived)) == 1


async def test_frames_after_the_session_are_dropped_and_cut(world: World) -> None:
    """A connection of an ended session delivers nothing, though the peer be admitted again."""
    node, peer = await world.start(), world.make()
    node.apply(Admit(peer=peer.peer))
    with RawClient(node.ports.direct) as client:
        assert await asyncio.to_thread(client.curve, node.public, (peer.public, peer.secret), b"DEALER")
        transport = node.transport
        # Ended before its first frame, the session knows no connection to cut: only the user id tells.
        transport.apply(Expel(peer=peer.peer, reason="test"))
        transport.apply(Admit(peer=peer.peer))
        client.message(b"old")
        assert await asyncio.to_thread(client.closed)
    assert not node.facts
    assert transport.stats().counters["frames_without_session"] == 1


async def test_chosen_routing_id_is_refused(world: World) -> None:
    """A client with a routing id of its own is cut; one that takes another's changes nothing for him."""
    node, peer, victim = await world.start(), world.make(), await world.start()
    await link(victim, node)
    victim.apply(Send(peer=node.peer, payload=b"link", outbound=True))
    await node.get(FrameReceived)
    node.apply(Admit(peer=peer.peer))
    for port, key, pair in (
        (node.ports.direct, node.public, (peer.public, peer.secret)),
        (node.ports.door, DOOR_PAIR[0], new_pair()),
    ):
        with RawClient(port) as client:
            await asyncio.to_thread(client.curve, key, pair, b"DEALER", b"victim")
            client.message(b"it's me")
            assert await asyncio.to_thread(client.closed)
    assert (await node.get(PeerAbused)).peer == peer.peer
    node.apply(Send(peer=victim.peer, payload=b"to you", outbound=False))
    assert (await victim.get(FrameReceived)).payload == b"to you"
    assert not node.of(DoorKnocked)


async def test_peer_that_opens_link_after_link_keeps_the_newest_few(world: World) -> None:
    """An admitted peer's connections are bounded; the oldest are cut."""
    node, peer = await world.start(), world.make()
    node.apply(Admit(peer=peer.peer))
    clients = [dealer(node.ports.direct, node.public, (peer.public, peer.secret)) for _ in range(12)]
    for client in clients:
        client.send(b"link")
    await node.get(FrameReceived, 12)
    await node.until(lambda: node.transport.stats().inbound <= 4)
    assert node.transport.stats().counters["extra_links_cut"] == 8
    for client in clients:
        client.close()


async def test_full_queue_is_told_and_the_rest_dropped(world: World) -> None:
    """A peer that does not read makes sends to it blocked, one fact each, both ways; others go on."""
    node, peer, honest = await world.start(), world.make(), await world.start()
    await link(honest, node)
    honest.apply(Send(peer=node.peer, payload=b"link", outbound=True))
    await node.get(FrameReceived)
    node.apply(Admit(peer=peer.peer))
    with RawClient(node.ports.direct) as client:
        assert await asyncio.to_thread(client.curve, node.public, (peer.public, peer.secret), b"DEALER")
        client.message(b"link")
        await node.get(FrameReceived, 2)
        for _ in range(LINK_SEND_BYTES_MAX // FRAME_BYTES_MAX + 100):
            node.apply(Send(peer=peer.peer, payload=bytes(FRAME_BYTES_MAX), outbound=False))
        assert await node.get(LinkBlocked) == LinkBlocked(peer=peer.peer)
        node.apply(Send(peer=honest.peer, payload=b"you", outbound=False))
        assert (await honest.get(FrameReceived)).payload == b"you"
    await node.get(InboundClosed)
    node.apply(Send(peer=peer.peer, payload=b"nobody", outbound=False))


async def test_frames_from_a_peer_with_two_connections_are_answered_by_the_newest(world: World) -> None:
    """A second connection takes over; when it goes, InboundClosed is told though the first is still there."""
    node, peer = await world.start(), world.make()
    node.apply(Admit(peer=peer.peer))
    old, new = (dealer(node.ports.direct, node.public, (peer.public, peer.secret)) for _ in range(2))
    old.send(b"old")
    await node.get(FrameReceived)
    new.send(b"new")
    await node.get(FrameReceived, 2)
    node.apply(Send(peer=peer.peer, payload=b"answer", outbound=False))
    assert await asyncio.to_thread(new.poll, 5_000)
    assert new.recv() == b"answer"
    old.send(b"old again")
    assert (await node.get(FrameReceived, 3)).payload == b"old again"
    new.close()
    await node.get(InboundClosed)
    old.close()
