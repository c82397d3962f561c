"""Programs that stream beside people who chat: full batches, pages, and logs of which a part is missing."""

from __future__ import annotations

from typing import Final

from zmqchat.sim.scenarios.scenario import Scenario
from zmqchat.sim.world import World

BURSTS_PER_10_S: Final = 4
BURST_TEXTS: Final = (1, 10, 60)
TEXT_CHARACTERS: Final = (10, 400, 8_000)


class Stream(Scenario):
    """Bursts of texts, short and long, each from one node."""

    def plan(self, world: World) -> None:
        """Some bursts at any time."""
        rng = world.rng
        bursts = max(2, int(self.options.duration_s * BURSTS_PER_10_S / 10))
        for burst in range(bursts):
            at_s = 1.0 + (self.options.duration_s - 1.0) * rng.random()
            node, characters = rng.randrange(self.options.nodes), rng.choice(TEXT_CHARACTERS)
            pause_s = rng.choice((0.0, 0.003, 0.05))
            for number in range(rng.choice(BURST_TEXTS)):
                text = f"text {burst}.{number} ".ljust(characters, "x")
                world.at(at_s + number * pause_s, world.say, node, "lobby", text)
