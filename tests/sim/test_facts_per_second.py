"""What a node of a large mesh costs: how many facts it handles a second while people chat."""

from __future__ import annotations

from zmqchat.sim.options import Options
from zmqchat.sim.simulation import Simulation

NODES = 100
FOUND_LINKS_S = 8.0
LOOKED_FOR_S = 6.0

FACTS_PER_NODE_SECOND_MAX = 30
"""About 20 are usual: pings of some eight links and their answers, timers, and what is said. Half as many again mean
that something is sent or woken that need not be, and that each simulation takes as much longer."""


def test_a_node_of_a_large_mesh_handles_few_facts_a_second() -> None:
    """Once all have their links, nothing but chat, pings and slow rounds goes on."""
    world = Simulation(Options(seed=1, scenario="crowd", nodes=NODES, duration_s=60.0)).world
    world.schedule.run_until(FOUND_LINKS_S)
    before = world.facts
    world.schedule.run_until(FOUND_LINKS_S + LOOKED_FOR_S)
    handled = (world.facts - before) / NODES / LOOKED_FOR_S
    assert 0 < handled < FACTS_PER_NODE_SECOND_MAX, handled
