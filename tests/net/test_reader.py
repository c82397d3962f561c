"""Reading edge-triggered sockets: nothing is left lying, nobody is starved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
import zmq

from zmqchat.net.reader import READS_AT_ONCE, TURN_S, Reader

Socket = zmq.Socket[bytes]


@pytest.fixture
def pair() -> Iterator[tuple[Socket, Socket]]:
    """Two connected sockets."""
    context: zmq.Context[Socket] = zmq.Context()
    one, other = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    one.bind("inproc://pair")
    other.connect("inproc://pair")
    yield one, other
    context.destroy(0)


async def until(condition: object) -> None:
    """Let the loop turn until the callable is true."""
    assert callable(condition)

    async def turn() -> None:
        while not condition():  # a list of the test's own, which tells nobody
            await asyncio.sleep(0.001)  # one look a turn of the loop

    await asyncio.wait_for(turn(), 5)


async def test_all_is_read_in_bounded_turns(pair: tuple[Socket, Socket]) -> None:
    """After READS_AT_ONCE frames others get a turn, and the rest follows without a further edge."""
    one, other = pair
    for number in range(3 * READS_AT_ONCE + 5):
        other.send(b"%d" % number)
    got: list[bytes] = []
    turns: list[int] = []
    reader = Reader(asyncio.get_running_loop(), one, lambda: got.append(one.recv(zmq.NOBLOCK)))
    while len(got) < 3 * READS_AT_ONCE + 5:
        await asyncio.sleep(0)
        turns.append(len(got))
    assert max(later - earlier for earlier, later in zip([0, *turns], turns, strict=False)) == READS_AT_ONCE
    assert got[-1] == b"%d" % (3 * READS_AT_ONCE + 4)
    reader.close()


async def test_frames_that_take_long_end_a_turn(pair: tuple[Socket, Socket]) -> None:
    """Where each frame costs more than a turn may take, others get theirs after each."""
    one, other = pair
    for _ in range(5):
        other.send(b"dear")
    got: list[bytes] = []

    def read() -> None:
        got.append(one.recv(zmq.NOBLOCK))
        time.sleep(2 * TURN_S)  # the work that a hostile frame makes

    reader = Reader(asyncio.get_running_loop(), one, read)
    turns = [0]
    while len(got) < 5:
        await asyncio.sleep(0)
        turns.append(len(got))
    assert max(later - earlier for earlier, later in pairwise(turns)) == 1
    reader.close()


async def test_edge_swallowed_by_a_send_is_found(pair: tuple[Socket, Socket]) -> None:
    """What arrived before a send is read after it, though the send took the edge."""
    one, other = pair
    got: list[bytes] = []
    reader = Reader(asyncio.get_running_loop(), one, lambda: got.append(one.recv(zmq.NOBLOCK)))
    await asyncio.sleep(0)
    for number in range(200):
        other.send(b"in")
        one.send(b"out", zmq.NOBLOCK)
        reader.after_send()
        await until(lambda number=number: len(got) == number + 1)
    reader.close()


async def test_paused_reader_leaves_frames_and_comes_back(pair: tuple[Socket, Socket]) -> None:
    """During a pause nothing is read and the loop does not spin; after it all is."""
    one, other = pair
    got: list[bytes] = []
    reader = Reader(asyncio.get_running_loop(), one, lambda: got.append(one.recv(zmq.NOBLOCK)))
    await asyncio.sleep(0)
    reader.pause(0.05)
    assert reader.behind
    other.send(b"later")
    reader.drain()
    reader.after_send()
    assert got == []
    await until(lambda: got == [b"later"])
    reader.close()


async def test_fault_in_a_read_does_not_stop_reading(
    pair: tuple[Socket, Socket], caplog: pytest.LogCaptureFixture
) -> None:
    """An exception goes to the loop's handler; what waits behind it is read all the same."""
    one, other = pair
    got: list[bytes] = []

    def read() -> None:
        got.append(one.recv(zmq.NOBLOCK))
        if got[-1] == b"bad":
            raise ValueError("planted")

    reader = Reader(asyncio.get_running_loop(), one, read)
    for frame in (b"bad", b"good"):
        other.send(frame)
    await until(lambda: got == [b"bad", b"good"])
    assert "planted" in caplog.text
    reader.close()


async def test_closed_reader_reads_nothing(pair: tuple[Socket, Socket]) -> None:
    """Closing within a read ends the turn; closing twice is harmless."""
    one, other = pair
    got: list[bytes] = []

    def read() -> None:
        got.append(one.recv(zmq.NOBLOCK))
        reader.close()

    reader = Reader(asyncio.get_running_loop(), one, read)
    other.send(b"first")
    other.send(b"second")
    await until(lambda: got == [b"first"])
    reader.close()
    reader.drain()
    assert got == [b"first"]
