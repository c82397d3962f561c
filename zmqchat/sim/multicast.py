"""Discovery in a simulated network: within a subnet, whoever starts is heard by all, and hears of all.

As mDNS does, it repeats itself a few times, since multicast is lost easily; it tells a door and a peer id, no more.
In a large mesh only those announce themselves whom `Advertising` has chosen. What a node says reaches those that
discover and that the network lets it reach at that moment.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from zmqchat.model.addresses import Endpoint
from zmqchat.protocol.facts import PeerSighted
from zmqchat.sim.routes import DOORS_PORT

if TYPE_CHECKING:
    from zmqchat.sim.world import World

REPEATS_S: Final = (0.1, 1.1, 3.1)
"""When a node tells of itself after its start (RFC 6762, 8.3: at least twice, a second apart)."""

ROUND_S: Final = 60.0
"""How often browsers ask anew, so that what a partition kept apart finds together."""


class Multicast:
    """Tells nodes of each other."""

    def __init__(self, world: World, rng: Random) -> None:
        self._world = world
        self._rng = rng

    def started(self, number: int) -> None:
        """This node announces itself, and asks who is there."""
        life = self._world.nodes[number].lives
        for delay_s in REPEATS_S:
            self._world.schedule.after(delay_s + 0.1 * self._rng.random(), self._tell, number, life, False)
        self._world.schedule.after(ROUND_S * (0.5 + self._rng.random()), self._tell, number, life, True)

    def _tell(self, number: int, life: int, is_round: bool) -> None:
        world = self._world
        node = world.nodes[number]
        if node.lives != life or not node.is_up:
            return
        if is_round:
            world.schedule.after(ROUND_S, self._tell, number, life, True)
        if not node.is_responsive:
            return
        conditions = world.network.conditions
        for subnet in conditions.subnets_of(number):
            for other in conditions.in_subnet(subnet):
                if other != number and world.nodes[other].plan.discovers:
                    if conditions.hears(other, number, subnet):
                        self._sight(other, number, subnet)
                    if conditions.hears(number, other, subnet):
                        self._sight(number, other, subnet)

    def _sight(self, listener: int, speaker: int, subnet: str) -> None:
        process = self._world.nodes[listener].process
        node = self._world.nodes[speaker]
        if process is not None and node.is_responsive and node.process is not None and node.process.advertises:
            host = self._world.network.conditions.host_in(speaker, subnet)
            sighted = PeerSighted(endpoint=Endpoint(host, DOORS_PORT), peer=node.peer, source="mdns")
            self._world.schedule.after(0.001 + 0.02 * self._rng.random(), process.feed, sighted)
