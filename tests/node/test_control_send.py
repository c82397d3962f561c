"""Sending through the control socket: a window, a key a line, an answer a line."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.control_clients import Client, Fields, connect, serving
from tests.support.fakenode import peer_id
from zmqchat.model.errors import StoreFull
from zmqchat.model.limits import CONTROL_SEND_WINDOW_BYTES
from zmqchat.node.values import Peer

BOB = Peer(peer_id("b"), "bob", True)


def line(number: int, text: str, key: str | None = None) -> Fields:
    """One text of a send request."""
    return {"id": "s", "op": "line", "n": number, "key": key or f"key-{number:06}", "text": text}


async def begin(client: Client, until: str = "stored", timeout: float | None = None) -> None:
    """Begin a send request."""
    await client.say({"id": "s", "op": "send", "room": "lobby", "until": until, "timeout": timeout})
    assert (await client.hear())["item"] == {"ready": True}


async def test_each_line_is_answered_with_its_record(tmp_path: Path) -> None:
    """Lines come back in order when they are durable, and the request is done after the last."""
    async with serving(tmp_path) as (node, client):
        await begin(client)
        await client.say(line(1, "one"), line(2, "two"), {"id": "s", "op": "end"})
        items = [(await client.hear())["item"] for _ in range(2)]
        assert [(item["n"], item["record"]["text"]) for item in items] == [(1, "one"), (2, "two")]
        assert items[0]["record"]["name"] == "ann"
        assert (await client.hear())["done"] == {}
        lobby = await node.join("lobby")
        assert [str(message.id) for message in lobby.stored] == [item["record"]["id"] for item in items]


async def test_the_same_key_again_is_the_same_message(tmp_path: Path) -> None:
    """A line repeated on this connection or another one is posted once and answered each time."""
    async with serving(tmp_path) as (node, client):
        await begin(client)
        await client.say(line(1, "once", "the-key-of-it"), line(2, "once", "the-key-of-it"))
        first, second = [(await client.hear())["item"] for _ in range(2)]
        other = await connect(tmp_path)
        await begin(other)
        await other.say(line(1, "once", "the-key-of-it"))
        third = (await other.hear())["item"]
        await other.close()
        assert first["record"] == second["record"] == third["record"]
        assert len((await node.join("lobby")).stored) == 1


async def test_what_was_accepted_is_sent_though_its_client_is_gone(tmp_path: Path) -> None:
    """A client that leaves before the disk answers loses the answer, not the message."""
    async with serving(tmp_path) as (node, client):
        lobby = await node.join("lobby")
        node.disk.clear()
        gone = await connect(tmp_path)
        await begin(gone)
        await gone.say(line(1, "orphan", "orphans-key"))
        await lobby.has_posted(1)
        await gone.close()
        node.disk.set()
        await begin(client)
        await client.say(line(1, "orphan", "orphans-key"))
        assert (await client.hear())["item"]["record"]["text"] == "orphan"
        assert len(lobby.stored) == 1


async def test_a_line_that_fails_does_not_stop_the_rest(tmp_path: Path) -> None:
    """An empty text is answered with its error, and the next one is sent."""
    async with serving(tmp_path) as (_node, client):
        await begin(client)
        await client.say(
            line(1, ""), line(2, "fine"), {"id": "s", "op": "line", "n": 3, "key": "x", "text": "short key"}
        )
        answers = {item["n"]: item for item in [(await client.hear())["item"] for _ in range(3)]}
        assert answers[1]["error"]["kind"] == "BadText"
        assert answers[2]["record"]["text"] == "fine"
        assert answers[3]["error"]["kind"] == "UsageError"


async def test_what_was_not_stored_may_be_sent_again_under_its_key(tmp_path: Path) -> None:
    """A full disk fails the line; once there is room, the same key sends it."""
    async with serving(tmp_path) as (node, client):
        node.store_error = StoreFull("here")
        await begin(client)
        await client.say(line(1, "again", "the-key-of-it"))
        assert (await client.hear())["item"]["error"]["kind"] == "StoreFull"
        node.store_error = None
        await client.say(line(2, "again", "the-key-of-it"))
        assert (await client.hear())["item"]["record"]["text"] == "again"


async def test_a_line_waits_for_until_and_times_out_alone(tmp_path: Path) -> None:
    """With nobody there a message is told as late after its time-out; with somebody it is there at once."""
    async with serving(tmp_path) as (node, client):
        await begin(client, "held", 0.01)
        await client.say(line(1, "lonely"))
        assert (await client.hear())["item"]["error"]["kind"] == "DeliveryTimeout"
        node.peers.append(BOB)
        await client.say(line(2, "seen"), {"id": "s", "op": "end"})
        assert (await client.hear())["item"]["record"]["text"] == "seen"
        assert (await client.hear())["done"] == {}


async def test_bytes_that_are_not_durable_are_bounded(tmp_path: Path) -> None:
    """While the disk hangs, a stream posts 256 KiB and keeps its client waiting with the rest."""
    async with serving(tmp_path) as (node, client):
        lobby = await node.join("lobby")
        node.disk.clear()
        await begin(client)
        text = "x" * 32_768
        feeding = asyncio.ensure_future(client.say(*(line(number, text) for number in range(64))))
        await lobby.has_posted(CONTROL_SEND_WINDOW_BYTES // len(text))
        for _ in range(1000):
            await asyncio.sleep(0)
        assert len(lobby.posted) == CONTROL_SEND_WINDOW_BYTES // len(text)
        node.disk.set()
        for number in range(64):
            assert (await client.hear())["item"]["n"] == number
        await feeding


async def test_lines_of_a_failed_request_hold_nothing_up(tmp_path: Path) -> None:
    """A send to a room that can't be is refused, its lines are dropped, and the connection goes on."""
    async with serving(tmp_path) as (_node, client):
        await client.say({"id": "s", "op": "send", "room": "\n", "until": "stored"}, line(1, "lost"), line(2, "lost"))
        assert (await client.hear())["error"]["kind"] == "BadRoomName"
        assert "done" in await client.ask("status")


async def test_what_is_remembered_is_bounded_by_its_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long texts push out the oldest: its key again is another message then, the newest's is not."""
    monkeypatch.setattr("zmqchat.node.control_send.CONTROL_REMEMBERED_CHARACTERS_MAX", 100)
    async with serving(tmp_path) as (node, client):
        await begin(client)
        for number, key in enumerate(
            ("the-old-key-of-it", "the-new-key-of-it", "the-old-key-of-it", "the-old-key-of-it"), start=1
        ):
            await client.say(line(number, "x" * 60, key))
            await client.hear()
        assert len((await node.join("lobby")).stored) == 3
