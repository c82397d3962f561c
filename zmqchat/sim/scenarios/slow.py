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
    long_texts    so many are long, one every long_every_s on average, which is 3 MB a second
    burst         so many of them are said at once by one author, and go as a batch or two: the same in fewer frames
    """

    nodes_drawn: ClassVar[tuple[int, ...]] = (7, 8)
    thin_bytes_s: ClassVar[tuple[float, float]] = (60_000.0, 240_000.0)
    long_texts: ClassVar[int] = 180
    long_every_s: ClassVar[float] = 0.02
    burst: ClassVar[int] = 4

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.slow = 0

    def plan(self, world: World) -> None:
        """Each text by somebody."""
        rng, low, high = world.rng, *self.thin_bytes_s
        self.slow = rng.choice(world.honest)
        others = [node for node in world.honest if node != self.slow]
        world.at(THIN_S, self.thin, world, low + (high - low) * rng.random())
        at_s, number, speaker = THIN_S, 0, others[0]
        while at_s < self.options.duration_s:
            is_long, is_own = number < self.long_texts, number % OWN_EVERY == OWN_FIRST
            if not is_own and (not is_long or number % self.burst == 0):
                speaker = rng.choice(others)
            text = f"text {number} ".ljust(LONG_BYTES if is_long and not is_own else 0, "x")
            world.at(at_s, world.say, self.slow if is_own else speaker, "lobby", text)
            number += 1
            if not is_long:
                at_s += SHORT_EVERY_S
            elif number % self.burst == 0:
                at_s += self.burst * self.long_every_s

    def thin(self, world: World, bytes_s: float) -> None:
        """From now on no more than this comes in."""
        world.network.conditions.inward_bytes_s[self.slow] = bytes_s
