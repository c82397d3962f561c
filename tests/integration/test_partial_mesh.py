"""A dozen real nodes with a few links each: messages come along the tree, and authors hear of all who have them."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

from tests.support.nodes import FAST, eventually, history_texts, running
from zmqchat import Node
from zmqchat.node.core import Core

COUNT = 12
WITHIN_S = 30.0
SMALL = replace(FAST, full_mesh_max=6, full_mesh_again=4, neighbours=4)
"""A partial mesh from seven members on."""


def core(node: Node) -> Core:
    """What is behind a node's public names."""
    return node._core().core


def is_settled(nodes: list[Node]) -> bool:
    """Whether all have changed over, and none keeps links to all."""
    return all(core(node).machines.overlay.is_partial and 2 <= len(node.peers) < COUNT - 2 for node in nodes)


async def test_delivery_reaches_everybody_over_several_hops(home: Path) -> None:
    """`delivered` names all eleven others, most of them not linked, and the ten that are left when one stops."""
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(running(home, "node0", config=SMALL))
        nodes = [first]
        for index in range(1, COUNT):
            nodes.append(await stack.enter_async_context(running(home, f"node{index}", first, config=SMALL)))
        rooms = [await node.join("lobby") for node in nodes]
        await eventually(lambda: is_settled(nodes), WITHIN_S)
        await eventually(lambda: all(len(room.members) == COUNT for room in rooms), WITHIN_S)
        for room in rooms:
            await room.send(f"from {room.name}")

        sent = await rooms[3].send("to all", until="delivered", timeout=WITHIN_S)
        assert len(sent.delivered) == COUNT - 1 > len(nodes[3].peers)
        for node in nodes:
            if node is not nodes[3]:
                way = core(node).data.broadcast.paths.towards(rooms[3].id, nodes[3].id, sent.id.log)
                assert way is not None, "it came by an exchange, not by the tree"

        gone = first.id
        await first.stop()
        await eventually(lambda: not core(nodes[5]).machines.roster.is_live(gone), WITHIN_S)
        sent = await rooms[5].send("after one has left", until="delivered", timeout=WITHIN_S)
        assert len(sent.delivered) == COUNT - 2
        for room in rooms[1:]:
            assert (
                (await history_texts(room)).count("to all")
                == (await history_texts(room)).count("after one has left")
                == 1
            )
