"""The whole real transport: start and stop leave nothing, idling costs nothing, files are guarded."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator

import pytest

from tests.support.transports import World, a_world, link, subscribe
from zmqchat.model.errors import NetworkError, PortInUse
from zmqchat.model.ids import RoomId
from zmqchat.net import zmq_transport
from zmqchat.net.transport import TRANSPORT_EFFECTS
from zmqchat.protocol.effects import DialDoor, Send, SetTimer
from zmqchat.protocol.facts import DialFailed, DoorKnocked, FrameReceived

ROOM = RoomId(b"r" * 16)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Real transports."""
    async with a_world("zmq") as made:
        yield made


def open_now() -> set[str]:
    """The file descriptors of this process."""
    return set(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are listed on Linux only")
async def test_stop_leaves_no_thread_task_or_file() -> None:
    """After stop there is what there was before start, with live links and dials in all states."""
    files, threads, tasks = open_now(), set(threading.enumerate()), asyncio.all_tasks()
    async with a_world("zmq") as world:
        ann, bob = await world.start(), await world.start()
        await link(ann, bob)
        await subscribe(bob, ann, ROOM)
        ann.apply(DialDoor(dial=1, endpoint=bob.endpoint, payload=b"hello"))
        await bob.get(DoorKnocked)
        ann.apply(DialDoor(dial=2, endpoint=bob.endpoint, payload=b"in progress"))
        started_s = time.perf_counter()
        await ann.transport.stop(0.2)
        assert time.perf_counter() - started_s < 1.0
    for thread in set(threading.enumerate()) - threads:
        thread.join(2.0)
    assert set(threading.enumerate()) <= threads
    assert asyncio.all_tasks() == tasks
    assert open_now() <= files


async def test_failed_start_leaves_nothing_open(world: World) -> None:
    """A port that is taken ends in PortInUse, without a thread left."""
    first = await world.start()
    threads = set(threading.enumerate())
    with pytest.raises(PortInUse, match="--listen"):
        await world.make().start(("127.0.0.1", first.ports.door))
    assert set(threading.enumerate()) <= threads


async def test_foreign_address_can_not_be_bound(world: World) -> None:
    """An address that is not this machine's is a NetworkError that says which."""
    with pytest.raises(NetworkError, match=r"192\.0\.2\.1"):
        await world.make().start(("192.0.2.1", None))
    with pytest.raises(NetworkError, match=r"no-such-host\.invalid"):
        await world.make().start(("no-such-host.invalid", None))


async def test_named_host_is_bound(world: World) -> None:
    """--listen takes a name."""
    node, guest = world.make(), await world.start()
    await node.start(("localhost", None))
    guest.apply(DialDoor(dial=1, endpoint=node.endpoint._replace(host="localhost"), payload=b"hello"))
    assert (await node.get(DoorKnocked)).payload == b"hello"


async def test_all_addresses_are_bound_for_both_families(world: World) -> None:
    """Without a host the sockets take IPv4 and IPv6."""
    node, guest = world.make(), await world.start()
    await node.start((None, None))
    guest.apply(DialDoor(dial=4, endpoint=node.endpoint, payload=b"four"))
    assert (await node.get(DoorKnocked)).caller.address == "127.0.0.1"
    guest.apply(DialDoor(dial=6, endpoint=node.endpoint._replace(host="::1"), payload=b"six"))
    await node.until(lambda: bool(len(node.of(DoorKnocked)) == 2 or guest.of(DialFailed)))
    if guest.of(DialFailed):
        pytest.skip("this machine has no IPv6")
    assert node.of(DoorKnocked)[1].caller.address == "::1"


async def test_idle_links_cost_next_to_nothing(world: World) -> None:
    """Ten linked nodes that say nothing use less than 2 % of a core together."""
    nodes = [await world.start() for _ in range(10)]
    for node in nodes[1:]:
        await link(node, nodes[0])
        node.apply(Send(peer=nodes[0].peer, payload=b"link", outbound=True))
        await subscribe(node, nodes[0], ROOM)
    await nodes[0].get(FrameReceived, 9)
    await asyncio.sleep(2.5)  # the sweep of new connections ends by itself and tells nobody
    used_s, started_s = time.process_time(), time.perf_counter()
    await asyncio.sleep(2)  # what is measured is a stretch of time in which nothing happens
    share = (time.process_time() - used_s) / (time.perf_counter() - started_s)
    assert share < 0.02


async def test_hop_is_quick_and_sends_lose_no_wakeup(world: World) -> None:
    """Thousands of answers to answers: none is left lying in a socket whose edge a send has swallowed."""
    ann, bob = await world.start(), await world.start()
    await link(ann, bob)
    done = asyncio.Event()
    left = 3_000

    def echo(fact: object) -> bool:
        if isinstance(fact, FrameReceived):
            bob.apply(Send(peer=fact.peer, payload=fact.payload, outbound=False))
        return isinstance(fact, FrameReceived)

    def again(fact: object) -> bool:
        nonlocal left
        if isinstance(fact, FrameReceived):
            left -= 1
            if left <= 0:
                done.set()
            else:
                ann.apply(Send(peer=fact.peer, payload=fact.payload, outbound=True))
        return isinstance(fact, FrameReceived)

    bob.answer, ann.answer = echo, again
    started_s = time.perf_counter()
    for _ in range(3):
        ann.apply(Send(peer=bob.peer, payload=b"x" * 100, outbound=True))
    await asyncio.wait_for(done.wait(), 30)
    print(f"{(time.perf_counter() - started_s) / 6_000 * 1e6:.0f} microseconds a hop")


async def test_door_is_shut_while_descriptors_are_short(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Near the limit strangers are refused, links go on, and the door opens again at the same port."""
    monkeypatch.setattr(zmq_transport, "SWEEP_S", 0.05)
    node, peer = await world.start(), await world.start()
    monkeypatch.setattr(zmq_transport, "open_files", lambda: 10**9)
    await link(peer, node)
    await node.until(lambda: node.transport.stats().counters.get("door_shut", 0) == 1)
    peer.apply(DialDoor(dial=1, endpoint=node.endpoint, payload=b"too early"))
    await peer.get(DialFailed)
    peer.apply(Send(peer=node.peer, payload=b"still linked", outbound=True))
    await node.get(FrameReceived)
    monkeypatch.setattr(zmq_transport, "open_files", lambda: 20)
    number = iter(range(2, 1_000))

    def knock() -> bool:
        peer.apply(DialDoor(dial=next(number), endpoint=node.endpoint, payload=b"now"))
        return bool(node.of(DoorKnocked))

    await node.until(knock)
    assert node.of(DoorKnocked)[0].payload == b"now"


async def test_other_effects_are_a_fault_of_the_caller(world: World) -> None:
    """What is no effect of the transport is refused; all that are, are taken in any state."""
    node = await world.start()
    with pytest.raises(AssertionError, match="SetTimer"):
        node.apply(SetTimer(name=("x",), at_s=None))
    assert SetTimer not in TRANSPORT_EFFECTS
    assert Send in TRANSPORT_EFFECTS


async def test_stats_and_addresses_tell_what_there_is(world: World) -> None:
    """`doctor` sees sessions, connections, dials and who shook hands."""
    ann, bob = await world.start(), await world.start()
    await link(ann, bob)
    ann.apply(Send(peer=bob.peer, payload=b"link", outbound=True))
    await bob.get(FrameReceived)
    stats = bob.transport.stats()
    assert (stats.sessions, stats.inbound, stats.dials) == (1, 1, 0)
    assert ann.transport.stats().dials == 1
    assert stats.open_files > 10
    assert bob.transport.handshake_addresses == ("127.0.0.1",)
