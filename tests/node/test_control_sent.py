"""What commands have sent lately: a key a line, and each text once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.control_clients import begin_send, connect, line, serving
from zmqchat.model.errors import StoreFull


async def test_the_same_key_again_is_the_same_message(tmp_path: Path) -> None:
    """A line repeated on this connection or another one is posted once and answered each time."""
    async with serving(tmp_path) as (node, client):
        await begin_send(client)
        await client.say(line(1, "once", "the-key-of-it"), line(2, "once", "the-key-of-it"))
        first, second = [(await client.hear())["item"] for _ in range(2)]
        other = await connect(tmp_path)
        await begin_send(other)
        await other.say(line(1, "once", "the-key-of-it"))
        third = (await other.hear())["item"]
        await other.close()
        assert first["record"] == second["record"] == third["record"]
        assert len((await node.join("lobby")).on_disk) == 1


async def test_what_was_accepted_is_sent_though_its_client_is_gone(tmp_path: Path) -> None:
    """A client that leaves before the disk answers loses the answer, not the message."""
    async with serving(tmp_path) as (node, client):
        lobby = await node.join("lobby")
        node.disk.clear()
        gone = await connect(tmp_path)
        await begin_send(gone)
        await gone.say(line(1, "orphan", "orphans-key"))
        await lobby.has_posted(1)
        await gone.close()
        node.disk.set()
        await begin_send(client)
        await client.say(line(1, "orphan", "orphans-key"))
        assert (await client.hear())["item"]["record"]["text"] == "orphan"
        assert len(lobby.on_disk) == 1


async def test_what_was_not_stored_may_be_sent_again_under_its_key(tmp_path: Path) -> None:
    """A full disk fails the line; once there is room, the same key sends it."""
    async with serving(tmp_path) as (node, client):
        node.store_error = StoreFull("here")
        await begin_send(client)
        await client.say(line(1, "again", "the-key-of-it"))
        assert (await client.hear())["item"]["error"]["kind"] == "StoreFull"
        node.store_error = None
        await client.say(line(2, "again", "the-key-of-it"))
        assert (await client.hear())["item"]["record"]["text"] == "again"


async def test_what_is_remembered_is_bounded_by_its_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long texts push out the oldest: its key again is another message then, the newest's is not."""
    monkeypatch.setattr("zmqchat.node.control_sent.CONTROL_REMEMBERED_CHARACTERS_MAX", 100)
    async with serving(tmp_path) as (node, client):
        await begin_send(client)
        for number, key in enumerate(
            ("the-old-key-of-it", "the-new-key-of-it", "the-old-key-of-it", "the-old-key-of-it"), start=1
        ):
            await client.say(line(number, "x" * 60, key))
            await client.hear()
        assert len((await node.join("lobby")).on_disk) == 3


async def test_a_bad_text_leaves_its_key_free(tmp_path: Path) -> None:
    """What can't be sent is told, and the same key may carry a better text in the same breath."""
    async with serving(tmp_path) as (node, client):
        await begin_send(client)
        await client.say(line(1, "", "the-key-of-it"), line(2, "better", "the-key-of-it"))
        first, second = [(await client.hear())["item"] for _ in range(2)]
        assert (first["n"], first["error"]["kind"]) == (1, "BadText")
        assert (second["n"], second["record"]["text"]) == (2, "better")
        assert len((await node.join("lobby")).on_disk) == 1
