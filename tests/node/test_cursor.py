"""Cursors: from where they start, that they miss nothing, and how they end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.nodes import eventually, has_texts, is_silent, running, share_room, take, take_texts
from zmqchat import BadCursor, CursorLost, Message, NodeClosed


async def test_live_only(home: Path) -> None:
    """`after=None` gives what is said after the call, nothing from before."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        await lobby.send("before")
        cursor = lobby.messages(after=None)
        await lobby.send("after")
        assert await take_texts(cursor, 1) == ["after"]
        assert await is_silent(cursor)


async def test_from_the_start_into_live_without_a_seam(home: Path) -> None:
    """Everything once, in order, whether it came before the call or during it."""
    texts = [f"text {number}" for number in range(2_000)]
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        for text in texts[:700]:
            lobby.post(text)
        cursor = lobby.messages(after="start")
        reading = asyncio.create_task(take_texts(cursor, 2_000))
        async for _sent in lobby.send_all(texts[700:]):
            pass
        assert await reading == texts


async def test_resuming_at_a_cursor(home: Path) -> None:
    """A program that keeps `message.cursor` goes on behind it, after a restart too, also in mid-batch."""
    texts = [f"text {number}" for number in range(300)]
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        for text in texts:
            lobby.post(text)
        items = await take(lobby.messages(after="start"), 150)
        place = items[-1].cursor
        assert place is not None
        assert await take_texts(lobby.messages(after=place), 150) == texts[150:]
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        assert await take_texts(lobby.messages(after=place), 150) == texts[150:]


async def test_cursors_of_another_store_are_lost(home: Path) -> None:
    """A cursor names its store: another one refuses it, and nonsense is refused as such."""
    async with running(home) as ann, running(home, "bob") as bob:
        here, there = await ann.join("lobby"), await bob.join("lobby")
        await here.send("one")
        place = (await take(here.messages(after="start"), 1))[0].cursor
        with pytest.raises(CursorLost):
            there.messages(after=place)
        assert place is not None
        with pytest.raises(CursorLost):
            here.messages(after=place.split("-")[0] + "-99999")
        for nonsense in ("", "7", "x-1", place + "x", place.split("-")[0] + "-²"):
            with pytest.raises((BadCursor, CursorLost)):
                here.messages(after=nonsense)


async def test_the_read_position_moves_when_more_is_asked_for(home: Path) -> None:
    """What was handed out last counts as unread until the application asks for the next one."""
    texts = [f"text {number}" for number in range(10)]
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        for text in texts:
            await lobby.send(text)
        assert await take_texts(lobby.messages(after="read"), 4) == texts[:4]
        assert await take_texts(lobby.messages(after="read"), 1) == texts[3:4]
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        cursor = lobby.messages(after="read")
        assert await take_texts(cursor, 7) == texts[3:]
        assert await is_silent(cursor)
    async with running(home) as ann:
        assert await is_silent((await ann.join("lobby")).messages(after="read"))


async def test_other_cursors_leave_the_read_position_alone(home: Path) -> None:
    """Looking from the start reads nothing on behalf of the home."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        await lobby.send("one")
        await lobby.send("two")
        await take_texts(lobby.messages(after="start"), 2)
        assert await take_texts(lobby.messages(after="read"), 2) == ["one", "two"]


async def test_two_cursors_do_not_disturb_each_other(home: Path) -> None:
    """Each has its own place."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        first, second = lobby.messages(after="start"), lobby.messages(after="start")
        for number in range(6):
            await lobby.send(str(number))
        assert await take_texts(first, 4) == ["0", "1", "2", "3"]
        assert await take_texts(second, 6) == ["0", "1", "2", "3", "4", "5"]
        assert await take_texts(first, 2) == ["4", "5"]


