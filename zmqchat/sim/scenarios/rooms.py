"""People who come and go: several rooms, joined and left and joined again, late starters, other names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from zmqchat.sim.node import NodePlan
from zmqchat.sim.scenarios.scenario import Scenario
from zmqchat.sim.world import World

ROOMS: Final = ("lobby", "kitchen", "workshop")
PAUSE_S: Final = (0.1, 0.8)
"""Between two things that anybody does, (least, most)."""


class Rooms(Scenario):
    """Everybody now and then says something, joins a room, or leaves one."""

    def nodes(self) -> Sequence[NodePlan]:
        """Half of them start at once, the others at any time up to the middle of the run."""
        nodes = []
        for number in range(self.options.nodes):
            start_s = 0.0 if number % 2 == 0 else self.options.duration_s * number / (2 * self.options.nodes)
            nodes.append(NodePlan(rooms=ROOMS[: 1 + number % len(ROOMS)], start_s=start_s))
        return nodes

    def plan(self, world: World) -> None:
        """One act after the other, each by somebody."""
        rng, number = world.rng, 0
        at_s = 1.0
        while at_s < self.options.duration_s:
            number += 1
            node, room, chance = rng.randrange(self.options.nodes), rng.choice(ROOMS), rng.random()
            if chance < 0.1:
                world.at(at_s, world.join, node, room)
            elif chance < 0.25 and room != "lobby":
                world.at(at_s, world.leave, node, room)
            else:
                world.at(at_s, world.say, node, room, f"text {number}")
            at_s += PAUSE_S[0] + (PAUSE_S[1] - PAUSE_S[0]) * rng.random()
