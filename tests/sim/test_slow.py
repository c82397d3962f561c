"""A node with a thin way in: it is really held for slow, nobody else notices, and it blames nobody."""

from __future__ import annotations

import statistics
from collections import Counter

import pytest

from zmqchat.model.ids import MessageId
from zmqchat.sim.checkers import all_checkers
from zmqchat.sim.checkers.base import Base, machines_of
from zmqchat.sim.draw import draw
from zmqchat.sim.scenarios.slow import LONG_BYTES, THIN_S, SlowPeer
from zmqchat.sim.simulation import Simulation
from zmqchat.sim.world import World

DURATION_S = 22.0
"""Long enough to be no neighbour any more after ten seconds of being slow."""

OTHER_SEEDS = (2, 3, 4, 5, 7, 9, 10, 11)
"""With 6 and 8 several links share what the slow node is sent, and none of them passes its budget for long."""


class Sight(Base):
    """What became of the slow node.

    held     looks at which another node held it for slow, by that node
    parted   nodes that held it for slow, and gave it up as a neighbour
    others_s how long texts took between the others
    """

    name = "sight"

    def __init__(self) -> None:
        self.slow: int | None = None
        self.held: Counter[int] = Counter()
        self.parted: set[int] = set()
        self.others_s: list[float] = []
        self._slow_at: set[int] = set()
        self._world: World | None = None
        self._said_s: dict[MessageId, float] = {}

    def step(self, world: World) -> None:
        """Look at what each node holds of it."""
        self._world = world
        if self.slow is None or not THIN_S < world.now_s < DURATION_S:
            return
        peer = world.nodes[self.slow].peer
        for node in world.honest:
            machines = machines_of(world, node)
            assert machines is not None
            is_slow = machines.data.broadcast.is_slow(peer)
            if node in self._slow_at and peer not in machines.overlay.neighbours:
                self.parted.add(node)
            self.held[node] += is_slow
            (self._slow_at.add if is_slow else self._slow_at.discard)(node)

    def acknowledged(self, node: int, room: str, message: MessageId, text: str) -> None:  # a protocol's
        """It is on its way."""
        if self._world is not None and node != self.slow:
            self._said_s[message] = self._world.now_s

    def delivered(self, node: int, room: str, message: MessageId, text: str) -> None:  # a protocol's
        """It has come."""
        if self._world is not None and node != self.slow and message in self._said_s:
            self.others_s.append(self._world.now_s - self._said_s[message])


class NeverThin(SlowPeer):
    """The same texts, and the line takes them."""

    def thin(self, world: World, bytes_s: float) -> None:
        """It stays as it is."""


def played(seed: int, kind: type[SlowPeer] = SlowPeer) -> tuple[Simulation, Sight]:
    """A run that passes all checkers, no fault of anybody among them, and what was seen."""
    options = draw(seed, scenario="slow-peer", nodes=7, duration_s=DURATION_S, faults=())
    scenario, sight = kind(options), Sight()
    simulation = Simulation(options, checkers=[*all_checkers(), sight], scenario=scenario)
    sight.slow = scenario.slow
    outcome = simulation.run()
    assert outcome.failed == (), outcome.options.command()
    return simulation, sight


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.crowd) for seed in OTHER_SEEDS)])
def test_who_falls_behind_loses_its_place_and_nobody_waits(seed: int) -> None:
    """Held for slow for seconds, and no neighbour of some then; the others' texts take as long as without it."""
    simulation, sight = played(seed)
    world = simulation.world
    assert sum(sight.held.values()) > 50 and sight.parted
    _control, calm = played(seed, NeverThin)
    assert sum(calm.held.values()) == 0 and not calm.parted
    assert statistics.median(sight.others_s) < 1.5 * statistics.median(calm.others_s)
    said = world.timeline(sight.slow or 0, "lobby")
    assert sum(len(each.text) == LONG_BYTES for each in said) > 100


class Longer(SlowPeer):
    """Long texts all the time, of which the line takes a part: what is announced is asked for, and waits."""

    thin_bytes_s = (240_000.0, 260_000.0)
    long_texts = 10_000
    long_every_s = 0.05
    burst = 1


@pytest.mark.crowd
def test_answers_that_wait_on_the_line_are_no_faults() -> None:
    """Whoever announces more than the line can take for long is blamed by nobody."""
    options = draw(11, scenario="slow-peer", nodes=10, duration_s=40.0, faults=())
    outcome = Simulation(options, checkers=all_checkers(), scenario=Longer(options)).run()
    assert outcome.failed == ()
