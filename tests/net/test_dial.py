"""Our own connections: how each ends, and that they leave nothing behind."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import zmq

from tests.support.transports import DOOR_PAIR, World, a_world, new_pair
from zmqchat.net import dial as module
from zmqchat.net.dial import Dial
from zmqchat.net.engine import Engine
from zmqchat.net.options import CurvePair, Role
from zmqchat.net.watch import Watch
from zmqchat.protocol.facts import DoorKnocked


class Caller:
    """A Dial to a door, and what it told."""

    def __init__(self) -> None:
        self.engine = Engine(asyncio.get_running_loop(), CurvePair(*new_pair()), lambda _fact: None)
        self.watch = Watch(self.engine.loop, self.engine.counters)
        self.told: asyncio.Queue[str] = asyncio.Queue()
        self.dial = Dial(
            self.engine,
            self.watch,
            Role.DOOR,
            DOOR_PAIR[0],
            opened=lambda: self.told.put_nowait("opened"),
            closed=self.told.put_nowait,
            received=lambda payload: self.told.put_nowait(payload.decode()),
        )

    async def next(self) -> str:
        """What is told next."""
        return await asyncio.wait_for(self.told.get(), 10)


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    """A caller whose sockets are closed at the end."""
    made = Caller()
    yield made
    made.dial.close()
    made.watch.close()
    made.engine.context.destroy(0)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Real transports."""
    async with a_world("zmq") as made:
        yield made


def silent_listener() -> socket.socket:
    """A TCP listener that accepts and says nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(5)
    return listener


async def test_open_dial_sends_and_hears_its_loss(world: World, caller: Caller) -> None:
    """After `opened` frames go out; when the other side stops, `lost` is told, once."""
    node = await world.start()
    caller.dial.connect("127.0.0.1", node.ports.door)
    assert not caller.dial.send(b"too early")
    assert await caller.next() == "opened"
    assert caller.dial.send(b"hello")
    assert (await node.get(DoorKnocked)).payload == b"hello"
    await node.transport.stop(0)
    assert await caller.next() == "lost"
    assert caller.dial.done
    assert not caller.dial.send(b"late")
    assert caller.told.empty()


async def test_refused_before_and_after_tcp(caller: Caller) -> None:
    """Nobody listening, and a listener that hangs up, are both refused."""
    caller.dial.connect("127.0.0.1", 1)
    assert await caller.next() == "refused"
    other = Caller()
    with silent_listener() as listener:
        other.dial.connect("127.0.0.1", listener.getsockname()[1])
        accepted, _ = await asyncio.to_thread(listener.accept)
        accepted.close()
        assert await other.next() == "refused"
    other.watch.close()
    other.engine.context.destroy(0)


async def test_silent_listener_times_out(caller: Caller) -> None:
    """Whoever accepts and never shakes hands is given up after the handshake's time."""
    with silent_listener() as listener:
        caller.dial.connect("127.0.0.1", listener.getsockname()[1])
        assert await caller.next() == "timeout"


async def test_addresses_of_a_name_are_tried_in_turn(
    world: World, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first address that answers is kept."""
    node = await world.start()
    monkeypatch.setattr(caller.engine.resolver, "resolve", lambda _host, done: done(("127.0.0.2", "127.0.0.1")))
    caller.dial.connect("two.addresses", node.ports.door)
    assert await caller.next() == "opened"


async def test_impossible_address_is_told_later(caller: Caller) -> None:
    """A scope that does not exist ends as unreachable, not as an exception, and not at once."""
    caller.dial.connect("fe80::1%nosuchif", 42_100)
    assert caller.told.empty()
    assert await caller.next() == "unreachable"


async def test_no_socket_to_be_had_is_told_later(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where libzmq has no socket left the dial ends, and the node goes on."""

    def none_left(*_: object) -> None:
        raise zmq.ZMQError(24)

    monkeypatch.setattr(module, "make_dialler", none_left)
    caller.dial.connect("127.0.0.1", 1)
    assert await caller.next() == "unreachable"
    assert caller.engine.counters["dials_impossible"] == 1


async def test_closed_dial_tells_nothing(caller: Caller) -> None:
    """Our own close is silent, while a name is looked up, too."""
    caller.dial.connect("localhost", 1)
    caller.dial.close()
    caller.dial.close()
    await asyncio.sleep(0.1)  # what does not come can't be waited for
    assert caller.told.empty()
