"""What every scenario is: nodes, and commands that are planned from the seed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from zmqchat.model.config import Config
from zmqchat.sim.checks import Checker
from zmqchat.sim.node import NodePlan
from zmqchat.sim.options import Options
from zmqchat.sim.world import World


class Scenario(ABC):
    """One kind of run.

    settle_s      how long the nodes may take to agree once all is whole
    rest_s        how long they run on then, so that what would still change does
    asked_s       and how much longer at most, while word of who is in a room, or of who holds its texts, is on its way
    nodes_drawn   how many nodes it may have where no number is asked for; none: as any other scenario
    is_drawn      whether the swarm plays it unasked, and with any kind of trouble
    is_later      it came when seeds had been looked at already, and is drawn by a generator of its own, so that the
                  seeds of before mean what they did
    usual_faults  the kinds of trouble that it is about, met where none are asked for; none: drawn from the seed
    """

    settle_s: ClassVar[float] = 60.0
    rest_s: ClassVar[float] = 8.0
    asked_s: ClassVar[float] = 0.0
    config: ClassVar[Config] = Config()
    nodes_drawn: ClassVar[tuple[int, ...]] = ()
    is_drawn: ClassVar[bool] = True
    is_later: ClassVar[bool] = False
    usual_faults: ClassVar[tuple[str, ...]] = ()

    def __init__(self, options: Options) -> None:
        self.options = options

    def nodes(self) -> Sequence[NodePlan]:
        """How each node begins; all of one subnet, and in the lobby, unless said otherwise."""
        return [NodePlan()] * self.options.nodes

    def checkers(self) -> Sequence[Checker]:
        """What must hold here besides what must everywhere."""
        return ()

    def found(self, world: World) -> None:  # noqa: B027  # most rooms are founded in the run itself
        """Make what was there before the first node starts."""

    @abstractmethod
    def plan(self, world: World) -> None:
        """Schedule what is to happen, with `world.at` and the chance of `world.rng`."""
