"""HELLOs that claim to be somebody else, at the door of a running node."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.hostilepeer import HostilePeer, hostile_peer
from tests.support.nodes import eventually
from tests.support.siege import Siege, siege
from zmqchat.crypto.keys import create_identity
from zmqchat.model.addresses import Endpoint
from zmqchat.model.ids import PeerId, mesh_id
from zmqchat.protocol.addressbook import HEARSAY_TRIES
from zmqchat.wire.frames import Ping, Welcome, encode

SMALL_ORDER = {
    "order 1": b"\x01" + bytes(31),
    "order 2": b"\xec" + b"\xff" * 30 + b"\x7f",
    "order 4": bytes(32),
    "order 8": bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
}


@pytest.fixture
async def besieged(home: Path) -> AsyncIterator[Siege]:
    """ann and bob, who go on talking and notice nothing."""
    async with siege(home.parent) as made:
        yield made


@pytest.fixture
async def eve(besieged: Siege) -> AsyncIterator[HostilePeer]:
    """A peer that has not knocked yet."""
    async with hostile_peer(besieged.ann) as made:
        yield made


async def test_another_identity_is_refused(besieged: Siege, eve: HostilePeer) -> None:
    """Ids that are not of the caller's key, ann's own, bob's with its sign flipped, and no points at all."""
    ann, bob = besieged.ann, besieged.bob
    flipped = bob.id[:31] + bytes([bob.id[31] | 0x80])
    claims = {
        "a stranger's": create_identity().peer,
        "bob's": bob.id,
        "bob's, flipped": flipped,
        "our own, flipped": eve.peer[:31] + bytes([eve.peer[31] | 0x80]),
        "ann's": ann.id,
        "all 0xFF": b"\xff" * 32,
        **SMALL_ORDER,
    }
    known = len(ann.known_peers())
    for name, peer in claims.items():
        assert await eve.refusal(peer=PeerId(peer)) == "identity", name
    assert (await besieged.counters())["refused identity"] == len(claims)
    assert len(ann.known_peers()) == known
    assert [peer.id for peer in ann.peers] == [bob.id]
    assert [peer.id for peer in bob.peers] == [ann.id]


async def test_our_own_hello_comes_back(besieged: Siege, eve: HostilePeer) -> None:
    """A HELLO with ann's id and ann's instance is ann herself: refused as such, whoever carries it."""
    welcome = await eve.knock(encode(eve.hello()))
    assert isinstance(welcome, Welcome)
    assert await eve.refusal(peer=besieged.ann.id, instance=welcome.instance) == "self"


async def test_other_meshes_and_versions_are_refused(besieged: Siege, eve: HostilePeer) -> None:
    """Each gets one signed reason; nothing is kept of them."""
    assert await eve.refusal(mesh=mesh_id("elsewhere")) == "mesh"
    assert await eve.refusal(versions=(200, 201)) == "version"
    assert eve.peer not in {peer.id for peer in besieged.ann.known_peers()}


async def test_what_is_no_hello_is_counted(besieged: Siege, eve: HostilePeer) -> None:
    """Garbage, another frame and a HELLO that is not canonical get no answer, and cost an honest caller nothing."""
    hello = encode(eve.hello())
    for payload in (b"\x01\xc1", encode(Ping(token=1, wall_ms=1)), hello + b"\0", hello[:-1], b"\x01" + bytes(3_999)):
        assert await eve.knock(payload, timeout_s=0.1) is None
    assert (await besieged.counters())["refused malformed"] == 5
    assert await eve.refusal() == ""


async def test_a_hello_of_hundreds_of_endpoints_sends_ann_nowhere(besieged: Siege, eve: HostilePeer) -> None:
    """At most eight are kept and none that can't be; each node knocks at a third party a few times only."""
    with victim() as (port, visits):
        named = [
            Endpoint("224.0.0.251", 5353, 5353, 5353),
            Endpoint("0.0.0.0", 42100, 42101, 42102),
            Endpoint("127.0.0.1", 0, 0, 0),
            Endpoint("127.0.0.1", port, 1, 1),
            *(Endpoint("", number % 100, 1, 1) for number in range(500)),
        ]
        await eve.link()
        assert await eve.refusal(endpoints=tuple(named)) == ""
        target = besieged.ann._core().core.machines.peers.book.of(eve.peer)
        assert target is not None
        assert len(target.endpoints) <= 8
        assert not {e.host for e in target.endpoints} & {"224.0.0.251", "0.0.0.0", ""}
        assert all(e.door for e in target.endpoints)
        await eve.transport.stop(0)
        await eventually(lambda: visits)
        await asyncio.sleep(2.0)  # without a bound each node would dial about five times meanwhile
        assert len(visits) <= 2 * HEARSAY_TRIES
        assert all(words.startswith(b"\xff") and words.endswith(b"\x7f") for words in visits)


@contextlib.contextmanager
def victim() -> Iterator[tuple[int, list[bytes]]]:
    """A service that is none of ours: its port, and the first ten bytes of each that called."""
    visits: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _address = server.accept()
            except OSError:
                return
            with client:
                client.settimeout(1)
                with contextlib.suppress(OSError):
                    visits.append(client.recv(10))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1], visits
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)
