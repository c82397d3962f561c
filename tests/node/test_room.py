"""Rooms: sending as far as wanted, waiting, sizes, history."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.support.nodes import eventually, has_texts, history_texts, running, share_room, take
from zmqchat import (
    BadCursor,
    BadRoomName,
    BadText,
    DeliveryTimeout,
    Message,
    MessageId,
    MessageTooLarge,
    NotStored,
    Room,
    UsageError,
)
from zmqchat.model.limits import TEXT_BYTES_MAX


async def test_stored_needs_nobody_else(home: Path) -> None:
    """`send` returns when the text is durable here, with its id."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        sent = await lobby.send("Hello, World!")
        message = (await lobby.history())[-1]
        assert (message.id, message.text, message.author.name) == (sent.id, "Hello, World!", "ann")
        assert sent.delivered == sent.pending == sent.held == sent.read == ()


async def test_a_room_that_was_left_takes_nothing_until_it_is_joined_again(home: Path) -> None:
    """From `leave` on each way to send says what to do, at once; the room can be read, and joined again."""
    async with running(home) as ann:
        deck = await ann.join("deck")
        await deck.send("before")
        await ann.leave("deck")
        assert [room.name for room in ann.rooms] == ["lobby"]
        for _ in range(2):  # before and after the leave is stored
            with pytest.raises(NotStored, match="is not in the room 'deck': join it again"):
                deck.post("lost")
            with pytest.raises(NotStored, match="join it again"):
                await deck.send("lost")
            with pytest.raises(NotStored, match="join it again"):
                await deck.send_app("x", 1)
            with pytest.raises(NotStored, match="join it again"):
                await anext(deck.send_all(["lost"]))
            await eventually(lambda: deck.members == [])
        assert await history_texts(deck) == ["before"]
        await ann.join("deck")
        await deck.send("after")
        assert await history_texts(deck) == ["before", "after"]


async def test_wrong_arguments_are_refused_before_anything_is_stored(home: Path) -> None:
    """Each is one clear error of our tree, whatever the message is to wait for."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        wrong: Any
        for wrong in ("x", float("nan"), -1, True):
            for until in ("stored", "held"):
                with pytest.raises(UsageError, match="timeout must be seconds"):
                    await lobby.send("lost", until, timeout=wrong)
            with pytest.raises(UsageError, match="timeout must be seconds"):
                lobby.send_all(["lost"], timeout=wrong)
            with pytest.raises(UsageError, match="timeout must be seconds"):
                await lobby.send_app("x", 1, timeout=wrong)
        for wrong in ("lost", 5):
            with pytest.raises(UsageError, match="texts one by one"):
                lobby.send_all(wrong)
            with pytest.raises(UsageError, match="texts one by one"):
                lobby.post_many(wrong)
            with pytest.raises(UsageError, match="message must be a message's id"):
                await lobby.wait(wrong)
            with pytest.raises(UsageError, match="before must be a message"):
                await lobby.history(before=wrong)
        wrong = 5
        with pytest.raises(BadCursor, match="'5' is no cursor"):
            lobby.messages(after=wrong)
        with pytest.raises(UsageError, match="last must be a whole number"):
            await lobby.history("5")  # type: ignore[arg-type]  # what a program without types passes
        with pytest.raises(UsageError, match="copies must be a whole number"):
            await lobby.send("lost", copies="2")  # type: ignore[arg-type]  # see above
        assert await lobby.history() == []


async def test_held_delivered_and_read_with_two_nodes(home: Path) -> None:
    """Each condition is met in its turn, and `Sent` names the people."""
    async with running(home) as ann, running(home, "bob", ann) as bob:
        here, there = await share_room("lobby", ann, bob)
        sent = await here.send("one", until="held", timeout=10)
        assert [peer.name for peer in sent.held] == ["bob"]
        sent = await here.send("two", until="delivered", timeout=10)
        assert [peer.name for peer in sent.delivered] == ["bob"]
        assert sent.pending == ()
        waiting = asyncio.create_task(here.send("three", until="read", timeout=10))
        cursor = there.messages(after="read")
        assert [item.text for item in await take(cursor, 3)] == ["one", "two", "three"]
        assert not waiting.done()
        asking = asyncio.ensure_future(anext(cursor))
        assert [peer.id for peer in (await waiting).read] == [bob.id]
        asking.cancel()


async def test_mark_read_tells_the_author(home: Path) -> None:
    """Without a cursor that moves it, `mark_read` moves the read position."""
    async with running(home) as ann, running(home, "bob", ann) as bob:
        here, there = await share_room("lobby", ann, bob)
        sent = await here.send("one", until="delivered", timeout=10)
        message = (await there.history())[-1]
        message.mark_read()
        assert [peer.id for peer in (await here.wait(sent.id, "read", 10)).read] == [bob.id]


async def test_a_timeout_carries_who_has_it_and_it_stays_sent(home: Path) -> None:
    """With nobody there `held` times out; the message reaches who comes later."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        with pytest.raises(DeliveryTimeout) as caught:
            await lobby.send("anybody?", until="held", timeout=0.05)
        assert (caught.value.delivered, caught.value.pending) == ((), ())
        async with running(home, "bob", ann) as bob:
            sent = await lobby.wait(caught.value.message, "held", 10)
            assert [peer.id for peer in sent.held] == [bob.id]
            await has_texts(await bob.join("lobby"), ["anybody?"])


