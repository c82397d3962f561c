"""What a simulated node takes of memory: ten thousand fit in 6 GiB, as docs/internals/simulator.md tells."""

from __future__ import annotations

import gc
import resource
import subprocess
import sys
import tracemalloc

import pytest

from zmqchat.model.limits import MIB
from zmqchat.sim.founding import found
from zmqchat.sim.node import NodePlan
from zmqchat.sim.options import Options
from zmqchat.sim.watch import Watch
from zmqchat.sim.world import World

FEW, MANY = 50, 200

BYTES_PER_MEMBER_MAX = 16
"""Of each node for each member of its mesh and room, where five are the table's: ten thousand nodes have a hundred
million such pairs."""

BYTES_PER_NODE_MAX = 150_000
"""Of a node without links, whatever it knows."""


def bytes_per_node(nodes: int) -> float:
    """What a node takes on the average that is in a room with all others, knows them, and has no link."""
    gc.collect()
    tracemalloc.start()
    try:
        world = World(Options(seed=1, nodes=nodes), [NodePlan(rooms=(), discovers=False)] * nodes, Watch((), None))
        found(world, "lobby", met=True)
        world.schedule.run_until(1.0)
        assert world.say(0, "lobby", "hello")
        gc.collect()
        return tracemalloc.get_traced_memory()[0] / nodes
    finally:
        tracemalloc.stop()


def test_a_node_takes_little_more_where_it_knows_more_members() -> None:
    """Four times as many members cost a node a few bytes each: what all nodes have in common is kept once."""
    few, many = bytes_per_node(FEW), bytes_per_node(MANY)
    assert (many - few) / (MANY - FEW) < BYTES_PER_MEMBER_MAX
    assert many < BYTES_PER_NODE_MAX


@pytest.mark.crowd
@pytest.mark.timeout(3_600)
def test_ten_thousand_whole_nodes_fit_in_six_gib() -> None:
    """They start, find their links, and a message comes to all of them, as all checkers say."""
    words = ["sim", "--seed", "1", "--scenario", "crowd", "--nodes", "10000", "--duration", "6"]
    done = subprocess.run([sys.executable, "-m", "zmqchat", *words], capture_output=True, text=True, check=False)
    assert done.stdout.endswith("passed\n"), done.stdout + done.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024 * MIB < 6 * 1024 * MIB
