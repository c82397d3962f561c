"""A small mesh that is partial: each node keeps a few links only, and messages travel over others."""

from __future__ import annotations

from typing import ClassVar, Final

from zmqchat.model.config import Config
from zmqchat.sim.scenarios.chat import Chat
from zmqchat.sim.scenarios.rooms import Rooms
from zmqchat.sim.world import World

SMALL_PARTIAL = Config(full_mesh_max=6, full_mesh_again=4, neighbours=4)
"""The bounded overlay from 7 nodes on, so that small runs meet it."""

ASKED_S: Final = 30.0
"""In this an author that waits for word of a member far away has asked for it (`protocol/asking`)."""

CALM_AFTER_S: Final = 6.0
ROUNDS: Final = 4
ROUND_S: Final = 6.6
"""After the troubles: one node goes or comes, and some time later there is talk, for so many rounds."""

TALK_AFTER_S: Final = 3.4
TALK_S: Final = (0.1, 0.3)
TEXTS: Final = 8
"""A round's talk begins this long after its change, and has so many texts, (least, most) after one another."""


class Partial(Chat):
    """People who chat in a mesh of few links."""

    asked_s: ClassVar[float] = ASKED_S
    config: ClassVar[Config] = SMALL_PARTIAL
    nodes_drawn: ClassVar[tuple[int, ...]] = (8, 9, 10)


class PartialRooms(Rooms):
    """People who come and go in a mesh of few links, through nodes that are in other rooms."""

    settle_s: ClassVar[float] = 4 * Config().visit_interval_s  # a room's members may find each other by a visit only
    asked_s: ClassVar[float] = ASKED_S
    config: ClassVar[Config] = SMALL_PARTIAL
    nodes_drawn: ClassVar[tuple[int, ...]] = (8, 9, 10)


class Calm(Partial):
    """A mesh of few links that has had its troubles: now and then a node goes or comes, and then the others talk."""

    rest_s: ClassVar[float] = CALM_AFTER_S + ROUNDS * ROUND_S

    def plan(self, world: World) -> None:
        """Each that goes comes back in the next round."""
        super().plan(world)
        rng, goes = world.rng, 0
        for number in range(ROUNDS):
            at_s = self.options.duration_s + CALM_AFTER_S + number * ROUND_S
            if number % 2:
                world.at(at_s, world.restart, goes)
            else:
                goes = rng.choice(world.honest)
                world.at(at_s, world.stop, goes)
            speakers = rng.sample([node for node in world.honest if node != goes], min(2, len(world.honest) - 1))
            at_s += TALK_AFTER_S
            for text in range(TEXTS):
                world.at(at_s, world.say, rng.choice(speakers), "lobby", f"calm text {number}.{text}")
                at_s += TALK_S[0] + (TALK_S[1] - TALK_S[0]) * rng.random()
