"""Reading through the control socket: history, the live tail, events."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.control_clients import serving
from tests.support.fakenode import FakeMessage, FakeRoom, peer_id
from zmqchat.model.ids import peer_text
from zmqchat.node.values import (
    DuplicateIdentity,
    Member,
    MemberJoined,
    NodeEvent,
    NoticeGiven,
    Peer,
    PeerOffline,
    PeerOnline,
)

BOB = Peer(peer_id("b"), "bob", True, "10.0.0.2:42100")


async def test_tail_goes_from_history_into_what_arrives_without_a_seam(tmp_path: Path) -> None:
    """The last messages, a mark, then each new one once, however it fell between the two."""
    async with serving(tmp_path) as (node, client):
        lobby = await node.join("lobby")
        for text in ("one", "two", "three"):
            lobby.said(BOB, text)
        await client.say({"id": "1", "op": "tail", "room": "lobby", "last": 2, "follow": True})
        heard = [(await client.hear())["item"] for _ in range(3)]
        assert [item["record"]["text"] for item in heard[:2]] == ["two", "three"]
        assert heard[2] == {"caught_up": True}
        lobby.said(BOB, "four")
        item = (await client.hear())["item"]
        assert (item["record"]["text"], item["live"], item["backfill"]) == ("four", True, False)


async def test_a_message_that_arrives_while_history_is_read_is_shown_once(tmp_path: Path) -> None:
    """It is in the history and in the live cursor, and the client sees one of them."""
    async with serving(tmp_path) as (node, client):
        lobby = await node.join("lobby")
        await lobby.history(0)
        original = FakeRoom.history

        async def racing(last: int = 50) -> list[FakeMessage]:
            lobby.said(BOB, "racing")
            return await original(lobby, last)

        setattr(lobby, "history", racing)  # noqa: B010  # mypy refuses to assign to a method
        await client.say({"id": "1", "op": "tail", "room": "lobby", "last": 5, "follow": True})
        assert (await client.hear())["item"]["record"]["text"] == "racing"
        assert (await client.hear())["item"] == {"caught_up": True}
        lobby.said(BOB, "next")
        assert (await client.hear())["item"]["record"]["text"] == "next"


async def test_what_was_shown_is_forgotten_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tail that goes on for weeks keeps nothing of its beginning, and then shows whatever arrives."""
    monkeypatch.setattr("zmqchat.node.control_requests.SEEN_S", 0.0)
    async with serving(tmp_path) as (node, client):
        lobby = await node.join("lobby")
        first = lobby.said(BOB, "one")
        await client.say({"id": "1", "op": "tail", "room": "lobby", "last": 5, "follow": True})
        assert [(await client.hear())["item"].get("caught_up", False) for _ in range(2)] == [False, True]
        await asyncio.sleep(0)
        lobby.arrive(first)
        assert (await client.hear())["item"]["record"]["text"] == "one"


async def test_a_chat_that_shows_messages_has_read_them(tmp_path: Path) -> None:
    """With `read` the read position moves to the end of what was shown, and with each new message."""
    async with serving(tmp_path) as (node, client):
        lobby = await node.join("lobby")
        lobby.said(BOB, "one")
        last = lobby.said(BOB, "two")
        await client.say({"id": "1", "op": "tail", "room": "lobby", "last": 2, "follow": True, "read": True})
        for _ in range(3):
            await client.hear()
        assert lobby.read == [last.id]
        live = lobby.said(BOB, "three")
        await client.hear()
        await client.ask("status")
        assert lobby.read == [last.id, live.id]


async def test_history_ends_after_the_last_message(tmp_path: Path) -> None:
    """Records have what `--json` promises, and the request ends."""
    async with serving(tmp_path) as (node, client):
        lobby = await node.join("lobby")
        message = lobby.said(BOB, "\x1b[2J\u202e")
        await client.say({"id": "1", "op": "history", "room": "lobby", "last": 10})
        record = (await client.hear())["item"]["record"]
        assert record == {
            "id": str(message.id),
            "room": "lobby",
            "author": peer_text(BOB.id),
            "name": "bob",
            "sent_at": "2026-01-02T03:04:06.678+00:00",
            "kind": "text",
            "text": "\x1b[2J\u202e",
        }
        assert (await client.hear())["done"] == {}


async def test_a_tail_without_follow_ends(tmp_path: Path) -> None:
    """It shows what is there and is done."""
    async with serving(tmp_path) as (_node, client):
        await client.say({"id": "1", "op": "tail", "room": "lobby", "last": 3})
        assert (await client.hear())["item"] == {"caught_up": True}
        assert (await client.hear())["done"] == {}


async def test_events_come_from_the_moment_they_were_asked_for(tmp_path: Path) -> None:
    """Each kind of event has its name and who it is about."""
    async with serving(tmp_path) as (node, client):
        await client.say({"id": "1", "op": "events"})
        assert (await client.hear())["item"] == {"ready": True}
        happened: tuple[NodeEvent, ...] = (
            PeerOnline(BOB),
            PeerOffline(BOB),
            MemberJoined("lobby", Member(BOB.id, "bob", True)),
            DuplicateIdentity(BOB, ours=True),
            NoticeGiven("free some"),
        )
        bob = {"id": peer_text(BOB.id), "name": "bob"}
        expected = (
            {"event": "PeerOnline", **bob, "address": "10.0.0.2:42100"},
            {"event": "PeerOffline", **bob},
            {"event": "MemberJoined", **bob, "room": "lobby"},
            {"event": "DuplicateIdentity", **bob, "ours": True},
            {"event": "NoticeGiven", "text": "free some"},
        )
        for event, record in zip(happened, expected, strict=True):
            node.happened.put_nowait(event)
            assert (await client.hear())["item"]["event"] == record


async def test_a_cancelled_request_says_no_more(tmp_path: Path) -> None:
    """A chat that changes rooms ends the old room's tail and goes on with its connection."""
    async with serving(tmp_path) as (node, client):
        lobby = await node.join("lobby")
        await client.say({"id": "old", "op": "tail", "room": "lobby", "follow": True})
        await client.hear()
        await client.say({"id": "old", "op": "cancel"}, {"id": "new", "op": "status"})
        assert (await client.hear())["id"] == "new"
        lobby.said(BOB, "unheard")
        await client.say({"id": "last", "op": "status"})
        assert (await client.hear())["id"] == "last"
