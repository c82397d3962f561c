"""The commands of the simulated world, and what a user sees of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from zmqchat.model.ids import LogKey, MessageId
from zmqchat.sim.checks import Checker
from zmqchat.sim.conditions import LinkQuality
from zmqchat.sim.node import NodePlan
from zmqchat.sim.options import Options
from zmqchat.sim.watch import Watch
from zmqchat.sim.world import World


class Users:
    """What the users of all nodes were told."""

    name = "users"

    def __init__(self) -> None:
        self.acknowledged_texts: list[str] = []
        self.delivered_texts: dict[int, list[str]] = {}

    def acknowledged(self, node: int, room: str, message: MessageId, text: str) -> None:
        """`send` returned."""
        self.acknowledged_texts.append(text)

    def delivered(self, node: int, room: str, message: MessageId, text: str) -> None:
        """A cursor gave it."""
        self.delivered_texts.setdefault(node, []).append(text)

    def missed(self, node: int, room: str, key: LogKey, first: int, end: int) -> None:
        """A gap."""

    def rewound(self, node: int) -> None:
        """A backup."""

    def step(self, world: World) -> None:
        """Time."""

    def quiet(self, world: World) -> None:
        """The end."""

    def seen_by(self, node: int) -> list[str]:
        """What one node's user was given."""
        return self.delivered_texts.get(node, [])


def worlds(nodes: int = 3, *plans: NodePlan, seed: int = 1) -> tuple[World, Users]:
    """A world after its first five seconds, and its users."""
    users = Users()
    checkers: list[Checker] = [users]
    plans = plans or (NodePlan(),) * nodes
    world = World(Options(seed=seed, nodes=len(plans)), plans, Watch(checkers, None))
    world.schedule.run_until(5.0)
    assert world.watch.failed == []
    return world, users


def passes(world: World, seconds: float) -> None:
    """Let time pass; no machine may throw."""
    world.schedule.run_until(world.now_s + seconds)
    assert world.watch.failed == []


def within(world: World, condition: Callable[[], bool], limit_s: float) -> None:
    """Let time pass until this holds."""
    end_s = world.now_s + limit_s
    while not condition():
        assert world.now_s < end_s, f"not within {limit_s} s"
        passes(world, 0.1)


def test_all_find_each_other_and_join() -> None:
    """After some seconds everybody is in touch with everybody, and in the lobby."""
    world, _users = worlds(4)
    assert world.live() == world.members("lobby") == [0, 1, 2, 3]
    assert all(world.is_online(one, other) for one in range(4) for other in range(4) if one != other)
    assert world.agrees()
    assert world.number_of(world.nodes[2].peer) == 2


def test_a_killed_node_keeps_what_it_acknowledged_and_catches_up() -> None:
    """What it was told is there again after the start, and what the others said meanwhile comes."""
    world, users = worlds()
    assert world.say(0, "lobby", "before")
    within(world, lambda: "before" in users.acknowledged_texts, 1.0)
    world.kill(0)
    assert not world.say(0, "lobby", "lost")
    assert world.live() == [1, 2]
    assert world.say(1, "lobby", "meanwhile")
    passes(world, 2.0)
    world.restart(0)
    within(world, lambda: "meanwhile" in users.seen_by(0), 10.0)
    assert users.seen_by(0) == ["before", "meanwhile"]
    assert [said.text for said in world.timeline(0, "lobby")] == ["before", "meanwhile"]


def test_what_is_deliverable_when_a_node_dies_is_read_after_its_start() -> None:
    """A cursor goes on where it stood: nothing is skipped, nothing comes twice, wherever the crash falls."""
    for seed in range(12):
        world, users = worlds(seed=seed)
        world.say(1, "lobby", "text")
        passes(world, 0.001 + 0.0006 * seed)
        world.kill(0)
        passes(world, 1.0)
        world.restart(0)
        within(world, lambda users=users: "text" in users.seen_by(0), 15.0)  # type: ignore[misc]  # a default binds it
        assert users.seen_by(0) == ["text"]


def test_of_a_machine_that_loses_power_nobody_hears() -> None:
    """The others notice by its silence only, where a killed process closes its connections."""
    world, _users = worlds()
    world.kill(0, power=True)
    passes(world, 3.0)
    assert world.nodes[1].process is not None
    assert world.nodes[0].peer in world.nodes[1].process.machines.peers.linked
    within(world, lambda: not world.is_online(1, 0), 40.0)
    other, _users = worlds()
    other.kill(0)
    passes(other, 1.0)
    assert other.nodes[1].process is not None
    assert other.nodes[0].peer not in other.nodes[1].process.machines.peers.linked


