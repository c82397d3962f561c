"""Whole nodes in the simulator: every machine, disks of 2 ms, links of 5 to 15 ms; and an ear on all of them.

Up to GRADUAL_MAX nodes start one after the other, each with the address of one that is there. More of them start
at once, knowing all members, as in a mesh that runs. All are in one room, and have everybody's word of that on disk
from the start (`founding`): to hear it from each other is n² messages, which are no part of what is measured here.
Neither is multicast, which is off.
"""

from __future__ import annotations

import time
from random import Random
from typing import Final, NamedTuple

from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId
from zmqchat.protocol.effects import Deliver, Effect
from zmqchat.protocol.facts import Fact, FeedReceived, FrameReceived
from zmqchat.sim.conditions import LinkQuality
from zmqchat.sim.founding import found
from zmqchat.sim.node import NodePlan
from zmqchat.sim.options import Options
from zmqchat.sim.routes import HEADER_BYTES
from zmqchat.sim.watch import Watch
from zmqchat.sim.world import World

ROOM: Final = "lobby"
GRADUAL_MAX: Final = 256
STARTED_PER_S: Final = 20.0
START_S: Final = 1.0
"""How long it takes until all have started where there are more than GRADUAL_MAX."""
SETTLED_S: Final = 20.0
LATENCY_S: Final = (0.005, 0.015)
"""One way, drawn for each connection."""
MESSAGE_S: Final = 2.0
"""Between two messages of which each is followed: all of one is over before the next."""


class Ear:
    """Hears every fact and effect of all nodes (`TraceSink`).

    received_bytes   what all nodes together got over their links
    delivered_s      when each node gave its user a batch of the followed author
    copies, first_copies   how often the followed text was carried over a link, and over one of its author's
    """

    def __init__(self) -> None:
        self.received_bytes = 0
        self.follow(None, "")

    def follow(self, author: PeerId | None, text: str) -> None:
        """From now on this author's text is looked out for."""
        self.delivered_s: dict[int, float] = {}
        self.copies = self.first_copies = 0
        self._author = author
        self._text = text.encode()

    def at(self, now_s: float, node: int, what: Fact | Effect) -> None:
        """Count it."""
        if isinstance(what, FrameReceived | FeedReceived):
            self.received_bytes += len(what.payload) + HEADER_BYTES
            if self._author is not None and self._text in what.payload:
                self.copies += 1
                self.first_copies += what.peer == self._author
        elif isinstance(what, Deliver) and what.arrival.key.author == self._author:
            self.delivered_s.setdefault(node, now_s)


class Cost(NamedTuple):
    """What some time cost all nodes together; cpu_s is this machine's for machines and simulator."""

    received_bytes: int
    facts: int
    cpu_s: float


class Mesh:
    """A world that has settled, with everybody in one room."""

    def __init__(self, count: int, seed: int, config: Config | None = None) -> None:
        plans = _plans(count, seed)
        self.count = count
        self.ear = Ear()
        self.world = World(Options(seed=seed, nodes=count), plans, Watch((), self.ear), config)
        found(self.world, ROOM, met=count > GRADUAL_MAX)
        self.world.set_quality(LinkQuality(latency_s=LATENCY_S, jitter=0.0))
        self.run(max(plan.start_s or 0.0 for plan in plans) + SETTLED_S)
        self._said = 0

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.world.schedule.run_until(self.world.now_s + seconds)

    def cost(self, seconds: float) -> Cost:
        """What this much time costs."""
        received, facts, cpu_s = self.ear.received_bytes, self.world.facts, time.process_time()
        self.run(seconds)
        return Cost(self.ear.received_bytes - received, self.world.facts - facts, time.process_time() - cpu_s)

    def links(self) -> float:
        """How many links a node has, on the average."""
        processes = [node.process for node in self.world.nodes]
        return sum(len(process.machines.peers.linked) for process in processes if process is not None) / self.count

    def say(self, number: int) -> str:
        """A node says a short text, which is given back."""
        self._said += 1
        text = f"this is text number {self._said:05}"
        assert self.world.say(number, ROOM, text), "not accepted"
        return text

    def delays_ms(self, number: int) -> list[float]:
        """A node says something: after how long each other one has it on disk and gives it to its user, rising."""
        begun_s = self.world.now_s
        self.ear.follow(self.world.nodes[number].peer, self.say(number))
        self.run(MESSAGE_S)
        found = [at_s - begun_s for node, at_s in self.ear.delivered_s.items() if node != number]
        assert len(found) == self.count - 1, f"{len(found)} of {self.count - 1} got it"
        return sorted(1000 * delay_s for delay_s in found)


def _plans(count: int, seed: int) -> list[NodePlan]:
    """When each starts, and whose address it has."""
    chance = Random(f"{seed} contacts")
    plans = []
    for number in range(count):
        is_gradual = count <= GRADUAL_MAX
        start_s = number / STARTED_PER_S if is_gradual else START_S * number / count
        contact = chance.randrange(number if is_gradual else count - 1) if number else None
        if contact is not None and not is_gradual and contact >= number:
            contact += 1
        plans.append(
            NodePlan(rooms=(), start_s=start_s, discovers=False, contacts=() if contact is None else (contact,))
        )
    return plans
