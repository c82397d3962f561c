"""Real nodes outside a room keep it: who comes when its author has gone reads all of it, over a restart too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.nodes import FAST, WAIT_S, eventually, has_texts, history_texts, linked, running
from zmqchat import DeliveryTimeout, Node

SOON = replace(FAST, keeper_known_s=0.6, keeper_round_s=0.1, keeper_patience_s=0.2)
"""The ten minutes that a node must have been known for, in a moment."""


def keeps(node: Node, other: Node) -> int:
    """How many rooms a node says that another keeps."""
    return next((each.keeps for each in node.mesh().nodes if each.id == other.id), 0)


async def test_who_comes_when_the_author_has_gone_reads_it_from_a_keeper(home: Path) -> None:
    """The keeper is named as such, shows nothing of the room, and no member is said to have the message."""
    async with running(home, "kim", config=SOON) as kim:
        async with running(home, "ann", kim, config=SOON) as ann:
            den = await ann.join("den")
            await den.send("before")
            await eventually(lambda: keeps(ann, kim) == 1)
            assert keeps(kim, kim) == 1
            sent = await den.send("hello", until="held", timeout=WAIT_S)
            assert [peer.id for peer in sent.held] == [peer.id for peer in sent.keepers] == [kim.id]
            assert sent.delivered == () and den.peers() == []
            with pytest.raises(DeliveryTimeout):
                await den.send("to members", until="delivered", timeout=0.3)
            assert [room.name for room in kim.rooms] == ["lobby"]
        async with running(home, "bob", kim, config=SOON) as bob:
            await has_texts(await bob.join("den"), ["before", "hello", "to members"])
            assert "ann" in {message.author.name for message in await (await bob.join("den")).history(3)}


async def test_custody_is_on_the_disk(home: Path) -> None:
    """A keeper that restarts while the author is away has all of it still; as a member it reads it itself."""
    async with running(home, "kim", config=SOON) as kim, running(home, "ann", kim, config=SOON) as ann:
        den = await ann.join("den")
        await eventually(lambda: keeps(ann, kim) == 1)
        await den.send("hello", until="held", timeout=WAIT_S)
    async with running(home, "kim", config=SOON) as kim:
        assert [room.name for room in kim.rooms] == ["lobby"]
        async with running(home, "bob", kim, config=SOON) as bob:
            await linked(kim, bob)
            await has_texts(await bob.join("den"), ["hello"])
    async with running(home, "kim", config=SOON) as kim:
        den = await kim.join("den")
        await has_texts(den, ["hello"])
        assert await history_texts(den) == ["hello"]


async def test_a_node_that_keeps_nothing_is_passed_over(home: Path) -> None:
    """With `keeps=False` nothing of a room is taken in that the node is not in."""
    async with (
        running(home, "kim", config=replace(SOON, keeps=False)) as kim,
        running(home, "lee", kim, config=SOON) as lee,
        running(home, "ann", kim, lee, config=SOON) as ann,
    ):
        await ann.join("den")
        await eventually(lambda: keeps(ann, lee) == 1)
        assert keeps(ann, kim) == 0
