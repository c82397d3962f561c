"""Hostile clients at the three sockets: what they get, and that honest peers notice nothing."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import zmq

from tests.support.raw_zmtp import MORE, RawClient
from tests.support.transports import DOOR_PAIR, NodeUnderTest, World, a_world, link, new_pair, quiet, subscribe
from zmqchat.model.ids import RoomId
from zmqchat.model.limits import (
    DOOR_FRAME_BYTES_MAX,
    DOOR_FRAMES_PER_S_MAX,
    FEED_SEND_BYTES_MAX,
    FRAME_BYTES_MAX,
    HALF_OPEN_MAX,
    MIB,
)
from zmqchat.net.feeds import topic_of
from zmqchat.protocol.effects import Admit, AnswerDoor, DialDoor, Expel, OpenFeed, PublishFeed, Send, SetTopics
from zmqchat.protocol.facts import (
    DirectClosed,
    DoorAnswered,
    DoorKnocked,
    FeedReceived,
    FrameReceived,
    InboundClosed,
    PeerAbused,
    PeerSubscribed,
)

ROOM = RoomId(b"r" * 16)
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="bytes received are counted on Linux only")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Real transports."""
    async with a_world("zmq") as made:
        yield made


def resident_bytes() -> int:
    """The memory of this process that is in RAM."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def honest_knock(world: World, node: NodeUnderTest, within_s: float = 1.0) -> None:
    """A fresh honest node knocks and is answered in time."""
    guest = await world.start()
    before = len(node.of(DoorKnocked))
    guest.apply(DialDoor(dial=1, endpoint=node.endpoint, payload=b"honest"))
    await node.until(
        lambda: any(knock.payload == b"honest" for knock in node.of(DoorKnocked)[before:]), within_s=within_s
    )
    knock = next(knock for knock in node.of(DoorKnocked)[before:] if knock.payload == b"honest")
    node.apply(AnswerDoor(caller=knock.caller, payload=b"welcome"))
    await guest.get(DoorAnswered, within_s=within_s)


def dealer(
    port: int, server_key: bytes, pair: tuple[bytes, bytes] | None = None, kind: int = zmq.DEALER
) -> zmq.Socket[bytes]:
    """A client of libzmq with none of our guards."""
    client: zmq.Socket[bytes] = zmq.Context.instance().socket(kind)
    client.linger = 0
    client.sndhwm = 0
    client.curve_publickey, client.curve_secretkey = pair or new_pair()
    client.curve_serverkey = server_key
    client.connect(f"tcp://127.0.0.1:{port}")
    return client


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
