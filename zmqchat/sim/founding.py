"""A room that was founded before the run begins: everybody is in it, and has everybody's word of that on disk.

How it works. A thousand nodes that join a room at once tell each other a million times, and a run about anything
else would be over before it begins. So in a world of its own each node joins alone, one of them is given what all
the others wrote, and the disk of each node in the run's world begins as a copy of that one's, with its own log number.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from zmqchat.protocol.data_facts import BatchReceived
from zmqchat.protocol.effects import PutRow
from zmqchat.protocol.ownlog import OWN_LOG_ROW
from zmqchat.sim.node import NodePlan
from zmqchat.sim.watch import Watch
from zmqchat.sim.world import World

ALONE_S: Final = 1.0
"""How long each node has to join the room, and the one to store what all others wrote."""


def found(world: World, name: str) -> None:
    """Put everybody into this room, before the first of them starts."""
    before = World(
        replace(world.options, faults=()),
        [NodePlan(rooms=(name,), discovers=False)] * len(world.nodes),
        Watch((), None),
    )
    before.schedule.run_until(ALONE_S)
    room = before.room(name)
    collector = before.nodes[0].process
    assert collector is not None
    for node in before.nodes[1:]:
        for _key, raw in node.disk.batches(room):
            collector.feed(BatchReceived(peer=node.peer, raw=raw, pushed=False))
    before.schedule.run_until(2 * ALONE_S)
    world.room(name)
    whole = before.nodes[0].disk
    whole.arrivals.clear()
    for node, alone in zip(world.nodes, before.nodes, strict=True):
        node.disk = whole.copy(node.disk.store_id)
        node.disk.write([PutRow("meta", OWN_LOG_ROW, alone.disk.kept(power_lost=False).own_log)])
