"""Batches that lie, over the link and by the feed: nothing is stored, and the one who sends them goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.support.authors import Author
from tests.support.hostilepeer import HostilePeer, hostile_peer, resigned, room_of
from tests.support.nodes import WAIT_S, eventually, history_texts
from tests.support.siege import Siege, siege
from zmqchat import Room
from zmqchat.crypto.keys import create_identity
from zmqchat.crypto.signing import IdentityCrypto
from zmqchat.history.clock import hlc_of
from zmqchat.model.events import Kind
from zmqchat.model.limits import BATCH_EVENTS_MAX, EVENT_BYTES_MAX
from zmqchat.wire.batches import HEADER_OFFSET
from zmqchat.wire.events import encode_event
from zmqchat.wire.frames import PUSH_PREFIX, Inquire, Report

U64_MAX = 2**64 - 1
CUT_WITHIN_S = 5.0
FAULTS_UNTIL_CUT = 5
CENTURY_MS = 100 * 365 * 86_400_000


@pytest.fixture
async def besieged(home: Path) -> AsyncIterator[Siege]:
    """ann and bob, who go on talking and notice nothing."""
    async with siege(home.parent, "honest", "left", "right", "later", "old", "far") as made:
        yield made


@pytest.fixture
async def eve(besieged: Siege) -> AsyncIterator[HostilePeer]:
    """A peer linked to ann and in her lobby."""
    async with hostile_peer(besieged.ann) as made:
        await made.link("lobby")
        yield made


def _patched(raw: bytes, at: int, value: bytes) -> bytes:
    """The batch with these bytes in its header."""
    start = HEADER_OFFSET + at
    return raw[:start] + value + raw[start + len(value) :]


def _u64(number: int) -> bytes:
    return number.to_bytes(8, "big")


_AUTHOR_AT = 32
_LOG_AT = _AUTHOR_AT + 32
_FIRST_AT = _LOG_AT + 8
_COUNT_AT = _FIRST_AT + 8


def _deep(eve: HostilePeer) -> bytes:
    value: object = 1
    for _ in range(12):
        value = [value]
    event = encode_event(bytes(16), eve.author.ticks, Kind.APP, ["x/y", value])
    # twelve levels more than the encoder allows, put in by hand
    deeper = event.replace(b"\x91" * 12, b"\x91" * 24)
    return eve.author.batch(events=[deeper], room=room_of("lobby")).raw


def _events(eve: HostilePeer, count: int, size: int = 1) -> bytes:
    event = encode_event(bytes(16), eve.author.ticks, Kind.TEXT, "x" * size)
    return eve.author.batch(events=[event] * count, room=room_of("lobby")).raw


WRONG_BATCHES: dict[str, Callable[[HostilePeer], bytes]] = {
    "wrong signature": lambda eve: resigned(eve.batch("forged").raw),
    "another's name": lambda eve: _patched(eve.batch("forged").raw, _AUTHOR_AT, create_identity().peer),
    "ann's own name": lambda eve: _patched(eve.batch("forged").raw, _AUTHOR_AT, eve.node.id),
    "an author that is no key": lambda eve: _patched(eve.batch("forged").raw, _AUTHOR_AT, b"\xff" * 32),
    "an author of small order": lambda eve: _patched(eve.batch("forged").raw, _AUTHOR_AT, bytes(32)),
    "log 2^64-1": lambda eve: _patched(eve.batch("forged").raw, _LOG_AT, _u64(U64_MAX)),
    "signed log 2^64-1": lambda eve: eve.author.batch(("forged",), room=room_of("lobby"), log=U64_MAX).raw,
    "first 2^64-1": lambda eve: _patched(eve.batch("forged").raw, _FIRST_AT, _u64(U64_MAX)),
    "first 2^63": lambda eve: eve.author.batch(("forged",), room=room_of("lobby"), first=2**63).raw,
    "first at 2^53": lambda eve: eve.author.batch(("forged",), room=room_of("lobby"), first=2**53).raw,
    "another count": lambda eve: _patched(eve.batch("forged").raw, _COUNT_AT, (9).to_bytes(4, "big")),
    "no events": lambda eve: eve.author.batch(events=[], room=room_of("lobby")).raw,
    "too many events": lambda eve: _events(eve, BATCH_EVENTS_MAX + 1),
    "a huge event": lambda eve: _events(eve, 1, EVENT_BYTES_MAX + 1),
    "truncated": lambda eve: eve.batch("forged").raw[:-1],
    "a byte behind it": lambda eve: eve.batch("forged").raw + b"\0",
    "a body of 24 levels": _deep,
    "an event after its batch": lambda eve: (
        eve.author.batch(
            events=[encode_event(bytes(16), eve.author.ticks + 10**9, Kind.TEXT, "forged")],
            sealed_at=eve.author.ticks,
            room=room_of("lobby"),
        ).raw
    ),
    "a first batch with a previous": lambda eve: (
        eve.author.batch(("forged",), room=room_of("lobby"), first=0, previous=b"\x01" * 32).raw
    ),
}


@pytest.mark.parametrize("way", ["link", "feed"])
async def test_every_wrong_batch_is_a_fault_and_not_stored(besieged: Siege, way: str) -> None:
    """Each kind, five times over link or feed: its sender is cut and refused, and both stores stay as they were."""
    for name, make in WRONG_BATCHES.items():
        async with hostile_peer(besieged.ann) as eve:
            await eve.link("lobby")
            for _ in range(FAULTS_UNTIL_CUT):
                raw = make(eve)
                if way == "link":
                    eve.send(PUSH_PREFIX + raw)
                else:
                    eve.publish("lobby", PUSH_PREFIX + raw)
            try:
                await eve.cut_within(CUT_WITHIN_S)
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from error
            assert await eve.refusal() == "penalty", name
    assert await besieged.faults("penalties") == len(WRONG_BATCHES)


async def test_three_wrong_signatures_end_the_link_and_two_do_not(besieged: Siege, eve: HostilePeer) -> None:
    """A third within a minute is one too many; bob, who was never sent any, knows nothing of them."""
    for _ in range(2):
        eve.send(PUSH_PREFIX + resigned(eve.batch("forged").raw))
    eve.say(Inquire(token=1))
    await eventually(lambda: eve.got(Report))
    assert not eve.is_cut
    eve.send(PUSH_PREFIX + resigned(eve.batch("forged").raw))
    await eve.cut_within(CUT_WITHIN_S)
    assert (await besieged.bob.doctor())["faults"] == {}


async def test_a_room_that_ann_is_not_in_gets_nothing(besieged: Siege, eve: HostilePeer) -> None:
    """A good batch of another room is dropped without a fault: she may have left it a moment ago."""
    for number in range(50):
        eve.push(eve.batch("elsewhere", "cellar", log=number + 1))
    eve.say(Inquire(token=1))
    await eventually(lambda: eve.got(Report))
    assert not eve.is_cut
    cellar = await besieged.ann.join("cellar")
    assert await history_texts(cellar) == []


async def test_feed_of_another_room_is_no_way_in(besieged: Siege, eve: HostilePeer) -> None:
    """The topic says lobby, the batch says cellar: it is of cellar, so it is dropped."""
    eve.publish("lobby", PUSH_PREFIX + eve.batch("elsewhere", "cellar").raw)
    eve.push(eve.batch("honest"))
    await texts_arrive(besieged.lobby, "honest")
    assert "elsewhere" not in await history_texts(besieged.lobby)


async def test_a_fork_is_kept_on_both_sides_and_told(besieged: Siege, eve: HostilePeer) -> None:
    """Two first batches, one a way: both nodes end with both, and say that this identity has two histories."""
    left, right = eve.batch("left"), eve.batch("right")
    eve.push(left)
    eve.push(right)
    for room in (besieged.lobby, besieged.writing):
        await texts_arrive(room, "left", "right")
    await eventually(lambda: all("two histories" in " ".join(node.notices) for node in (besieged.ann, besieged.bob)))
    assert not eve.is_cut


async def test_clocks_of_others_do_not_move_ours(besieged: Siege, eve: HostilePeer) -> None:
    """A batch of 1970 and one of the next century are stored, at the same place on both; ann's time goes on."""
    old = eve.author.batch(("old",), room=room_of("lobby"), sealed_at=hlc_of(1))
    century = hlc_of(int(time.time() * 1000) + CENTURY_MS)
    eve.push(old, eve.author.batch(("far",), room=room_of("lobby"), after=old, sealed_at=century))
    for room in (besieged.lobby, besieged.writing):
        await texts_arrive(room, "old", "far")
        texts = await history_texts(room)
        assert (texts[0], texts[-1]) == ("old", "far")
    sent = await besieged.lobby.send("later")
    message = next(m for m in await besieged.lobby.history(100_000) if m.id == sent.id)
    assert abs(message.sent_at.timestamp() - time.time()) < 60


