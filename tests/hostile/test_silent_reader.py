"""A peer that is subscribed and linked, and never reads a byte."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tests.support.hostilepeer import HostilePeer, hostile_peer, room_of
from tests.support.nodes import eventually
from tests.support.raw_zmtp import RawClient
from tests.support.siege import MEMORY_BYTES_MAX, Siege, anonymous_bytes, siege
from zmqchat import Node
from zmqchat.crypto.keys import curve_key
from zmqchat.net.feeds import topic_of
from zmqchat.wire.frames import Interest, Link, Pong, encode

TEXT = "x" * 60_000
TEXTS = 700
"""42 MB: more than the kernel's buffers and every bound on what may wait for one peer."""
WARM_TEXTS = 200
"""12 MB: fills what honest nodes keep in memory of a room."""


async def test_a_peer_that_never_reads_costs_its_bound_and_nobody_waits(home: Path) -> None:
    """42 MB in a room where two never read, one by link and one by feed: bounded memory, and bob has all in time."""
    async with siege(home.parent, TEXT) as besieged:
        ann = besieged.ann
        await say(besieged, WARM_TEXTS, [])
        besieged.weigh()
        async with silent_reader(ann, feed=False) as at_link, silent_reader(ann, feed=True) as at_feed:
            await eventually(lambda: len(ann.peers) == 3)
            await say(besieged, TEXTS, [at_link[1], at_feed[1]])
            await besieged.deliver(10)
            fanout = ann._core().core.data.fanout
            for peer, _client in (at_link, at_feed):
                assert fanout.is_lazy(peer.peer)
                assert fanout.unacknowledged_bytes(peer.peer) == 0
                assert peer.peer in {linked.id for linked in ann.peers}
            # while they still hold what waits for them
            assert anonymous_bytes() - besieged.at_first_bytes < MEMORY_BYTES_MAX


async def say(besieged: Siege, count: int, silent: list[RawClient]) -> None:
    """Say large texts; those who do not read show that they are alive meanwhile."""
    async for _sent in besieged.lobby.send_all(TEXT for _ in range(count)):
        for client in silent:
            client.message(encode(Pong(token=0, wall_ms=0)))


@contextlib.asynccontextmanager
async def silent_reader(node: Node, *, feed: bool) -> AsyncIterator[tuple[HostilePeer, RawClient]]:
    """A peer in the lobby whose connections are not read; by the feed, else by the link alone."""
    key = curve_key(node.id)
    assert key is not None
    async with hostile_peer(node) as peer:
        pair = (peer.identity.curve_public, peer.identity.curve_secret)
        assert await peer.refusal() == ""
        with RawClient(node.ports[1]) as link, RawClient(node.ports[2]) as subscription:
            assert await asyncio.to_thread(link.curve, key, pair, b"DEALER")
            link.message(encode(Link(instance=peer.instance)))
            link.message(encode(Interest(rooms=(room_of("lobby"),))))
            if feed:
                assert await asyncio.to_thread(subscription.curve, key, pair, b"SUB")
                subscription.message(b"\x01" + topic_of(room_of("lobby")))
                topics = node._core().core.data.fanout._topics
                await eventually(lambda: room_of("lobby") in topics.get(peer.peer, ()))
            yield peer, link
