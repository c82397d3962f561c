"""Frames of a ROUTER are put together, and what is none of ours is dropped frame by frame."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import zmq

from zmqchat.net.inbound import RouterReading

Socket = zmq.Socket[bytes]


@pytest.fixture
def wire() -> Iterator[tuple[Socket, Socket]]:
    """A socket to read, and one that puts arbitrary frames into it."""
    context: zmq.Context[Socket] = zmq.Context()
    reads, writes = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    reads.bind("inproc://wire")
    writes.connect("inproc://wire")
    yield reads, writes
    context.destroy(0)


def test_only_two_frames_with_an_id_of_libzmq_are_a_message(wire: tuple[Socket, Socket]) -> None:
    """Longer messages and chosen ids are reported once each; an id without payload is nothing."""
    reads, writes = wire
    messages: list[tuple[bytes, bytes]] = []
    bad: list[str] = []
    reading = RouterReading(
        lambda routing, frame: messages.append((routing, frame.bytes)), lambda _frame, what: bad.append(what)
    )
    good = b"\0abcd"
    sent = [
        [good, b"one"],
        [good, b"x", *[b"more"] * 50],
        [b"victim", b"two"],
        [b"\1abcd", b"three"],
        [b"", b"four"],
        [good],
        [good, b""],
    ]
    for message in sent:
        writes.send_multipart(message)
    for _ in range(sum(len(message) for message in sent)):
        reading.read(reads)
    with pytest.raises(zmq.Again):
        reading.read(reads)
    assert messages == [(good, b"one"), (good, b"")]
    assert bad == ["parts", "routing", "routing", "routing"]
