"""Cancelling at random points: whatever is cancelled, nothing is lost and nothing is there twice."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.nodes import FAST, MESH, running
from zmqchat import Message, Node, NodeClosed, Room
from zmqchat.node.cursor import Blocks

STEPS = st.integers(0, 40)
"""After so many turns of the loop something is cancelled: a commit takes a few."""


async def cancelled_after(work: asyncio.Task[object], turns: int) -> object:
    """Let it run for so many turns, cancel it, and give its result; None where it was cancelled."""
    for _ in range(turns):
        if work.done():
            break
        await asyncio.sleep(0.0002)  # the random moment is what is tested
    work.cancel()
    await asyncio.wait({work})
    return None if work.cancelled() else work.result()


async def texts_after_restart(folder: Path) -> list[str]:
    """What is durable."""
    async with running(folder) as ann:
        return [str(message.text) for message in await (await ann.join("lobby")).history(100_000)]


async def play(folder: Path, moves: list[tuple[str, int]]) -> None:
    """Send, stream and read with cancellations, then compare with a naive record."""
    sent_for_sure: list[str] = []
    sent_maybe: set[str] = set()
    read: list[str] = []
    source = (f"stream {number}" for number in range(10**9))
    taken: list[str] = []

    def counted() -> Iterator[str]:
        for text in source:
            taken.append(text)
            yield text

    stream = counted()
    async with running(folder) as ann:
        lobby = await ann.join("lobby")
        cursor = lobby.messages(after="start")
        blocks = lobby.messages(after="start").blocks()
        blocks_read: list[str] = []
        for number, (move, turns) in enumerate(moves):
            if move == "send":
                await _send(lobby, f"send {number}", turns, sent_for_sure, sent_maybe)
            elif move == "post":
                await _post(lobby, f"post {number}", turns, sent_for_sure)
            elif move == "send_all":
                await _stream(lobby, stream, turns)
            elif move == "read":
                await _read(cursor, turns, read)
            elif move == "blocks":
                blocks_read += await _read_block(blocks, turns)
            else:
                await cancelled_after(asyncio.ensure_future(ann.join(f"room {number % 3}")), turns)
        await ann.stop()
    everything = await texts_after_restart(folder)
    assert len(everything) == len(set(everything)), "a text is there twice"
    assert set(sent_for_sure) <= set(everything), "what was reported as sent is lost"
    assert [text for text in everything if text.startswith("stream")] == taken, "a text of the source is lost"
    assert set(everything) <= set(sent_for_sure) | sent_maybe | set(taken)
    assert read == everything[: len(read)], "the cursor skipped or repeated"
    assert blocks_read == everything[: len(blocks_read)], "the blocks skipped or repeated"


async def _read_block(blocks: Blocks, turns: int) -> list[str]:
    block = await cancelled_after(asyncio.ensure_future(anext(blocks)), turns)
    return [str(message.text) for message in cast("Sequence[Message]", block or ())]


async def _send(lobby: Room, text: str, turns: int, sure: list[str], maybe: set[str]) -> None:
    maybe.add(text)
    if await cancelled_after(asyncio.ensure_future(lobby.send(text)), turns) is not None:
        sure.append(text)


async def _post(lobby: Room, text: str, turns: int, sure: list[str]) -> None:
    """A cancelled wait, and the same posting awaited again: one message."""
    posting = lobby.post(text)
    await cancelled_after(asyncio.ensure_future(posting), turns)
    assert (await posting).id == posting.id
    sure.append(text)


async def _stream(lobby: Room, stream: Iterator[str], turns: int) -> None:
    """Take from a source that goes on with the next one where this one was cancelled."""

    async def run() -> None:
        async for _sent in lobby.send_all(stream):
            await asyncio.sleep(0)

    sends = asyncio.ensure_future(run())
    await cancelled_after(sends, turns)


async def _read(cursor: object, turns: int, read: list[str]) -> None:
    for _ in range(5):
        item = await cancelled_after(asyncio.ensure_future(anext(cursor)), turns)  # type: ignore[call-overload]  # Messages
        if isinstance(item, Message):
            read.append(str(item.text))


MOVES = st.lists(
    st.tuples(st.sampled_from(["send", "post", "send_all", "read", "blocks", "join"]), STEPS), min_size=3, max_size=25
)


@settings(max_examples=25)
@given(MOVES)
def test_cancelling_calls_loses_and_doubles_nothing(moves: list[tuple[str, int]]) -> None:
    """A naive record of what was reported is compared with the store after a restart."""
    with tempfile.TemporaryDirectory(prefix="zmqc-") as folder:
        asyncio.run(play(Path(folder), moves))


@settings(max_examples=15)
@given(st.lists(st.tuples(STEPS, STEPS), min_size=1, max_size=4))
def test_cancelling_starts_and_stops_loses_nothing(lives: list[tuple[int, int]]) -> None:
    """Whatever is cancelled, the home is free for the next life, and what was sent in each is there."""

    async def live(folder: Path) -> None:
        sent: list[str] = []
        for number, (start_turns, stop_turns) in enumerate(lives):
            node = Node("ann", home=folder / "ann", mesh=MESH, listen="127.0.0.1", discovery=False, config=FAST)
            await cancelled_after(asyncio.ensure_future(node.start()), start_turns * 20)
            with contextlib.suppress(NodeClosed):
                await (await node.join("lobby")).send(str(number))
                sent.append(str(number))
            await cancelled_after(asyncio.ensure_future(node.stop()), stop_turns)
            await node.stop()
        assert await texts_after_restart(folder) == sent

    with tempfile.TemporaryDirectory(prefix="zmqc-") as folder:
        asyncio.run(live(Path(folder)))