def test_who_stops_says_goodbye() -> None:
    """The others show it offline at once, and its disk is clean."""
    world, users = worlds()
    world.say(0, "lobby", "last words")
    world.stop(0)
    passes(world, 1.0)
    assert world.nodes[0].unclean == ""
    assert not world.nodes[0].is_up
    assert not world.is_online(1, 0)
    assert users.seen_by(1) == ["last words"]


def test_a_paused_node_handles_what_came_once_it_goes_on() -> None:
    """It says nothing, and misses nothing."""
    world, users = worlds()
    world.pause(0)
    assert not world.say(0, "lobby", "never")
    world.say(1, "lobby", "while you stood still")
    passes(world, 2.0)
    assert users.seen_by(0) == []
    world.resume(0)
    within(world, lambda: bool(users.seen_by(0)), 5.0)
    world.pause(0)
    passes(world, 30.0)
    world.resume(0)
    within(world, lambda: world.is_online(0, 1) and world.is_online(1, 0), 10.0)


def test_a_full_disk_acknowledges_nothing_and_goes_on_when_there_is_room() -> None:
    """`send` fails, and the next one works."""
    world, users = worlds()
    world.set_disk(0, full=True)
    world.say(0, "lobby", "no room")
    passes(world, 2.0)
    world.set_disk(0, full=False)
    world.say(0, "lobby", "room")
    passes(world, 2.0)
    assert users.acknowledged_texts == ["room"]
    assert users.seen_by(1) == ["room"]


def test_a_slow_disk_delays_the_acknowledgement() -> None:
    """Nothing is acknowledged, and nothing leaves, before the commit."""
    world, users = worlds()
    world.set_disk(0, fsync_s=1.0)
    world.say(0, "lobby", "slowly")
    passes(world, 0.4)
    assert users.acknowledged_texts == users.seen_by(1) == []
    passes(world, 3.0)
    assert users.acknowledged_texts == users.seen_by(1) == ["slowly"]


def test_a_partition_keeps_apart_and_is_made_good() -> None:
    """Each side goes on by itself, and both hold the same in the end."""
    world, users = worlds(4)
    world.partition([[0, 1], [2, 3]])
    world.say(0, "lobby", "east")
    world.say(3, "lobby", "west")
    passes(world, 20.0)
    assert users.seen_by(1) == ["east"]
    assert users.seen_by(2) == ["west"]
    assert not world.agrees()
    world.heal()
    within(world, world.agrees, 60.0)
    assert sorted(users.seen_by(2)) == ["east", "west"]
    assert world.timeline(0, "lobby") == world.timeline(3, "lobby")


def test_a_short_cut_loses_nothing_of_a_connection() -> None:
    """What can't pass waits, as in TCP, and comes when the network is whole before heartbeats give up."""
    world, users = worlds(2)
    world.cut(0, 1, one_way=True)
    world.say(0, "lobby", "held up")
    passes(world, 1.0)
    assert users.seen_by(1) == []
    world.mend(0, 1)
    within(world, lambda: users.seen_by(1) == ["held up"], 3.0)


def test_a_backup_that_is_noticed_writes_another_log() -> None:
    """The copied home draws a new number, so nothing is said twice under one."""
    world, users = worlds()
    world.say(0, "lobby", "one")
    passes(world, 2.0)
    backup = world.snapshot(0)
    world.say(0, "lobby", "two")
    passes(world, 2.0)
    world.restore(0, backup)
    world.restart(0)
    passes(world, 5.0)
    world.say(0, "lobby", "three")
    within(world, world.agrees, 30.0)
    logs = {said.message.log for said in world.timeline(1, "lobby")}
    assert len(logs) == 2
    assert {said.text for said in world.timeline(0, "lobby")} == {"one", "two", "three"}
    assert "three" in users.seen_by(1)


def test_a_wrong_clock_stops_nothing() -> None:
    """Wall clocks years off, and clocks that run too fast or slow, are delivered all the same."""
    world, users = worlds()
    world.jump_clock(0, -9e8)
    world.jump_clock(1, 3e8)
    world.drift_clock(2, 1.2)
    for node in range(3):
        world.say(node, "lobby", f"from {node}")
    within(world, lambda: all(len(users.seen_by(node)) == 3 for node in range(3)), 15.0)


def test_isolated_hosts_reach_only_the_gateway() -> None:
    """Nobody else is linked: dials lead nowhere, as on a Wi-Fi that keeps its clients apart."""
    world, _users = worlds(3, *(NodePlan(start_s=None),) * 4)
    world.network.conditions.subnets["lan"].gateway = 0
    for node in range(4):
        world.restart(node)
    passes(world, 15.0)
    peers = [node.process.machines.peers.linked for node in world.nodes if node.process is not None]
    assert [len(linked) for linked in peers] == [3, 1, 1, 1]


