"""A room that everybody is in before the run begins."""

from __future__ import annotations

from zmqchat.sim.founding import found
from zmqchat.sim.node import NodePlan
from zmqchat.sim.options import Options
from zmqchat.sim.watch import Watch
from zmqchat.sim.world import World


def founded(count: int) -> World:
    """A world of nodes that are in the lobby and do not hear of each other."""
    world = World(Options(seed=1, nodes=count), [NodePlan(rooms=(), discovers=False)] * count, Watch((), None))
    found(world, "lobby")
    world.schedule.run_until(1.0)
    return world


def test_everybody_is_a_member_for_everybody() -> None:
    """Without a link each node knows all members, and all hold the same."""
    world = founded(5)
    assert world.members("lobby") == [0, 1, 2, 3, 4]
    everybody = sorted(node.peer for node in world.nodes)
    for node in world.nodes:
        assert node.process is not None
        assert node.process.machines.data.membership.book(world.room("lobby")).members() == everybody
    assert world.agrees()


def test_each_goes_on_in_its_own_log() -> None:
    """The copied disks are stores of their own, and what somebody says stands in the log that he joined with."""
    world = founded(3)
    logs = {node.process.machines.data.ledger.own_log for node in world.nodes if node.process is not None}
    assert len(logs) == 3 and len({node.disk.store_id for node in world.nodes}) == 3
    assert world.say(1, "lobby", "hello")
    world.schedule.run_until(2.0)
    room = world.room("lobby")
    assert {key.author for key, _raw in world.nodes[1].disk.batches(room)} == {node.peer for node in world.nodes}
    assert len({key for key, _raw in world.nodes[1].disk.batches(room)}) == 3
