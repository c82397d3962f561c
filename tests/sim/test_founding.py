"""A room that everybody is in before the run begins."""

from __future__ import annotations

from zmqchat.sim.founding import found
from zmqchat.sim.node import NodePlan
from zmqchat.sim.options import Options
from zmqchat.sim.watch import Watch
from zmqchat.sim.world import World


def founded(count: int, *, met: bool = False) -> World:
    """A world of nodes that are in the lobby and do not hear of each other."""
    world = World(Options(seed=1, nodes=count), [NodePlan(rooms=(), discovers=False)] * count, Watch((), None))
    found(world, "lobby", met=met)
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


def test_who_has_met_begins_in_the_middle_of_a_mesh() -> None:
    """Each knows all others at once and has no news of itself: its record stays what the others have."""
    world = founded(5, met=True)
    world.schedule.run_until(2.0)
    everybody = {node.peer for node in world.nodes}
    for node in world.nodes:
        assert node.process is not None
        roster = node.process.machines.roster
        assert set(roster.members_live()) == everybody - {node.peer}
        others = [other.process.machines.roster for other in world.nodes if other is not node and other.process]
        assert {other.table.version(other.table.slot(node.peer) or 0) for other in others} == {roster.signed_version}
    assert world.facts < 20


def test_a_restarted_node_has_what_it_had() -> None:
    """A node that is killed starts on its own disk: the room as it was founded, and what was said since."""
    world = founded(3, met=True)
    assert world.say(1, "lobby", "hello")
    world.schedule.run_until(2.0)
    room = world.room("lobby")
    node = world.nodes[1]
    assert node.process is not None
    before = dict(node.process.machines.data.ledger.rooms[room].frontier.items())
    world.restart(1)
    ledger, book = node.process.machines.data.ledger, node.process.machines.data.membership.book(room)
    assert dict(ledger.rooms[room].frontier.items()) == before and len(book.members()) == 3
    world.restore(2, world.snapshot(1))
    world.restart(2)
    restored = world.nodes[2].process
    assert restored is not None
    assert dict(restored.machines.data.ledger.rooms[room].frontier.items()) == before


def test_killed_nodes_let_go_of_member_records() -> None:
    """Records that only nodes which are no more have held are gone from the pool; nobody else keeps those of before."""
    world = founded(4, met=True)
    world.schedule.run_until(2.0)
    assert len(world.member_records) == 4
    for number in range(4):
        world.kill(number)
    assert len(world.member_records) == 0
