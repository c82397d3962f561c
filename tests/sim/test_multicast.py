"""Discovery in the simulated network: who hears of whom, when, and who does not."""

from __future__ import annotations

from tests.support.simworlds import passes, small_world
from zmqchat.protocol.effects import Effect
from zmqchat.protocol.facts import Fact, PeerSighted
from zmqchat.sim.multicast import REPEATS_S, ROUND_S
from zmqchat.sim.node import NodePlan
from zmqchat.sim.routes import DOORS_PORT
from zmqchat.sim.world import World


class Sightings:
    """A trace of who was sighted by whom, and when."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.all: list[tuple[float, int, int]] = []
        self.hosts: set[str] = set()
        world.watch.trace = self

    def at(self, now_s: float, node: int, what: Fact | Effect) -> None:
        """Note sightings by multicast."""
        if isinstance(what, PeerSighted) and what.source == "mdns" and what.peer is not None:
            other = self._world.number_of(what.peer)
            assert other is not None and what.endpoint.door == DOORS_PORT
            self.hosts.add(what.endpoint.host)
            self.all.append((now_s, node, other))

    def pairs(self) -> set[tuple[int, int]]:
        """Who sighted whom."""
        return {(node, other) for _at_s, node, other in self.all}


def _started(*plans: NodePlan, seconds: float = 4.0) -> tuple[World, Sightings]:
    world, _diary = small_world(*plans, seconds=0.0)
    sightings = Sightings(world)
    passes(world, seconds)
    return world, sightings


def test_those_of_a_subnet_hear_of_each_other_within_a_second() -> None:
    """Whoever starts is told, and asks; it says so a few times, and then is quiet."""
    world, sightings = _started(NodePlan(), NodePlan(start_s=10.0), seconds=9.0)
    assert sightings.all == []
    passes(world, 2.0)
    assert sightings.pairs() == {(0, 1), (1, 0)}
    passes(world, 10.0)
    times_s = [at_s for at_s, node, _other in sightings.all if node == 0]
    assert len(times_s) == len(REPEATS_S)
    assert max(times_s) < 14.0


def test_no_multicast_leaves_its_subnet() -> None:
    """A node in two subnets is known by the address that it has in each."""
    subnets = (("east",), ("east", "west"), ("west",))
    world, sightings = _started(*(NodePlan(subnets=each) for each in subnets))
    assert sightings.pairs() == {(0, 1), (1, 0), (1, 2), (2, 1)}
    conditions = world.network.conditions
    assert sightings.hosts == {host for node in range(3) for host in conditions.hosts(node)}


def test_who_does_not_discover_is_not_found_either() -> None:
    """Neither hears of the other."""
    _world, sightings = _started(NodePlan(), NodePlan(discovers=False), NodePlan())
    assert sightings.pairs() == {(0, 2), (2, 0)}


def test_isolated_hosts_hear_the_gateway_only() -> None:
    """As on a Wi-Fi that keeps its clients apart."""
    plans = (NodePlan(start_s=None),) * 3
    world, sightings = _started(*plans)
    world.network.conditions.subnets["lan"].gateway = 0
    for node in range(3):
        world.restart(node)
    passes(world, 4.0)
    assert sightings.pairs() == {(0, 1), (1, 0), (0, 2), (2, 0)}


def test_who_was_not_chosen_to_advertise_is_not_announced() -> None:
    """It hears of the others all the same, when it starts and when they do."""
    world, sightings = _started(NodePlan(), NodePlan())
    sightings.all.clear()
    process = world.nodes[1].process
    assert process is not None
    process.advertises = False
    passes(world, 2 * ROUND_S)
    assert sightings.pairs() == {(1, 0)}


def test_what_is_down_or_stands_still_is_not_sighted() -> None:
    """Nor does it hear anything while it is down."""
    world, sightings = _started(NodePlan(), NodePlan(start_s=None), NodePlan())
    assert sightings.pairs() == {(0, 2), (2, 0)}
    sightings.all.clear()
    world.pause(0)
    world.kill(2)
    passes(world, 2 * ROUND_S)
    assert sightings.all == []


def test_after_a_partition_a_round_finds_who_was_kept_apart() -> None:
    """Browsers ask anew every so often; before, nothing passes."""
    plans = (NodePlan(start_s=None),) * 2
    world, sightings = _started(*plans)
    world.partition([[0], [1]])
    for node in range(2):
        world.restart(node)
    passes(world, 10.0)
    assert sightings.all == []
    world.heal()
    passes(world, 2 * ROUND_S)
    assert sightings.pairs() == {(0, 1), (1, 0)}


def test_what_one_direction_does_not_carry_is_not_heard() -> None:
    """A one-way cut lets one of two hear of the other."""
    plans = (NodePlan(start_s=None),) * 2
    world, sightings = _started(*plans)
    world.cut(0, 1, one_way=True)
    for node in range(2):
        world.restart(node)
    passes(world, 4.0)
    assert sightings.pairs() == {(0, 1)}