async def test_logs_without_end_stop_at_the_quota(besieged: Siege, eve: HostilePeer) -> None:
    """Of 400 logs of one author 256 are kept; the rest is refused, and nobody else's log is touched."""
    author = Author(crypto=IdentityCrypto(create_identity()))
    author.ticks = eve.author.ticks
    event = encode_event(bytes(16), author.ticks, Kind.PROFILE, ["x"])
    for number in range(400):
        eve.push(author.batch(events=[event], room=room_of("lobby"), log=number + 1))
    ledger = besieged.ann._core().core.data.ledger
    frontier = ledger.rooms[room_of("lobby")].frontier
    await eventually(lambda: len(list(frontier.of_author(author.peer))) == 256)
    eve.say(Inquire(token=1))
    await eventually(lambda: eve.got(Report))
    assert len(list(frontier.of_author(author.peer))) == 256


async def test_batches_far_beyond_fill_a_small_buffer_only(besieged: Siege, eve: HostilePeer) -> None:
    """A thousand batches with a hole before each: eight ranges, a buffer of 64, and a link that stays."""
    await eve.flood(
        PUSH_PREFIX + eve.author.batch(("far",), room=room_of("lobby"), first=10 * number).raw
        for number in range(1, 1_000)
    )
    eve.say(Inquire(token=1))
    await eventually(lambda: eve.got(Report))
    intake = besieged.ann._core().core.data.intake
    assert intake.far_batches(eve.peer) <= 64


async def texts_arrive(room: Room, *texts: str) -> None:
    """Wait until the room's history has these texts."""
    deadline_s = time.monotonic() + WAIT_S
    while missing := set(texts) - set(await history_texts(room)):
        assert time.monotonic() < deadline_s, f"still missing: {missing}"
        await asyncio.sleep(0.02)
