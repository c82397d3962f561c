"""Sending through the control socket: a window, an answer a line."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.control_clients import begin_send, line, serving
from tests.support.fakenode import peer_id
from zmqchat.model.limits import CONTROL_SEND_WINDOW_BYTES
from zmqchat.node.values import Peer

BOB = Peer(peer_id("b"), "bob", True)
KIM = Peer(peer_id("k"), "kim")


async def test_each_line_is_answered_with_its_record(tmp_path: Path) -> None:
    """Lines come back in order when they are durable, and the request is done after the last."""
    async with serving(tmp_path) as (node, client):
        await begin_send(client)
        await client.say(line(1, "one"), line(2, "two"), {"id": "s", "op": "end"})
        items = [(await client.hear())["item"] for _ in range(2)]
        assert [(item["n"], item["record"]["text"]) for item in items] == [(1, "one"), (2, "two")]
        assert items[0]["record"]["name"] == "ann"
        assert (await client.hear())["done"] == {}
        lobby = await node.join("lobby")
        assert [str(message.id) for message in lobby.on_disk] == [item["record"]["id"] for item in items]


async def test_a_line_that_fails_does_not_stop_the_rest(tmp_path: Path) -> None:
    """An empty text is answered with its error, and the next one is sent."""
    async with serving(tmp_path) as (_node, client):
        await begin_send(client)
        await client.say(
            line(1, ""), line(2, "fine"), {"id": "s", "op": "line", "n": 3, "key": "x", "text": "short key"}
        )
        answers = {item["n"]: item for item in [(await client.hear())["item"] for _ in range(3)]}
        assert answers[1]["error"]["kind"] == "BadText"
        assert answers[2]["record"]["text"] == "fine"
        assert answers[3]["error"]["kind"] == "UsageError"


async def test_a_line_waits_for_until_and_times_out_alone(tmp_path: Path) -> None:
    """With nobody there a message is late after its time-out; with somebody it is there at once, with its holders."""
    async with serving(tmp_path) as (node, client):
        await begin_send(client, "held", 0.01)
        await client.say(line(1, "lonely"))
        assert (await client.hear())["item"]["error"]["kind"] == "DeliveryTimeout"
        node.peers.append(BOB)
        node.keepers.append(KIM)
        await client.say(line(2, "seen"), {"id": "s", "op": "end"})
        record = (await client.hear())["item"]["record"]
        assert record["text"] == "seen"
        assert [(holder["name"], holder["keeper"]) for holder in record["held"]] == [("bob", False), ("kim", True)]
        assert (await client.hear())["done"] == {}


async def test_who_asks_is_told_how_many_lines_are_on_their_way(tmp_path: Path) -> None:
    """Durable here and not yet where they should get: told before they are late."""
    async with serving(tmp_path) as (_node, client):
        await begin_send(client, "held", 0.01, progress=True)
        await client.say(line(1, "lonely"))
        assert (await client.hear())["item"] == {"stored": 1}
        assert (await client.hear())["item"]["error"]["kind"] == "DeliveryTimeout"


async def test_bytes_that_are_not_durable_are_bounded(tmp_path: Path) -> None:
    """While the disk hangs, a stream posts 256 KiB and keeps its client waiting with the rest."""
    async with serving(tmp_path) as (node, client):
        lobby = await node.join("lobby")
        node.disk.clear()
        await begin_send(client)
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


async def test_lines_that_came_together_are_posted_and_answered_together(tmp_path: Path) -> None:
    """A stream of many lines costs no task a line: all answers that are due come in a few writes, in order."""
    async with serving(tmp_path) as (node, client):
        lobby = await node.join("lobby")
        node.disk.clear()
        await begin_send(client)
        tasks = len(asyncio.all_tasks())
        await client.say(*(line(number, "x") for number in range(500)))
        await lobby.has_posted(500)
        assert len(asyncio.all_tasks()) - tasks < 20
        node.disk.set()
        assert [(await client.hear())["item"]["n"] for _ in range(500)] == list(range(500))


async def test_a_later_line_may_be_the_first_to_get_there(tmp_path: Path) -> None:
    """Who was there when a line was stored differs from line to line: each is told when it has got there."""
    async with serving(tmp_path) as (node, client):
        lobby = await node.join("lobby")
        await begin_send(client, "delivered")
        lobby.held_by_nobody.add("first")
        node.peers.append(BOB)
        await client.say(line(1, "first"), line(2, "second"), {"id": "s", "op": "end"})
        assert (await client.hear())["item"]["n"] == 2
        lobby.held_by_nobody.clear()
        node.somebody_came.set()
        assert (await client.hear())["item"]["n"] == 1
        assert (await client.hear())["done"] == {}


async def test_lines_that_wait_for_others_are_failed_when_the_node_stops(tmp_path: Path) -> None:
    """What is stored and not yet held when the node stops is told as an error, and nobody waits."""
    async with serving(tmp_path) as (node, client):
        await begin_send(client, "held")
        await client.say(line(1, "lonely"), {"id": "s", "op": "end"})
        await (await node.join("lobby")).has_on_disk(1)
        node.is_closed = True
        node.somebody_came.set()
        assert (await client.hear())["item"]["error"]["kind"] == "NodeClosed"
        assert (await client.hear())["done"] == {}


async def test_an_unknown_until_fails_the_request(tmp_path: Path) -> None:
    """It is the whole request that is wrong, so it is told once."""
    async with serving(tmp_path) as (_node, client):
        await client.say({"id": "s", "op": "send", "room": "lobby", "until": "eaten"})
        assert (await client.hear())["error"]["kind"] == "UsageError"


async def test_brief_answers_have_only_the_id(tmp_path: Path) -> None:
    """Who prints only ids is not sent the text again."""
    async with serving(tmp_path) as (node, client):
        await client.say({"id": "s", "op": "send", "room": "lobby", "until": "stored", "brief": True})
        await client.hear()
        await client.say(line(1, "short"))
        stored = await client.hear()
        assert stored["item"]["record"] == {"id": str((await node.join("lobby")).on_disk[0].id)}
