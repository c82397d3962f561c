"""A large room of people who all come at once: what `--nodes 1000` is for.

How it works. Everybody is a member of the room already (`founding`), and knows the member records of all others, as in
a mesh that runs. All start within START_S, each has the addresses of CONTACTS others, and nobody hears multicast: so
they find their links, and then they chat, one message every PAUSE_S in the whole room. In `crowd-gather` nobody knows
more than these addresses, as after a night in which all machines were off, and the member records come by gossip.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import ClassVar, Final

from zmqchat.model.config import Config
from zmqchat.sim.checkers.healing import Healing
from zmqchat.sim.checkers.shown import Shown
from zmqchat.sim.checks import Checker
from zmqchat.sim.conditions import LinkQuality
from zmqchat.sim.founding import found
from zmqchat.sim.node import NodePlan
from zmqchat.sim.scenarios.scenario import Scenario
from zmqchat.sim.world import World

ROOM: Final = "lobby"
START_S: Final = 1.0
CONTACTS: Final = 3
CHAT_FROM_S: Final = 5.0
PAUSE_S: Final = (2.0, 8.0)
"""Between two messages of the whole room, (least, most)."""

LOSS: Final = 0.05
SELDOM_S: Final = 60.0

PARTED_S: Final = 12.0
SAID_FROM_S: Final = 15.0
QUIET_S: Final = 5.0
"""Before the network heals nothing is said."""

DOUBT_S: Final = 25.0
"""Rest once all are equal, by which time nobody is suspected any more as one of the other half."""

HALVES_PARTIAL: Final = Config(full_mesh_max=16, full_mesh_again=8)

MESSAGES_PER_NODE: Final = 10
MESSAGES_MUCH: Final = 10_000
BURST: Final = 50


class Crowd(Scenario):
    """Many people in one room, who start at once and chat."""

    have_met: ClassVar[bool] = True
    is_drawn: ClassVar[bool] = False
    nodes_drawn: ClassVar[tuple[int, ...]] = (120,)

    def nodes(self) -> Sequence[NodePlan]:
        """All know a few of the others."""
        rng, count = Random(f"{self.options.seed} crowd"), self.options.nodes
        plans = []
        for number in range(count):
            others = [
                other if other < number else other + 1
                for other in rng.sample(range(count - 1), min(CONTACTS, count - 1))
            ]
            plans.append(NodePlan(rooms=(), start_s=START_S * rng.random(), contacts=tuple(others), discovers=False))
        return plans

    def found(self, world: World) -> None:
        """All are in the room."""
        found(world, ROOM, met=self.have_met)

    def plan(self, world: World) -> None:
        """One message after the other, each by somebody."""
        at_s, number = CHAT_FROM_S, 0
        while at_s < self.options.duration_s:
            number += 1
            world.at(at_s, world.say, world.rng.choice(world.honest), ROOM, f"text {number}")
            at_s += PAUSE_S[0] + (PAUSE_S[1] - PAUSE_S[0]) * world.rng.random()


class CrowdGather(Crowd):
    """The same people, who have never met: the mesh grows from nothing to a partial one by gossip alone."""

    have_met: ClassVar[bool] = False


class CrowdLoss(Crowd):
    """The same with every twentieth packet lost: nobody who lives may be shown offline for long."""

    def checkers(self) -> Sequence[Checker]:
        """Presence does not flap."""
        return (Shown(),)

    def plan(self, world: World) -> None:
        """Chat, seldom: presence is what this is about."""
        world.set_quality(LinkQuality(loss=LOSS, feed_loss=LOSS))
        at_s = CHAT_FROM_S
        while at_s < self.options.duration_s:
            world.at(at_s, world.say, world.rng.choice(world.honest), ROOM, f"text at {at_s:.0f}")
            at_s += SELDOM_S


class CrowdHeal(Crowd):
    """The network falls into halves, in each of which ten messages a node are said; at the end of the run it heals.

    They are said in bursts, as one batch or two each, each burst by somebody of the half at random. The halves of a
    hundred nodes are partial meshes like those of a thousand.
    """

    config: ClassVar[Config] = HALVES_PARTIAL
    rest_s: ClassVar[float] = DOUBT_S

    def checkers(self) -> Sequence[Checker]:
        """What was missing comes soon, and from all sides."""
        return (Healing(self.options.duration_s),)

    def messages(self) -> int:
        """How many are said in each half."""
        return MESSAGES_PER_NODE * self.options.nodes

    def plan(self, world: World) -> None:
        """The halves say as much each."""
        middle = len(world.honest) // 2
        halves = [world.honest[:middle], world.honest[middle:]]
        world.at(PARTED_S, world.partition, halves)
        bursts = max(1, self.messages() // BURST)
        pause_s = max(0.0, self.options.duration_s - QUIET_S - SAID_FROM_S) / bursts
        for half in halves:
            for number in range(bursts):
                author, at_s = world.rng.choice(half), SAID_FROM_S + pause_s * number
                for index in range(BURST):
                    world.at(at_s, world.say, author, ROOM, f"text {number}/{index} of node {author}")


class CrowdHealMuch(CrowdHeal):
    """The same with as much in each half as a thousand nodes say, however few they are."""

    def messages(self) -> int:
        """A thousand nodes say ten each."""
        return MESSAGES_MUCH
