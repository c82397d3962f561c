"""A mesh that grows until each node keeps few links, shrinks until all link to all, and grows again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from zmqchat.model.config import Config
from zmqchat.sim.node import NodePlan
from zmqchat.sim.scenarios.chat import Chat
from zmqchat.sim.scenarios.partial import ASKED_S, SMALL_PARTIAL
from zmqchat.sim.world import World

UP_UNTIL, DOWN_FROM, DOWN_UNTIL, AGAIN_FROM, AGAIN_UNTIL = 0.15, 0.3, 0.4, 0.8, 0.9
"""The parts of the run in which nodes start, in which they stop, and in which they start again."""


class Switch(Chat):
    """Through both bounds of `full_mesh_max` and `full_mesh_again`, in each direction."""

    asked_s: ClassVar[float] = ASKED_S
    config: ClassVar[Config] = SMALL_PARTIAL
    is_drawn: ClassVar[bool] = False
    nodes_drawn: ClassVar[tuple[int, ...]] = (8, 9)

    @property
    def steady(self) -> int:
        """How many stay all the time: few enough for a full mesh."""
        return self.config.full_mesh_again - 1

    def nodes(self) -> Sequence[NodePlan]:
        """All others start one after the other."""
        steady = min(self.steady, self.options.nodes)
        starts_s = self._spread(0.0, UP_UNTIL, self.options.nodes - steady)
        return [NodePlan()] * steady + [NodePlan(start_s=start_s) for start_s in starts_s]

    def plan(self, world: World) -> None:
        """They stop in the same order, and come back."""
        super().plan(world)
        passing = range(self.steady, self.options.nodes)
        for node, at_s in zip(passing, self._spread(DOWN_FROM, DOWN_UNTIL, len(passing)), strict=True):
            world.at(at_s, world.stop, node)
        for node, at_s in zip(passing, self._spread(AGAIN_FROM, AGAIN_UNTIL, len(passing)), strict=True):
            world.at(at_s, world.restart, node)

    def _spread(self, first: float, last: float, count: int) -> list[float]:
        """So many moments between two parts of the run, each as far from the next."""
        return [self.options.duration_s * (first + (last - first) * index / max(1, count)) for index in range(count)]


class SwitchAtScale(Switch):
    """The same at the real bounds."""

    config: ClassVar[Config] = Config()
    nodes_drawn: ClassVar[tuple[int, ...]] = (100,)
