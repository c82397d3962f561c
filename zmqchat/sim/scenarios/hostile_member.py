"""What all scenarios with a hostile member share: honest people who chat, and one who does what he likes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from zmqchat.model.config import Config
from zmqchat.protocol.effects import Effect
from zmqchat.sim.hostile import Hostile
from zmqchat.sim.node import NodePlan
from zmqchat.sim.scenarios.chat import Chat
from zmqchat.sim.scenarios.partial import SMALL_PARTIAL
from zmqchat.sim.world import World


class HostileMember(Chat):
    """The last node is hostile; the others chat in a mesh of few links, with him as a neighbour of some.

    hostile   the voice of the hostile node, once the run is planned
    """

    config: ClassVar[Config] = SMALL_PARTIAL
    nodes_drawn: ClassVar[tuple[int, ...]] = (8, 9)
    is_drawn: ClassVar[bool] = False
    hostile: Hostile

    def nodes(self) -> Sequence[NodePlan]:
        """Honest nodes, and the hostile one."""
        return [NodePlan()] * (self.options.nodes - 1) + [NodePlan(tamper=self.tamper)]

    def plan(self, world: World) -> None:
        """People chat while the attack runs."""
        super().plan(world)
        self.hostile = Hostile(world, self.options.nodes - 1)
        self.attack(world, self.hostile)

    def tamper(self, effect: Effect) -> Effect | None:
        """What comes of this wish of the hostile node's machines; unless said otherwise they have their will."""
        return effect

    @abstractmethod
    def attack(self, world: World, hostile: Hostile) -> None:
        """Schedule what the hostile node does."""
