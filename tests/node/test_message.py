"""Messages, gaps and blocks as programs see them."""

from __future__ import annotations

from pathlib import Path

from tests.support.nodes import eventually, running, take
from zmqchat import Block, Gap, Message
from zmqchat.model.events import Kind
from zmqchat.model.ids import LogKey, PeerId
from zmqchat.node.message import event_at
from zmqchat.protocol.effects import Deliver, PutArrival


async def test_a_message_is_the_same_by_every_way(home: Path) -> None:
    """From a cursor, from history, and by its id in text form."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        sent = await lobby.send("once")
        (from_cursor,) = await take(lobby.messages(after="start"), 1)
        (from_history,) = await lobby.history()
        assert isinstance(from_cursor, Message)
        assert from_cursor.id == from_history.id == sent.id
        assert str(from_cursor.id) == str(sent.id)
        assert from_cursor.author.id == ann.id
        assert from_cursor.kind == "text"
        assert (from_cursor.content_type, from_cursor.value) == (None, None)
        assert from_cursor.cursor is not None
        assert from_history.cursor is None
        assert "once" in repr(from_cursor)


async def test_kinds(home: Path) -> None:
    """A reply reads as a text; what this version does not know is "newer" and has no text."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        sent = await lobby.send("question")
        core = ann._core().core
        core.post(lobby.id, Kind.REPLY, [[list(sent.id), "answer"]])
        core.post(lobby.id, 200, [["?"]])
        await lobby.send("end")
        shown = [(message.kind, message.text) for message in await lobby.history()]
        assert shown == [("text", "question"), ("reply", "answer"), ("newer", None), ("text", "end")]


async def test_a_gap_stands_at_its_place(home: Path) -> None:
    """It tells whose, from where to where and who may have it, and a cursor goes on behind it."""
    async with running(home) as ann, running(home, "bob", ann) as bob:
        lobby = await ann.join("lobby")
        await eventually(lambda: lobby.peers() and len(lobby.members) == 2)
        # Both have said that they came and who they are: no number is drawn any more but the gap's.
        await eventually(lambda: lobby.tail.next_number == 5)
        start = lobby.tail.next_number
        cursor = lobby.messages(after=None)
        key = LogKey(bob.id, 5)
        ann._core().core.deliver(Deliver(arrival=PutArrival(lobby.id, start, key, 3, 9, 0, False, False), raw=None))
        (gap,) = await take(cursor, 1)
        assert isinstance(gap, Gap)
        assert (gap.author.id, gap.first, gap.end, gap.text, gap.kind) == (bob.id, 3, 9, None, "gap")
        assert [peer.id for peer in gap.holders] == [bob.id]
        assert gap.cursor.endswith(f"-{start + 1}")
        assert "6 of" in repr(gap)


async def test_a_block_is_a_sequence(home: Path) -> None:
    """Its messages are made when looked at."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        for number in range(5):
            lobby.post(str(number))
        block = await anext(lobby.messages(after="start").blocks())
        assert isinstance(block, Block)
        assert len(block) == 5
        assert [message.text for message in block] == ["0", "1", "2", "3", "4"]
        assert block[-1].text == "4"
        assert [message.text for message in block[1:3]] == ["1", "2"]
        assert next(iter(reversed(block))).text == "4"


def test_an_event_of_a_batch_that_is_damaged() -> None:
    """Nothing is found in it, and nothing raised."""
    assert event_at(b"no batch", 3) is None


async def test_an_undecodable_event_has_neither_kind_nor_text(home: Path) -> None:
    """A damaged row is shown as something newer, at the beginning of time."""
    async with running(home) as ann:
        lobby = await ann.join("lobby")
        message = Message(lobby, LogKey(PeerId(ann.id), 1), 0, b"\xc1", None, live=False, backfill=False)
        assert (message.kind, message.text, message.sent_at.year) == ("newer", None, 1970)
