"""A simulated node through its lives."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.simworlds import passes, process_of, small_world
from zmqchat.model.addresses import Endpoint
from zmqchat.sim.author import peer_of
from zmqchat.sim.node import REMEMBERED_MAX, NodePlan


def test_a_node_is_up_between_its_start_and_its_end() -> None:
    """A paused one is up, and answers nothing."""
    world, _diary = small_world(NodePlan(start_s=1.0), seconds=0.5)
    (node,) = world.nodes
    assert not node.is_up and not node.is_responsive
    passes(world, 1.0)
    assert node.is_up and node.is_responsive
    world.pause(0)
    assert node.is_up and not node.is_responsive
    world.resume(0)
    assert node.is_responsive
    world.kill(0)
    assert not node.is_up and not node.is_responsive


def test_how_a_life_ended_is_known_until_the_next() -> None:
    """Killed, without power, or well; each start is a life of its own."""
    world, _diary = small_world(nodes=2, seconds=1.0)
    node = world.nodes[0]
    ends: list[Callable[[], None]] = [
        lambda: world.kill(0),
        lambda: world.kill(0, power=True),
        lambda: world.stop(0),
    ]
    ended = []
    for end in ends:
        end()
        passes(world, 3.0)
        assert not node.is_up
        ended.append(node.unclean)
        world.restart(0)
        assert node.unclean == ""
    assert ended == ["killed", "power", ""]
    assert node.lives == 4


def test_facts_are_counted_over_all_lives() -> None:
    """A life that is over counts with what it had routed."""
    world, _diary = small_world(nodes=2, seconds=2.0)
    node, first = world.nodes[0], process_of(world, 0).routed
    assert node.routed == first > 0
    world.kill(0)
    assert node.routed == first
    world.restart(0)
    passes(world, 1.0)
    assert node.routed == first + process_of(world, 0).routed > first


def test_the_peers_seen_last_are_remembered_for_the_next_start() -> None:
    """So many at most; whoever is in touch again is as new."""
    world, _diary = small_world(NodePlan(start_s=None), seconds=0.0)
    (node,) = world.nodes
    peers = [peer_of(str(number)) for number in range(REMEMBERED_MAX + 1)]
    for number, peer in enumerate(peers[:-1]):
        node.remember(peer, Endpoint("10.0.0.1", number + 1))
    node.remember(peers[0], Endpoint("10.0.0.2", 1))
    node.remember(peers[-1], Endpoint("10.0.0.3", 1))
    assert len(node.remembered) == REMEMBERED_MAX
    assert peers[1] not in node.remembered
    assert node.remembered[peers[0]].host == "10.0.0.2"


def test_who_was_in_touch_is_dialled_after_a_start_without_discovery() -> None:
    """What was remembered is enough to come back to the mesh."""
    plans = (NodePlan(discovers=False), NodePlan(discovers=False, contacts=(0,)))
    world, _diary = small_world(*plans)
    assert world.is_online(0, 1)
    for node in world.nodes:
        assert node.remembered
    world.kill(0)
    passes(world, 1.0)
    world.restart(0)
    passes(world, 3.0)
    assert world.is_online(0, 1)
