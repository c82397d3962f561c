"""What is expected of a partial mesh that is left alone, and when it is taken to be."""

from __future__ import annotations

import pytest

from zmqchat.sim.checkers.calm import CALM_S, Calm, Latency, Tree
from zmqchat.sim.checks import Checker
from zmqchat.sim.conditions import LinkQuality
from zmqchat.sim.draw import draw
from zmqchat.sim.simulation import Simulation
from zmqchat.sim.world import World

LOOK_S = 0.1


def _calm_world() -> tuple[World, Calm]:
    """A partial mesh at the first moment at which it is calm."""
    simulation = Simulation(draw(3, scenario="partial", nodes=8, duration_s=5.0, faults=()))
    world, calm = simulation.world, Calm()
    while not _is_calm_after(world, calm, LOOK_S):
        assert world.now_s < 60.0
    return world, calm


def _is_calm_after(world: World, calm: Calm, seconds: float) -> bool:
    end_s = world.now_s + seconds
    is_calm = False
    while world.now_s < end_s:
        world.schedule.run_until(world.now_s + LOOK_S)
        is_calm = calm.look(world)
    return is_calm


def test_a_mesh_is_calm_some_time_after_its_links_have_settled() -> None:
    """Not while it begins, nor at once after trouble; then it is, and since when is told."""
    world, calm = _calm_world()
    assert world.now_s > CALM_S
    assert calm.since_s is not None and calm.since_s <= world.now_s
    world.set_quality(LinkQuality(loss=0.1))
    assert not _is_calm_after(world, calm, LOOK_S)
    assert calm.since_s is None


@pytest.mark.parametrize("trouble", ["cut", "pause", "disk", "leave"])
def test_whatever_happens_to_a_node_ends_the_calm(trouble: str) -> None:
    """A cut, a pause, a full disk, and somebody who leaves the room."""
    world, calm = _calm_world()
    if trouble == "cut":
        world.cut(0, 1)
    elif trouble == "pause":
        world.pause(0)
    elif trouble == "disk":
        world.set_disk(0, full=True)
    else:
        world.leave(0, "lobby")
    assert not _is_calm_after(world, calm, LOOK_S)


def test_a_full_mesh_has_no_tree_to_be_calm() -> None:
    """The tree is of partial meshes only."""
    world = Simulation(draw(3, scenario="chat", nodes=4, duration_s=5.0, faults=())).world
    assert not _is_calm_after(world, Calm(), 10.0)


def test_a_mesh_that_is_left_alone_sends_nothing_twice_and_is_fast() -> None:
    """Several runs with trouble at first and calm after it; what is planted, `test_planted_bugs` finds."""
    for seed in (1, 4, 5):
        checkers: list[Checker] = [Tree(), Latency()]
        outcome = Simulation(draw(seed, scenario="calm", duration_s=8.0), checkers=checkers).run()
        assert outcome.failed == ()
