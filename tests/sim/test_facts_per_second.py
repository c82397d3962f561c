"""What a node of a large mesh costs while people chat, and what the simulator does for it: counted, not timed."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from zmqchat.protocol.addressbook import AddressBook, Dialable, Target
from zmqchat.sim.options import Options
from zmqchat.sim.schedule import Schedule
from zmqchat.sim.simulation import Simulation

NODES = 100
FOUND_LINKS_S = 8.0
LOOKED_FOR_S = 6.0

FACTS_PER_NODE_SECOND_MAX = 30
"""About 20 are usual: pings of some eight links and their answers, timers, and what is said. Half as many again mean
that something is sent or woken that need not be, and that each simulation takes as much longer."""

TARGETS_PER_NODE_SECOND_MAX = 1
"""Addresses looked at for one to dial: one in six seconds is usual, of a hundred that each node knows. All were looked
at once, at each word of an address: a sixth of a run of a thousand nodes."""

DECODED_PER_FRAME_MAX = 0.5
"""A third is usual: the other frames came in the same bytes before, to another node."""

WAITING_IN_HEAP_MAX = 0.05
"""Of what is to happen so much lies in the heap, where each one that is taken costs comparisons with others."""


@dataclass(frozen=True)
class _Cost:
    """What was counted from FOUND_LINKS_S on for LOOKED_FOR_S."""

    facts: int
    targets: int
    frames: int
    decoded: int
    in_heap: float


@pytest.fixture(scope="module")
def cost() -> _Cost:
    """Of a hundred nodes that have found their links."""
    world = Simulation(Options(seed=1, scenario="crowd", nodes=NODES, duration_s=60.0)).world
    world.schedule.run_until(FOUND_LINKS_S)
    counts = {"targets": 0, "frames": 0}
    targets_of = AddressBook._targets

    def looked_at(book: AddressBook, dialable: Dialable) -> list[Target]:
        targets = list(targets_of(book, dialable))
        counts["targets"] += len(targets)
        return targets

    def came(_node: int, _payload: bytes) -> None:
        counts["frames"] += 1

    world.network.tap = came
    facts, decoded = world.facts, world.decoding.decoded
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AddressBook, "_targets", looked_at)
        world.schedule.run_until(FOUND_LINKS_S + LOOKED_FOR_S)
    return _Cost(
        world.facts - facts,
        counts["targets"],
        counts["frames"],
        world.decoding.decoded - decoded,
        _share_in_heap(world.schedule),
    )


def _share_in_heap(schedule: Schedule) -> float:
    waiting = len(schedule._heap) + sum(map(len, schedule._later.values()))
    return len(schedule._heap) / waiting


def test_a_node_of_a_large_mesh_handles_few_facts_a_second(cost: _Cost) -> None:
    """Once all have their links, nothing but chat, pings and slow rounds goes on."""
    assert 0 < cost.facts / NODES / LOOKED_FOR_S < FACTS_PER_NODE_SECOND_MAX, cost


def test_whom_to_dial_is_not_looked_for_among_all(cost: _Cost) -> None:
    """In a partial mesh few may be dialled, and only those are looked at."""
    assert cost.targets / NODES / LOOKED_FOR_S < TARGETS_PER_NODE_SECOND_MAX, cost


def test_a_frame_that_comes_to_many_is_decoded_once(cost: _Cost) -> None:
    """The simulator keeps what it has read."""
    assert 0 < cost.decoded < DECODED_PER_FRAME_MAX * cost.frames, cost


def test_what_is_not_due_soon_lies_in_no_heap(cost: _Cost) -> None:
    """A node has some twenty timers, and most of them wait for seconds."""
    assert cost.in_heap < WAITING_IN_HEAP_MAX, cost
