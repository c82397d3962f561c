"""Frames that break the rules, from a peer that was admitted like any other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import msgpack
import pytest

from tests.support.framesamples import SAMPLES
from tests.support.hostile_bytes import BOMBS
from tests.support.hostilepeer import HostilePeer, hostile_peer, room_of
from tests.support.nodes import eventually
from tests.support.raw_zmtp import RawClient
from tests.support.siege import Siege, siege
from zmqchat.crypto.keys import create_identity, curve_key
from zmqchat.model.ids import PeerId, peer_text
from zmqchat.model.limits import FRAME_BYTES_MAX, HAVE_BYTES_PER_S_MAX
from zmqchat.wire.frames import (
    Frontiers,
    Have,
    HaveEntry,
    Inquire,
    LogState,
    Page,
    Ping,
    Pong,
    RangeState,
    Report,
    Want,
    encode,
)

U64_MAX = 2**64 - 1
CUT_WITHIN_S = 5.0
FAULTS_UNTIL_CUT = 5


@pytest.fixture
async def besieged(home: Path) -> AsyncIterator[Siege]:
    """ann and bob, who go on talking and notice nothing."""
    async with siege(home.parent) as made:
        yield made


@pytest.fixture
async def eve(besieged: Siege) -> AsyncIterator[HostilePeer]:
    """A peer linked to ann and in her lobby."""
    async with hostile_peer(besieged.ann) as made:
        await made.link("lobby")
        yield made


@contextlib.contextmanager
def reporting(what: str) -> Iterator[None]:
    """Name the case in whatever fails in the block."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from error


async def is_penalised(eve: HostilePeer) -> bool:
    """Whether the node refuses her at the door, and says why."""
    return await eve.refusal() == "penalty"


WRONG_FRAMES: dict[str, bytes] = {
    **{f"bomb: {name}": b"\x21" + bomb for name, bomb in BOMBS.items()},
    "no type": b"",
    "too deep": b"\x21" + b"\x91" * 1_000 + b"\xc0",
    "truncated": encode(SAMPLES["have"])[:-1],
    "trailing byte": encode(SAMPLES["have"]) + b"\0",
    "wrong type": b"\x21" + msgpack.packb(["room", 1, None]),
    "too few fields": b"\x21" + msgpack.packb([bytes(16)]),
    "number at 2^64-1": b"\x21" + msgpack.packb([bytes(16), bytes(32), [[bytes(32), U64_MAX, bytes(8), U64_MAX]]]),
    "number beyond 64 bits": b"\x28" + b"\x93\xcb" + b"\xff" * 8 + b"\xc4\x10" + bytes(16) + b"\xc2",
    "HELLO over the link, one byte too long for it": b"\x01" + bytes(4_000),
    "push of nothing": b"\x20",
    "push of random bytes": b"\x20" + os.urandom(4_096),
    "push of a bomb": b"\x20\x93\xc4\x7c" + b"\x91" * 100_000,
}


async def test_every_wrong_frame_is_a_fault_and_a_few_of_them_end_the_link(besieged: Siege) -> None:
    """Each kind costs its sender 20; at 100 she is cut, refused at the door, and bob's messages never wait."""
    for name, payload in WRONG_FRAMES.items():
        async with hostile_peer(besieged.ann) as eve:
            await eve.link()
            before = await besieged.faults("malformed", "limit")
            for _ in range(FAULTS_UNTIL_CUT):
                assert not eve.is_cut, name
                eve.send(payload)
            with reporting(name):
                await eve.cut_within(CUT_WITHIN_S)
            assert await besieged.faults("malformed", "limit") == before + FAULTS_UNTIL_CUT, name
            assert await is_penalised(eve), name
    assert await besieged.faults("penalties") == len(WRONG_FRAMES)


async def test_a_fault_is_told_for_its_peer(besieged: Siege, eve: HostilePeer) -> None:
    """`doctor PEER` says what she did last; one fault alone does not end the link."""
    eve.send(b"\x21\xc1")
    await eventually(lambda: besieged.ann._core().core.machines.faults.counts.get("malformed"))
    report = await besieged.ann.doctor(_short_of(eve))
    peer = report["peer"]
    assert isinstance(peer, dict)
    assert "malformed" in peer["here"]["last fault"]
    assert not eve.is_cut


async def test_unknown_frames_are_no_fault(besieged: Siege, eve: HostilePeer) -> None:
    """A thousand frames of a later version are skipped; the link stays and no score falls."""
    await eve.flood(bytes([200 + number % 50]) + os.urandom(64) for number in range(1_000))
    eve.say(SAMPLES["ping"])
    await eventually(lambda: eve.got(Pong))
    assert not eve.is_cut
    assert not any(name.startswith("fault") for name in await besieged.counters())