async def test_waiting_takes_what_post_and_send_gave(home: Path) -> None:
    """An id, a posting and a sent message name the same message."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        posting = lobby.post("one")
        sent = await lobby.wait(posting, "stored")
        for what in (posting.id, sent):
            assert (await lobby.wait(what, "stored")).id == posting.id


async def test_a_timeout_names_the_readers_that_are_missing(home: Path) -> None:
    """Who holds it but has not read it is pending for `read`."""
    async with running(home) as ann, running(home, "bob", ann) as bob:
        here, _there = await share_room("lobby", ann, bob)
        with pytest.raises(DeliveryTimeout) as caught:
            await here.send("unread", until="read", timeout=0.5)
        assert (list(caught.value.delivered), [peer.name for peer in caught.value.pending]) == ([], ["bob"])


async def test_copies_count_distinct_nodes(home: Path) -> None:
    """`held` with two copies needs two other nodes."""
    async with running(home) as ann, running(home, "bob", ann) as bob:
        here, _there = await share_room("lobby", ann, bob)
        with pytest.raises(DeliveryTimeout):
            await here.send("one", until="held", timeout=0.3, copies=2)
        async with running(home, "cid", ann):
            sent = await here.send("two", until="held", timeout=10, copies=2)
            assert len(sent.held) == 2


async def test_without_another_member_delivered_waits_for_one(home: Path) -> None:
    """A program that has just started waits for its peer rather than claim success."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        waiting = asyncio.create_task(lobby.send("early", until="delivered"))
        await eventually(lambda: lobby.tail.next_number > 1)
        assert not waiting.done()
        async with running(home, "bob", ann) as bob:
            assert [peer.id for peer in (await asyncio.wait_for(waiting, 10)).delivered] == [bob.id]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", BadText),
        ("a \ud800 b", BadText),
        ("x" * (TEXT_BYTES_MAX + 1), MessageTooLarge),
        ("é" * (TEXT_BYTES_MAX // 2) + "x", MessageTooLarge),
    ],
)
async def test_texts_that_cannot_be_sent(home: Path, text: str, error: type[Exception]) -> None:
    """Empty, too large or no UTF-8: refused before anything is stored, by each way to send."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        with pytest.raises(error):
            await lobby.send(text)
        with pytest.raises(error):
            lobby.post(text)
        with pytest.raises(error):
            await anext(lobby.send_all([text]))
        await lobby.send("fine")
        assert await history_texts(lobby) == ["fine"]


async def test_the_largest_text_gets_everywhere(home: Path) -> None:
    """64 KiB of UTF-8, in one and in four bytes a character."""
    texts = ["x" * TEXT_BYTES_MAX, "😀" * (TEXT_BYTES_MAX // 4)]
    async with running(home) as ann, running(home, "bob", ann) as bob:
        here, there = await share_room("lobby", ann, bob)
        for text in texts:
            await here.send(text, until="delivered", timeout=10)
        await has_texts(there, texts)


async def test_a_post_has_its_id_at_once_and_a_retry_is_the_same_message(home: Path) -> None:
    """Awaiting a posting may be cancelled and repeated."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        posting = lobby.post("once")
        waiting = asyncio.ensure_future(posting)
        await asyncio.sleep(0)
        waiting.cancel()
        sent = await posting
        assert (await posting).id == sent.id == posting.id == (await lobby.wait(posting.id, "stored")).id
        assert [message.id for message in await lobby.history()] == [posting.id]


