"""Whoever is no zmqchat, or only half of one, at each port of a running node."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.support.hostilepeer import hostile_peer
from tests.support.nodes import eventually, linked, running
from tests.support.raw_zmtp import SIGNATURE, RawClient
from tests.support.siege import Siege, siege
from zmqchat import Config

ADMITTED_WITHIN_S = 2.0
CLIENTS = 40
CONNECTIONS = 1_000


@pytest.fixture
async def besieged(home: Path) -> AsyncIterator[Siege]:
    """ann and bob, who go on talking and notice nothing."""
    async with siege(home.parent) as made:
        yield made


def _greeting(mechanism: bytes) -> bytes:
    return SIGNATURE + b"\x03\x01" + mechanism.ljust(20, b"\0") + bytes(32)


FIRST_WORDS: dict[str, Callable[[], bytes]] = {
    "random": lambda: os.urandom(4_096),
    "HTTP": lambda: b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n",
    "TLS": lambda: bytes.fromhex("16030100c8010000c40303") + os.urandom(190),
    "SSH": lambda: b"SSH-2.0-OpenSSH_9.6\r\n",
    "half a greeting": lambda: _greeting(b"CURVE")[:30],
    "a greeting and no handshake": lambda: _greeting(b"CURVE"),
    "half a HELLO": lambda: _greeting(b"CURVE") + b"\x04\xc8\x05HELLO\x01\x00" + bytes(60),
    "a HELLO of random bytes": lambda: _greeting(b"CURVE") + b"\x04\xc8\x05HELLO\x01\x00" + os.urandom(192),
    "NULL": lambda: _greeting(b"NULL") + b"\x04\x1a\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER" + b"\x00\x05hello",
    "PLAIN": lambda: _greeting(b"PLAIN") + b"\x04\x0b\x05HELLO\x01a\x01b" + b"\x00\x05hello",
    "a frame of 2^63 bytes": lambda: _greeting(b"CURVE") + b"\x02" + b"\x7f" + b"\xff" * 7 + bytes(1_000),
}


@contextlib.contextmanager
def connections(ports: tuple[int, ...], count: int, words: Callable[[], bytes]) -> Iterator[None]:
    """So many clients, spread over the ports, that say their words and stay."""
    with contextlib.ExitStack() as stack:
        for number in range(count):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", ports[number % len(ports)]), 10))
            with contextlib.suppress(OSError):  # it was cut already
                client.sendall(words())
        yield


async def _honest_peer_gets_in(besieged: Siege, folder: Path, name: str) -> None:
    started_s = time.perf_counter()
    async with running(folder, name, besieged.ann, config=Config()) as carl:
        await linked(carl)
        await eventually(lambda: carl.peers)
        assert time.perf_counter() - started_s < ADMITTED_WITHIN_S


async def test_no_first_words_hurt_and_an_honest_peer_gets_in(besieged: Siege, home: Path) -> None:
    """On each port forty clients of each kind; meanwhile a new node is admitted within 2 s, and all is counted."""
    for words in FIRST_WORDS.values():
        with connections(besieged.ann.ports, CLIENTS, words):
            await besieged.deliver(1)
    with connections(besieged.ann.ports, 3 * CLIENTS, FIRST_WORDS["half a HELLO"]):
        await _honest_peer_gets_in(besieged, home.parent, "carl")
    counters = await besieged.counters()
    for port in ("door", "direct", "feed"):
        assert counters[f"{port}_handshakes_failed"] > 0, counters
    assert {peer.name for peer in besieged.ann.peers} >= {"bob"}


async def test_a_thousand_connections_from_one_address(besieged: Siege, home: Path) -> None:
    """All from loopback: held up to a bound; bob's link stays, and a new peer gets in within 2 s."""
    ann = besieged.ann
    opening = connections((ann.ports[0],), CONNECTIONS, bytes)
    await asyncio.to_thread(opening.__enter__)
    try:
        await besieged.deliver(3)
        await _honest_peer_gets_in(besieged, home.parent, "carl")
        assert (await besieged.counters())["half_open_cut"] > 0
        assert [peer.name for peer in ann.peers if peer.name == "bob"]
    finally:
        opening.__exit__(None, None, None)


async def test_connections_that_hold_the_door_open(besieged: Siege, home: Path) -> None:
    """Sixty that finished the handshake and say nothing more: others still get in."""
    async with hostile_peer(besieged.ann) as eve:
        key, pair = eve.door_key, (eve.identity.curve_public, eve.identity.curve_secret)
        with contextlib.ExitStack() as stack:

            def hold() -> None:
                for _ in range(60):
                    client = stack.enter_context(RawClient(besieged.ann.ports[0]))
                    with contextlib.suppress(OSError):
                        client.curve(key, pair, b"DEALER")

            await asyncio.to_thread(hold)
            await _honest_peer_gets_in(besieged, home.parent, "carl")
