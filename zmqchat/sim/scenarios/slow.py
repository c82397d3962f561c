"""One node's way in is thin, and in a mesh of few links more is said than fits through it: it falls behind, alone.

How it works. At first the others say long texts, more than a link's budget and many times what the line takes: the node
is held for slow, gets names only, and after some time is no neighbour any more. Then they chat. The node says something
now and then, too. When its line is whole again it has everything soon.
"""

from __future__ import annotations

from typing import ClassVar, Final

from zmqchat.sim.options import Options
from zmqchat.sim.scenarios.partial import Partial
from zmqchat.sim.world import World

THIN_S: Final = 6.0
"""When the line becomes thin: the mesh is partial by then."""

LONG_BYTES: Final = 60_000
SHORT_EVERY_S: Final = 0.3

OWN_EVERY, OWN_FIRST = 20, 10
"""One in so many texts is the slow node's, and short."""


class SlowPeer(Partial):
    """People who send much to a room, one of whom can't take it in.

    slow          whose line it is
    thin_bytes_s  what it takes a second, (least, most)
    long_texts    so many are long, one every long_every_s, which is 3 MB a second
    """

    nodes_drawn: ClassVar[tuple[int, ...]] = (7, 8)
    thin_bytes_s: ClassVar[tuple[float, float]] = (60_000.0, 240_000.0)
    long_texts: ClassVar[int] = 180
    long_every_s: ClassVar[float] = 0.02

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.slow = 0

    def plan(self, world: World) -> None:
        """Each text by somebody."""
        rng, low, high = world.rng, *self.thin_bytes_s
        self.slow = rng.choice(world.honest)
        others = [node for node in world.honest if node != self.slow]
        world.at(THIN_S, self.thin, world, low + (high - low) * rng.random())
        at_s, number = THIN_S, 0
        while at_s < self.options.duration_s:
            is_long = number < self.long_texts and number % OWN_EVERY != OWN_FIRST
            text = f"text {number} ".ljust(LONG_BYTES if is_long else 0, "x")
            world.at(
                at_s, world.say, rng.choice(others) if number % OWN_EVERY != OWN_FIRST else self.slow, "lobby", text
            )
            at_s += self.long_every_s if number < self.long_texts else SHORT_EVERY_S
            number += 1

    def thin(self, world: World, bytes_s: float) -> None:
        """From now on no more than this comes in."""
        world.network.conditions.inward_bytes_s[self.slow] = bytes_s