async def test_waiting_for_a_message_of_an_earlier_run(home: Path) -> None:
    """An id is good after a restart, for `stored` and for `held`."""
    async with running(home) as ann:
        sent = await (await ann.join("lobby")).send("before")
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        assert (await lobby.wait(sent.id, "stored", 5)).id == sent.id
        async with running(home, "bob", ann) as bob:
            assert [peer.id for peer in (await lobby.wait(sent.id, "held", 10)).held] == [bob.id]


async def test_waiting_for_what_was_never_sent_here(home: Path) -> None:
    """An unknown id raises instead of waiting for ever; another's message can't be waited for."""
    async with running(home) as ann, running(home, "bob", ann) as bob:
        here, there = await share_room("lobby", ann, bob)
        sent = await here.send("one", until="delivered", timeout=10)
        for unknown in (sent.id._replace(number=99), sent.id._replace(log=7), sent.id._replace(digest8=bytes(8))):
            if unknown.digest8 != sent.id.digest8:
                continue  # a number of this run is taken by its word: only `post` gives such ids
            with pytest.raises(NotStored):
                await asyncio.wait_for(here.wait(unknown, "stored"), 5)
        with pytest.raises(UsageError):
            await there.wait(MessageId(*sent.id))


async def test_wrong_arguments(home: Path) -> None:
    """What `until` and `copies` may be is said at once."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        with pytest.raises(UsageError, match="until"):
            await lobby.send("x", until="seen")
        with pytest.raises(UsageError, match="copies"):
            await lobby.send("x", until="held", copies=0)
        with pytest.raises(BadRoomName):
            await ann.join("")
        assert await history_texts(lobby) == []


async def test_sending_to_a_room_that_was_left(home: Path) -> None:
    """A room object outlives the membership; it refuses to send, and serves again after another join."""
    async with running(home) as ann:
        room = await ann.join("engine")
        await room.send("one")
        await ann.leave("engine")
        await eventually(lambda: room.name not in [r.name for r in ann.rooms])
        with pytest.raises(NotStored):
            await room.send("two")
        assert await ann.join("engine") is room
        await room.send("three")
        assert await history_texts(room) == ["one", "three"]


async def test_app_messages(home: Path) -> None:
    """A content type and any value that MessagePack knows; refused where it does not."""
    value = {"t": 21.5, "tags": ["a", None, True], "raw": b"\x00\xff", "n": -(2**40)}
    async with running(home) as ann, running(home, "bob", ann) as bob:
        here, there = await share_room("lobby", ann, bob)
        sent = await here.send_app("sensor/v1", value, until="delivered", timeout=10)
        message = (await there.history())[-1]
        assert (message.id, message.kind, message.content_type) == (sent.id, "app", "sensor/v1")
        assert message.value == value
        assert message.text is None
        for bad in (object(), {1: 2}, 2**70):
            with pytest.raises(UsageError):
                await here.send_app("sensor/v1", bad)
        with pytest.raises(MessageTooLarge):
            await here.send_app("sensor/v1", b"x" * 70_000)
        for content_type in ("", "x" * 300):
            with pytest.raises(UsageError):
                await here.send_app(content_type, 1)


async def test_names_go_with_the_texts(home: Path) -> None:
    """A reader sees each text under its author's name of that time, the newcomer too."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        await lobby.send("as ann")
        await ann.rename("anna")
        await lobby.send("as anna")
        async with running(home, "bob", ann) as bob:
            there = await bob.join("lobby")
            await has_texts(there, ["as ann", "as anna"])
            assert [message.author.name for message in await there.history()] == ["ann", "anna"]
        assert [message.author.name for message in await lobby.history()] == ["ann", "anna"]