async def test_a_frame_over_the_limit_is_cut_by_the_transport(besieged: Siege, eve: HostilePeer) -> None:
    """One byte more than a frame may have never arrives; the connection is gone."""
    identity = eve.identity
    with RawClient(besieged.ann.ports[1]) as client:
        key = curve_key(besieged.ann.id)
        assert key is not None
        assert await asyncio.to_thread(client.curve, key, (identity.curve_public, identity.curve_secret), b"DEALER")
        await asyncio.to_thread(client.message, b"\x20" + bytes(FRAME_BYTES_MAX))
        assert await asyncio.to_thread(client.closed)


async def test_a_flood_of_pings_is_answered_ten_times_a_second(besieged: Siege, eve: HostilePeer) -> None:
    """Of 10,000 pings at most ten a second are answered, the rest dropped before they are decoded."""
    started_s = time.perf_counter()
    await eve.flood(encode(Ping(token=number, wall_ms=0)) for number in range(10_000))
    eve.say(Inquire(token=7))
    await eventually(lambda: eve.got(Report))
    took_s = time.perf_counter() - started_s
    assert 1 <= len(eve.got(Pong)) <= 10 * (took_s + 2)


async def test_wants_without_end_and_without_credit_cost_nothing(besieged: Siege, eve: HostilePeer) -> None:
    """[0, 2^64) a thousand times: clipped, one at a time, and no page without credit."""
    ann = besieged.ann
    log = ann._core().core.data.ledger.own_log
    want = Want(
        request=0,
        room=room_of("lobby"),
        author=ann.id,
        log=log,
        branch=bytes(8),
        first=0,
        end=U64_MAX,
        credit=0,
        newest_first=False,
    )
    await eve.flood(encode(replace(want, request=number)) for number in range(1_000))
    eve.say(Inquire(token=7))
    await eventually(lambda: eve.got(Report))
    assert not [page for page in eve.got(Page) if page.batches]


async def test_a_flood_of_claims_leaves_others_their_turns(besieged: Siege, eve: HostilePeer) -> None:
    """Twenty frames that claim 2,000 unknown logs each: dear to read, asked for two at a time; bob is not late."""
    for _ in range(20):
        entries = tuple(HaveEntry(PeerId(os.urandom(31) + b"\x01"), 1, bytes(8), 10) for _ in range(2_000))
        eve.say(Have(room=room_of("lobby"), holder=eve.peer, entries=entries))
    await besieged.deliver(3)
    eve.say(Inquire(token=7))
    await eventually(lambda: eve.got(Report))
    assert 1 <= len(eve.got(Want)) <= 8
    assert not eve.is_cut


async def test_a_lasting_flood_of_claims_is_read_at_a_pace(besieged: Siege, eve: HostilePeer) -> None:
    """Two hundred of them, 3 s of work if all were read: a few are, the rest is dropped; ann has time for bob."""
    entries = tuple(HaveEntry(PeerId(os.urandom(31) + b"\x01"), 1, bytes(8), 10) for _ in range(2_000))
    payload = encode(Have(room=room_of("lobby"), holder=eve.peer, entries=entries))
    busy_s, started_s = time.process_time(), time.perf_counter()
    await eve.flood(payload for _ in range(200))
    eve.say(Inquire(token=7))
    await eventually(lambda: eve.got(Report))
    took_s = time.perf_counter() - started_s
    read = 200 - besieged.ann._core().core.machines.mesh.late_haves
    assert 1 <= read * len(payload) <= (took_s + 1) * HAVE_BYTES_PER_S_MAX
    print(f"{read} read, {time.process_time() - busy_s:.2f} s of CPU in {took_s:.2f} s")
    await besieged.deliver(3)
    assert not eve.is_cut


async def test_frontiers_that_nobody_asked_for_end_the_link(besieged: Siege, eve: HostilePeer) -> None:
    """A million logs in frames of 2,048, unasked: cut after ten frames, and nothing is kept of them."""
    entry = LogState(create_identity().peer, 1, bytes(8), 0, (RangeState(0, 9, bytes(32), bytes(32)),))
    frontiers = Frontiers(exchange=999, room=room_of("lobby"), entries=(entry,) * 1_024, final=False)
    payload = encode(frontiers)
    for _ in range(20):
        eve.send(payload)
    await eve.cut_within(CUT_WITHIN_S)
    assert await besieged.faults("protocol") == 10
    assert await is_penalised(eve)


def _short_of(eve: HostilePeer) -> str:
    return peer_text(eve.peer)[:8]
