"""People who chat, while nothing goes wrong."""

from __future__ import annotations

from typing import Final

from zmqchat.sim.scenarios.scenario import Scenario
from zmqchat.sim.world import World

FIRST_S: Final = 2.0
PAUSE_S: Final = (0.2, 1.0)
"""Between two messages of the whole room, (least, most)."""


class Chat(Scenario):
    """Everybody who is honest says something now and then."""

    def plan(self, world: World) -> None:
        """One message after the other, each by somebody."""
        at_s, number = FIRST_S, 0
        while at_s < self.options.duration_s:
            number += 1
            world.at(at_s, world.say, world.rng.choice(world.honest), "lobby", f"text {number}")
            at_s += PAUSE_S[0] + (PAUSE_S[1] - PAUSE_S[0]) * world.rng.random()