@pytest.mark.parametrize("part", ["loss", "bandwidth", "feeds"])
def test_bad_links_lose_nothing(part: str) -> None:
    """Lossy, thin and forgetful links delay; all texts come, once."""
    world, users = worlds(4)
    if part == "loss":
        world.set_quality(LinkQuality(loss=0.2))
    elif part == "bandwidth":
        world.network.conditions.bandwidth_bytes_s = 20_000.0
    else:
        world.set_quality(LinkQuality(feed_loss=0.5, feed_double=0.5))
    for number in range(20):
        world.say(number % 4, "lobby", f"text {number}")
        passes(world, 0.2)
    world.make_whole()
    within(world, lambda: all(len(users.seen_by(node)) == 20 for node in range(4)), 60.0)
    passes(world, 10.0)
    assert all(len(set(users.seen_by(node))) == len(users.seen_by(node)) == 20 for node in range(4))


def test_a_thin_line_in_delays_one_node_and_nobody_else() -> None:
    """What comes to it queues on its line, others are as fast as ever, and the rest comes once the line is whole."""
    world, users = worlds(4)
    world.network.conditions.inward_bytes_s[3] = 5_000.0
    for number in range(3):
        world.say(number, "lobby", f"text {number} ".ljust(20_000, "x"))
    passes(world, 0.5)
    assert [len(users.seen_by(node)) for node in range(4)] == [3, 3, 3, 0]
    within(world, lambda: len(users.seen_by(3)) == 1, 5.0)
    world.make_whole()
    within(world, lambda: len(users.seen_by(3)) == 3, 5.0)


def test_a_thin_line_in_carries_nothing_of_those_who_have_hung_up() -> None:
    """What waits for it is lost with the connection, and takes none of its time."""
    world, users = worlds(3)
    world.network.conditions.inward_bytes_s[2] = 5_000.0
    world.say(0, "lobby", "long ".ljust(20_000, "x"))
    passes(world, 0.1)
    world.say(0, "lobby", "lost ".ljust(20_000, "x"))
    passes(world, 0.1)
    world.kill(0)
    world.say(1, "lobby", "short")
    passes(world, 5.0)
    assert "short" in users.seen_by(2)
    assert not any(text.startswith("lost") for text in users.seen_by(2))


def test_a_machine_that_throws_ends_the_run() -> None:
    """The run has failed, says where, and stays where it is."""
    world, _users = worlds(2)
    process = world.nodes[0].process
    assert process is not None

    def throws(*_: object) -> None:
        raise RuntimeError("planted")

    process.machines.mesh.handle = throws  # type: ignore[assignment]  # the fault that is planted
    world.schedule.run_until(world.now_s + 10.0)
    assert world.schedule.stopped
    assert "machines: node 0: RuntimeError: planted" in world.watch.failed[0]


def test_of_many_nodes_every_tenth_is_watched() -> None:
    """Up to fifty all are."""
    plans = (NodePlan(start_s=None),) * 51
    world = World(Options(seed=1, nodes=51), plans, Watch((), None))
    assert world.watched == (0, 10, 20, 30, 40, 50)
    assert World(Options(seed=1, nodes=50), plans[1:], Watch((), None)).watched == tuple(range(50))


def test_texts_cross_subnets_by_who_sits_in_both() -> None:
    """Hosts that can't dial each other hold the same in the end, through the one between them."""
    east, both, west = (NodePlan(subnets=subnets) for subnets in (("east",), ("east", "west"), ("west",)))
    world, users = worlds(5, east, east, both, west, west)
    linked = [node.process.machines.peers.linked for node in world.nodes if node.process is not None]
    assert [len(peers) for peers in linked] == [2, 2, 4, 2, 2]
    world.say(0, "lobby", "from the east")
    world.say(4, "lobby", "from the west")
    within(world, lambda: all(len(users.seen_by(node)) == 2 for node in range(5)), 60.0)


def test_who_is_behind_a_translator_dials_out_and_hears_all() -> None:
    """Nobody can dial it: it keeps the links that it opened itself, and batches are pushed to it over them."""
    plans = (NodePlan(subnets=("office",)), NodePlan(subnets=("office",)), NodePlan(subnets=("home",), contacts=(0,)))
    world, users = worlds(3, *(NodePlan(subnets=plan.subnets, contacts=plan.contacts, start_s=None) for plan in plans))
    for subnet in world.network.conditions.subnets.values():
        subnet.routed = True
    world.network.conditions.subnets["home"].nat = True
    for node in range(3):
        world.restart(node)
    within(world, lambda: world.is_online(2, 0) and world.is_online(2, 1), 30.0)
    world.say(0, "lobby", "out")
    world.say(2, "lobby", "in")
    within(world, lambda: all(len(users.seen_by(node)) == 2 for node in range(3)), 30.0)
