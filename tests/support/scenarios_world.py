"""The simulator's world as a scenario wants it: nodes with names, round times, and frames that are lost on purpose.

Chance is at its middle: a wait of 4 to 6 seconds is 5, each frame takes 1 ms, a commit 2 ms. Whom a machine picks at
random still comes from a seed. Peer ids are in the order of the names, so that a reader knows who is the lower one.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from zmqchat.model.config import Config
from zmqchat.model.ids import PEER_ID_BYTES, PeerId, RoomId
from zmqchat.protocol.effects import Effect
from zmqchat.protocol.facts import Fact
from zmqchat.sim.clocks import Clock
from zmqchat.sim.conditions import LinkQuality
from zmqchat.sim.disk import Disk
from zmqchat.sim.network import Connection, Network
from zmqchat.sim.node import NodePlan, SimNode
from zmqchat.sim.options import Options
from zmqchat.sim.reading import Application
from zmqchat.sim.watch import Watch
from zmqchat.sim.world import World
from zmqchat.wire.frames import type_byte

ROUND: Final = LinkQuality(latency_s=(0.001, 0.001), jitter=0.0)


class MiddleRandom(Random):
    """Draws the middle of each range, and picks by seed."""

    def random(self) -> float:
        """Neither early nor late."""
        return 0.5

    def getrandbits(self, k: int, /) -> int:
        """Of the seed, as bytes and choices need it."""
        return super().getrandbits(k)


def named_peer(name: str) -> PeerId:
    """The id of whoever goes by this name."""
    return PeerId(name.encode().ljust(PEER_ID_BYTES, b"-"))


class LossyNetwork(Network):
    """Loses the frames that a scenario names: (sender, receiver, type byte)."""

    lost: set[tuple[int, int, int]]

    def _put(self, connection: Connection, forth: bool, room: RoomId | None, payload: bytes) -> bool:
        ends = (connection.dialler.number, connection.listener.number)
        sender, receiver = ends if forth else ends[::-1]
        is_subscription = connection.is_feed and forth
        if not is_subscription and (sender, receiver, payload[0]) in self.lost:
            return True
        return super()._put(connection, forth, room, payload)


class ScenarioWorld(World):
    """A world of named nodes that wait to be started."""

    def __init__(self, names: Sequence[str], subnets: Sequence[tuple[str, ...]], config: Config) -> None:
        self.names = list(names)
        plans = [NodePlan(rooms=(), start_s=None, discovers=False, subnets=subnet) for subnet in subnets]
        super().__init__(Options(seed=1, nodes=len(plans)), plans, Watch((), None), config)
        self.network = self.lossy = LossyNetwork(self.schedule, self.network.conditions, self._generator("network"))
        self.lossy.lost = set()
        self.set_quality(ROUND)

    def _generator(self, part: str) -> Random:
        return MiddleRandom(f"{self.options.seed} {part}")

    def _node(self, number: int, plan: NodePlan) -> SimNode:
        name = self.names[number]
        peer = named_peer(name)
        self.network.conditions.settle(number, plan.subnets)
        application = Application(number, peer, self.watch, self.texts, is_watched=False)
        disk = Disk(number.to_bytes(16, "big"), self._pool)
        return SimNode(number, name, peer, plan, disk, Clock(booted_s=1_000.0), application)

    def lose(self, sender: int, receiver: int, frame: type, *, lost: bool) -> None:
        """Let no frame of this type pass from one node to another, or let it pass again."""
        place = (sender, receiver, type_byte(frame))
        if lost:
            self.lossy.lost.add(place)
        else:
            self.lossy.lost.discard(place)


class Tap:
    """A trace sink that gives what happens to whoever listens."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, int, Fact | Effect]] = []

    def at(self, now_s: float, node: int, what: Fact | Effect) -> None:
        """Keep it."""
        self.seen.append((now_s, node, what))

    def taken(self) -> list[tuple[float, int, Fact | Effect]]:
        """What was seen since the last call."""
        seen, self.seen = self.seen, []
        return seen