async def test_blocks(home: Path) -> None:
    """Non-empty sequences in order; what is no text is in them with text None."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        for number in range(1_500):
            lobby.post(str(number))
        await lobby.send_app("a/b", [1])
        found: list[Message] = []
        blocks = lobby.messages(after="start").blocks()
        while len(found) < 1_501:
            block = await asyncio.wait_for(anext(blocks), 5)
            assert len(block) > 0
            found += block
        assert [message.text for message in found] == [*map(str, range(1_500)), None]
        assert found[-1].value == [1]


async def test_blocks_may_be_cancelled_and_asked_again(home: Path) -> None:
    """A wait that ran out of time loses nothing and does not end the blocks."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        blocks = lobby.messages(after="start").blocks()
        for number in range(3):
            assert await is_silent(blocks, 0.03)
            await lobby.send(str(number))
            assert [message.text for message in await asyncio.wait_for(anext(blocks), 5)] == [str(number)]


async def test_blocks_go_on_in_the_middle_of_a_block(home: Path) -> None:
    """Changing from messages to blocks and back skips nothing."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        for number in range(10):
            lobby.post(str(number))
        cursor = lobby.messages(after="start")
        texts = await take_texts(cursor, 3)
        texts += [message.text for message in await anext(cursor.blocks())]
        lobby.post("10")
        assert texts + await take_texts(cursor, 1) == [str(number) for number in range(11)]


async def test_blocks_move_the_read_position(home: Path) -> None:
    """As messages do: past a block when the next one is asked for."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        for number in range(3):
            await lobby.send(str(number))
        blocks = lobby.messages(after="read").blocks()
        await anext(blocks)
        await anext(blocks)
        assert await take_texts(lobby.messages(after="read"), 2) == ["1", "2"]


async def test_live_and_history(home: Path) -> None:
    """What a newcomer fetches is no news; what is said once it is up to date is."""
    async with running(home) as ann:
        here = await ann.join("lobby")
        await here.send("old")
        async with running(home, "bob", ann) as bob:
            _here, there = await share_room("lobby", ann, bob)
            await has_texts(there, ["old"])
            await here.send("new", until="delivered", timeout=10)
            old, new = await take(there.messages(after="start"), 2)
            assert (old.text, old.live) == ("old", False)
            assert (new.text, new.live) == ("new", True)


async def test_a_slow_cursor_misses_nothing(home: Path) -> None:
    """What fell out of the memory of the live end comes from the store."""
    count = 3_000
    text = "x" * 2_000
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        cursor = lobby.messages(after=None)
        async for _sent in lobby.send_all(f"{number} {text}" for number in range(count)):
            pass
        for number in range(count):
            item = await asyncio.wait_for(anext(cursor), 5)
            assert str(item.text).split(" ")[0] == str(number)


async def test_stopping_ends_a_waiting_cursor(home: Path) -> None:
    """It raises NodeClosed, also for one that has more to read in the store."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        for number in range(5):
            await lobby.send(str(number))
        waiting = asyncio.ensure_future(anext(lobby.messages(after=None)))
        await asyncio.sleep(0)
        old = lobby.messages(after="start")
        assert await take_texts(old, 1) == ["0"]
        await ann.stop()
        with pytest.raises(NodeClosed):
            await waiting
        with pytest.raises(NodeClosed):
            await take(old, 10)


async def test_a_room_that_is_left_stays_readable(home: Path) -> None:
    """What is stored stays, for cursors and history."""
    async with running(home) as ann:
        engine = await ann.join("engine")
        await engine.send("one")
        await ann.leave("engine")
        await eventually(lambda: len(ann.rooms) == 1)
        assert await take_texts(engine.messages(after="start"), 1) == ["one"]
        assert [message.text for message in await engine.history()] == ["one"]


async def test_own_messages_come_too(home: Path) -> None:
    """The cursor gives what everybody says, oneself included, with the author's name."""
    async with running(home) as ann, running(home, "bob", ann) as bob:
        here, there = await share_room("lobby", ann, bob)
        cursor = there.messages(after=None)
        await here.send("from ann", until="delivered", timeout=10)
        await there.send("from bob")
        items = await take(cursor, 2)
        assert [(m.text, m.author.name) for m in items] == [("from ann", "ann"), ("from bob", "bob")]
