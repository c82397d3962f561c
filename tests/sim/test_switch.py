"""A mesh that grows and shrinks through the switch between full and partial, and back."""

from __future__ import annotations

import pytest

from zmqchat.sim.checkers import all_checkers
from zmqchat.sim.draw import draw
from zmqchat.sim.simulation import Simulation


def _partial_counts(simulation: Simulation, duration_s: float) -> list[tuple[int, int]]:
    """Plans to note twice a second how many nodes run, and for how many of them the mesh is partial."""
    counts: list[tuple[int, int]] = []

    def look() -> None:
        running = [node.process for node in simulation.world.nodes if node.process is not None]
        counts.append((len(running), sum(process.machines.overlay.is_partial for process in running)))

    for half in range(int(2 * duration_s)):
        simulation.world.at(half / 2 + 0.01, look)
    return counts


def _goes_through(scenario: str, seed: int, duration_s: float) -> None:
    """Full, partial, full, partial; and the checkers find nothing lost, nothing twice."""
    options = draw(seed, scenario=scenario, duration_s=duration_s, faults=())
    simulation = Simulation(options, checkers=all_checkers())
    counts = _partial_counts(simulation, duration_s)
    assert simulation.run().failed == ()
    phases = [False]
    for running, partial in counts:
        if running and partial in (0, running) and (partial > 0) != phases[-1]:
            phases.append(partial > 0)
    assert phases == [False, True, False, True]
    said = simulation.world.timeline(0, "lobby")
    assert len(said) > duration_s


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_nor_doubled_through_the_switch(seed: int) -> None:
    """Few nodes, and small bounds; it takes up to half a minute until those that left count no more."""
    _goes_through("switch", seed, 80.0)


@pytest.mark.crowd
@pytest.mark.timeout(600)
def test_nothing_is_lost_nor_doubled_through_the_switch_at_the_real_bounds() -> None:
    """Up above 96, down below 64, and up again, while people chat."""
    _goes_through("switch-at-scale", 1, 30.0)