async def test_members_come_and_go(home: Path) -> None:
    """Joining and leaving is seen by the others; a restart is no leaving."""
    async with running(home) as ann:
        deck = await ann.join("deck")
        async with running(home, "bob", ann) as bob:
            await bob.join("deck")
            await eventually(lambda: {(m.name, m.online) for m in deck.members} == {("ann", True), ("bob", True)})
        await eventually(lambda: {(m.name, m.online) for m in deck.members} == {("ann", True), ("bob", False)})
        async with running(home, "bob", ann) as bob:
            await eventually(lambda: {(m.name, m.online) for m in deck.members} == {("ann", True), ("bob", True)})
            await bob.leave("deck")
            await eventually(lambda: [m.name for m in deck.members] == ["ann"])


async def test_history_pages_backwards_without_a_seam(home: Path) -> None:
    """Pages joined end to end are the whole, oldest first in each."""
    texts = [f"text {number}" for number in range(2_500)]
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        async for _sent in lobby.send_all(texts):
            pass
        pages: list[Message] = []
        page = await lobby.history(333)
        while page:
            pages[:0] = page
            page = await lobby.history(333, before=page[0])
        assert [message.text for message in pages] == texts
        assert await lobby.history(0) == []
        before_live = await take(lobby.messages(after="start"), 5)
        assert isinstance(before_live[4], Message)
        assert [m.text for m in await lobby.history(3, before=before_live[4])] == ["text 1", "text 2", "text 3"]


async def test_history_interleaves_authors_in_one_order_everywhere(home: Path) -> None:
    """Both nodes show the same timeline, which keeps each author's order."""
    async with running(home) as ann, running(home, "bob", ann) as bob:
        here, there = await share_room("lobby", ann, bob)

        async def talk(room: Room, name: str) -> None:
            for number in range(50):
                await room.send(f"{name} {number}")

        await asyncio.gather(talk(here, "ann"), talk(there, "bob"))
        await eventually(lambda: here.tail.next_number == there.tail.next_number >= 101)
        ours = await history_texts(here)
        await has_texts(there, [str(text) for text in ours])
        for name in ("ann", "bob"):
            assert [text for text in ours if str(text).startswith(name)] == [f"{name} {n}" for n in range(50)]


async def test_sent_at_is_the_time_of_the_call(home: Path) -> None:
    """In UTC, by the author's clock."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        await lobby.send("now")
        sent_at = (await lobby.history())[0].sent_at
        assert sent_at.tzinfo is timezone.utc
        assert abs((datetime.now(timezone.utc) - sent_at).total_seconds()) < 5


async def test_late_messages_that_were_read_are_not_unread(home: Path) -> None:
    """What fills an old gap stands below the end of its log: it is unread until it, and no other, is marked."""
    async with running(home) as ann, running(home, "bob", ann) as bob:
        here, there = await share_room("lobby", ann, bob)
        for text in ("one", "two"):
            await there.send(text, until="delivered", timeout=10)
        for message in await here.history():
            message.mark_read()
        assert await here.count_unread() == 0
        rows = here.tail.rows_from(1, 100)
        assert rows
        said = [row for row in rows if row.arrival.key.author == bob.id][-1]
        cursor = here.messages(after=None)
        for _ in range(2):  # it comes again, as what fills a gap does
            late = dataclasses.replace(said.arrival, number=here.tail.next_number, backfill=True)
            here.tail.append(said._replace(arrival=late))
        assert await here.count_unread() == 2
        (again,) = await take(cursor, 1)
        assert isinstance(again, Message)
        again.mark_read()
        assert await here.count_unread() == 1
