"""Rooms that are kept by nodes outside them: who writes goes, and who joins later reads it all the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from zmqchat.model.config import Config
from zmqchat.sim.node import NodePlan
from zmqchat.sim.scenarios.scenario import Scenario
from zmqchat.sim.world import World

ROOM: Final = "den"
AUTHOR, READER = 0, 1
SOON_KEPT: Final = Config(keeper_known_s=2.0, keeper_round_s=0.25, keeper_patience_s=0.5)
"""The ten minutes and more that a keeper takes, in three seconds."""
WRITES_S, GOES_S, COMES_S = 0.5, 0.7, 0.85
"""When the author stops writing, when it goes, and when the reader comes, in parts of the run."""


class Keepers(Scenario):
    """One node writes in a room of its own and goes; another joins that room when nobody is in it.

    Where there is no trouble besides, the reader has all of it before the author is back.
    """

    config: ClassVar[Config] = SOON_KEPT
    nodes_drawn: ClassVar[tuple[int, ...]] = (3, 4, 5, 6)
    is_later: ClassVar[bool] = True

    def nodes(self) -> Sequence[NodePlan]:
        """All are in the lobby, and the author in one room more."""
        others = [NodePlan()] * (self.options.nodes - 1)
        return [NodePlan(rooms=("lobby", ROOM)), *others]

    def plan(self, world: World) -> None:
        """The author says something every now and then from the start, so before anybody keeps it, too."""
        end_s, number, at_s = self.options.duration_s, 0, 0.5
        while at_s < end_s * WRITES_S:
            number += 1
            world.at(at_s, world.say, AUTHOR, ROOM, f"text {number}")
            world.at(at_s, world.say, world.rng.randrange(self.options.nodes), "lobby", f"by the way {number}")
            at_s += 0.1 + world.rng.random()
        world.at(end_s * GOES_S, world.stop, AUTHOR)
        world.at(end_s * COMES_S, world.join, READER, ROOM)
        if not self.options.faults:
            world.at(end_s - 0.01, _compare, world)


def _compare(world: World) -> None:
    """The reader has read what the author wrote, though the author is gone."""
    wrote = [said.text for said in world.timeline(AUTHOR, ROOM)]
    read = [said.text for said in world.timeline(READER, ROOM)]
    if world.nodes[AUTHOR].is_up or read != wrote:
        world.fail(f"keepers: node {READER} reads {len(read)} of {len(wrote)} texts of node {AUTHOR}, which is gone")
