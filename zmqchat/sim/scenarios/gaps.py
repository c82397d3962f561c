"""Networks on which some can't reach each other, and others relay between them: `live` checks how quickly.

Where no trouble is asked for there is one all the same: a relay is killed at HIT of the run, and started again at BACK.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from zmqchat.sim.node import NodePlan
from zmqchat.sim.scenarios.chat import Chat
from zmqchat.sim.world import World

HIT: Final = 0.5
BACK: Final = 0.7


class Gapped(Chat):
    """People who chat where not everybody reaches everybody.

    relays   the nodes of whom one is killed
    """

    relays: Sequence[int] = ()

    def plan(self, world: World) -> None:
        """Talk, and lose a relay."""
        super().plan(world)
        if not self.options.faults and self.relays:
            relay = world.rng.choice(self.relays)
            world.at(HIT * self.options.duration_s, world.kill, relay)
            world.at(BACK * self.options.duration_s, world.restart, relay)


class Subnets(Gapped):
    """Three subnets: the first two joined by two nodes that are in both, the last two by two others."""

    nodes_drawn: ClassVar[tuple[int, ...]] = (7, 9, 11)
    relays = (0, 1, 2, 3)

    def nodes(self) -> Sequence[NodePlan]:
        """Four gateways, the rest dealt out."""
        gateways = [NodePlan(subnets=pair) for pair in (("west", "middle"), ("middle", "east")) for _ in range(2)]
        names = ("west", "east", "middle")
        others = [NodePlan(subnets=(names[number % 3],)) for number in range(max(0, self.options.nodes - 4))]
        return [*gateways, *others][: self.options.nodes]


class Chain(Gapped):
    """Everybody reaches the one before and the one after, nobody else."""

    nodes_drawn: ClassVar[tuple[int, ...]] = (4, 6, 8)

    def nodes(self) -> Sequence[NodePlan]:
        """A subnet for each pair of neighbours."""
        last = self.options.nodes - 1
        self.relays = range(1, last)
        cables = [f"cable{number}" for number in range(max(1, last))]
        return [NodePlan(subnets=tuple(cables[max(0, number - 1) : number + 1])) for number in range(last + 1)]


class Ring(Gapped):
    """The same in a circle: what a dead relay carried comes the other way."""

    nodes_drawn: ClassVar[tuple[int, ...]] = (5, 6, 8)

    def nodes(self) -> Sequence[NodePlan]:
        """A subnet for each pair of neighbours."""
        count = self.options.nodes
        self.relays = range(count)
        return [NodePlan(subnets=(f"cable{number}", f"cable{(number + 1) % count}")) for number in range(count)]


class Isolated(Gapped):
    """Guests of two wireless networks, who reach nobody but the two nodes that run these."""

    nodes_drawn: ClassVar[tuple[int, ...]] = (5, 7, 9)
    relays = (0, 1)

    def nodes(self) -> Sequence[NodePlan]:
        """Each guest is in both networks."""
        return [NodePlan(subnets=("one", "two"))] * self.options.nodes

    def plan(self, world: World) -> None:
        """In each network hosts are kept from each other."""
        for number, name in enumerate(("one", "two")):
            world.network.conditions.subnets[name].gateway = number
        super().plan(world)
