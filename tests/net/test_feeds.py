"""Feeds: subscriptions are bounded, honest ones keep within the bounds, slow readers cost theirs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import zmq

from tests.support.hostile import dealer, resident_bytes
from tests.support.raw_zmtp import RawClient
from tests.support.transports import World, a_world, quiet, subscribe
from zmqchat.model.ids import RoomId
from zmqchat.model.limits import (
    FEED_SEND_BYTES_MAX,
    MIB,
)
from zmqchat.net.feeds import topic_of
from zmqchat.protocol.effects import Admit, OpenFeed, PublishFeed, SetTopics
from zmqchat.protocol.facts import (
    FeedReceived,
    PeerAbused,
    PeerSubscribed,
)

ROOM = RoomId(b"r" * 16)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Real transports."""
    async with a_world("zmq") as made:
        yield made


async def test_subscription_over_the_limit_is_cut(world: World) -> None:
    """A subscription of a kilobyte ends its connection; one of 60 bytes is counted and never published to."""
    node, peer = await world.start(), world.make()
    node.apply(Admit(peer=peer.peer))
    client = dealer(node.ports.feed, node.public, (peer.public, peer.secret), zmq.SUB)
    client.subscribe(b"\x01" * 60)
    await node.until(lambda: node.transport.stats().counters.get("strange_topics", 0) == 1)
    client.subscribe(b"\x01" * 1_000)
    await node.until(lambda: node.transport.stats().inbound == 0)
    client.close()
    assert not node.facts


async def test_five_thousand_subscriptions_end_the_session(world: World) -> None:
    """Over the rate or the number of topics a session is ended, and its topics are gone."""
    node, peer, honest = await world.start(), world.make(), await world.start()
    await subscribe(honest, node, ROOM)
    node.apply(Admit(peer=peer.peer))
    client = dealer(node.ports.feed, node.public, (peer.public, peer.secret), zmq.SUB)
    for number in range(5_000):
        client.subscribe(topic_of(RoomId(number.to_bytes(16, "big"))))
    assert await node.get(PeerAbused) == PeerAbused(peer=peer.peer, reason="subscriptions")
    client.close()
    node.apply(PublishFeed(room=ROOM, payload=b"live"))
    assert (await honest.get(FeedReceived)).payload == b"live"
    assert node.transport.stats().sessions == 1


async def test_odd_topics_do_no_harm(world: World) -> None:
    """Prefixes, empty and unknown topics are never told, and unsubscribing the unknown changes nothing."""
    node, peer = await world.start(), world.make()
    node.apply(Admit(peer=peer.peer))
    client = dealer(node.ports.feed, node.public, (peer.public, peer.secret), zmq.XSUB)
    odd = [b"\x01", b"\x01\x01", b"\x01" + b"\x02" * 17, b"\x00" + topic_of(ROOM), b"", b"\x07what"]
    for frame in odd:
        client.send(frame)
    client.send(b"\x01" + topic_of(ROOM))
    assert await node.get(PeerSubscribed) == PeerSubscribed(peer=peer.peer, room=ROOM, on=True)
    await quiet(node)
    assert len(node.facts) == 1
    client.close()


async def test_honest_member_of_many_rooms_keeps_within_the_bounds(world: World) -> None:
    """A SUB in 700 rooms says its topics at a pace that the publisher's guard allows."""
    node, member = await world.start(), await world.start()
    rooms = frozenset(RoomId(number.to_bytes(16, "big")) for number in range(700))
    node.apply(Admit(peer=member.peer))
    member.apply(SetTopics(rooms=rooms), OpenFeed(peer=node.peer, endpoint=node.endpoint))
    await node.get(PeerSubscribed, 700)
    assert not node.of(PeerAbused)


async def test_subscriber_that_never_reads_costs_its_bound(world: World) -> None:
    """What it does not take is dropped at the mark; others get all, at once."""
    node, peer, honest = await world.start(), world.make(), await world.start()
    await subscribe(honest, node, ROOM)
    node.apply(Admit(peer=peer.peer))
    with RawClient(node.ports.feed) as client:
        assert await asyncio.to_thread(client.curve, node.public, (peer.public, peer.secret), b"SUB")
        client.message(b"\x01" + topic_of(ROOM))
        await node.until(lambda: len(node.of(PeerSubscribed)) == 2)
        before = resident_bytes()
        slowest_s = 0.0
        honest.answer = lambda fact: isinstance(fact, FeedReceived) and _note(got, fact)
        got: list[int] = []
        for number in range(400):
            started_s = time.perf_counter()
            node.apply(PublishFeed(room=ROOM, payload=bytes([number % 256]) * 200_000))
            await honest.until(lambda number=number: len(got) == number + 1)  # type: ignore[misc]  # binds the loop's variable
            slowest_s = max(slowest_s, time.perf_counter() - started_s)
        assert resident_bytes() - before < FEED_SEND_BYTES_MAX + 24 * MIB
        assert slowest_s < 1.0


def _note(got: list[int], fact: FeedReceived) -> bool:
    got.append(len(fact.payload))
    return True
