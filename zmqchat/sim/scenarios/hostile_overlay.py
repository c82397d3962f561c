"""Hostile members who lie about who there is: made-up members, rumours of death, a crowd around one node."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Final

from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.model.limits import RECORDS_PER_FRAME_MAX, SHUFFLE_ENTRIES_MAX
from zmqchat.protocol.effects import DialDoor, Effect
from zmqchat.sim.hostile import Hostile, made_up_contact
from zmqchat.sim.node import NodePlan
from zmqchat.sim.routes import PORTS
from zmqchat.sim.scenarios.chat import Chat
from zmqchat.sim.scenarios.hostile_member import HostileMember
from zmqchat.sim.world import World
from zmqchat.wire.overlay_frames import Contact, ForwardJoin, Shuffle, ShuffleReply
from zmqchat.wire.roster_frames import DEAD, Liveness, LivenessEntry, Records


class HostileGossip(HostileMember):
    """One tells of members that he made up, says that all others are dead, and last signs records in their names."""

    def attack(self, world: World, hostile: Hostile) -> None:
        """Lies that cost nothing first; the forged records, for which everybody hangs up, in the second half."""
        forged_s = self.options.duration_s / 2
        hostile.repeat(lambda: self._lie(world, hostile), every_s=0.25)
        hostile.repeat(lambda: self._forge(world, hostile), every_s=1.0, from_s=forged_s)

    def _lie(self, world: World, hostile: Hostile) -> None:
        rng = hostile.rng
        made_up = [made_up_contact(rng) for _ in range(RECORDS_PER_FRAME_MAX)]
        records = tuple(hostile.record(contact, version=hostile.wall_ms) for contact in made_up)
        for peer in hostile.linked():
            entries = tuple(made_up[:SHUFFLE_ENTRIES_MAX])
            # A walk in the name of an honest node, who is said to be where nobody is.
            origin = Contact(world.nodes[rng.choice(world.honest)].peer, made_up[-1].endpoints)
            token = rng.getrandbits(63)
            hostile.send(peer, Records(records=records, news=True), ForwardJoin(newcomer=made_up[0], hops=6))
            hostile.send(peer, Shuffle(origin=origin, token=token, hops=6, entries=entries))
            hostile.send(peer, ShuffleReply(token=token, entries=entries))
        process = world.nodes[hostile.number].process
        if process is not None:
            known = [process.machines.roster.record(world.nodes[number].peer) for number in world.honest]
            dead = tuple(LivenessEntry(record.peer, record.version, DEAD) for record in known if record is not None)
            hostile.tell_all(Liveness(entries=dead))

    def _forge(self, world: World, hostile: Hostile) -> None:
        victim = Contact(world.nodes[hostile.rng.choice(world.honest)].peer, made_up_contact(hostile.rng).endpoints)
        record = hostile.record(victim, version=hostile.wall_ms + 1_000_000, forged=True)
        hostile.tell_all(Records(records=(record,), news=True))


class HostileEclipse(Chat):
    """Two hundred identities from one subnet ask one node for links, and tell it of each other only."""

    honest: Final = 6
    victim: Final = 0
    config: ClassVar[Config] = Config()
    nodes_drawn: ClassVar[tuple[int, ...]] = (206,)
    is_drawn: ClassVar[bool] = False

    def nodes(self) -> Sequence[NodePlan]:
        """The victim is in both subnets; the crowd knows its address."""
        honest = min(self.honest, self.options.nodes - 1)
        plans = [NodePlan(subnets=("crowd", "lan") if number == self.victim else ("lan",)) for number in range(honest)]
        crowd = NodePlan(subnets=("crowd",), contacts=(self.victim,), discovers=False, tamper=self._tamper)
        return plans + [crowd] * (self.options.nodes - honest)

    def plan(self, world: World) -> None:
        """People chat; the crowd comes at once, and swaps made-up contacts for real ones."""
        super().plan(world)
        self._victims = world.network.conditions.hosts(self.victim)
        for number in sorted(world.hostile):
            hostile = Hostile(world, number)
            hostile.repeat(partial(self._lie, world, hostile), every_s=2.0, from_s=hostile.rng.uniform(1.0, 3.0))

    def _tamper(self, effect: Effect) -> Effect | None:
        """Nobody of the crowd dials anybody but the victim."""
        return None if isinstance(effect, DialDoor) and effect.endpoint.host not in self._victims else effect

    def _lie(self, world: World, hostile: Hostile) -> None:
        rng = hostile.rng
        crowd = [world.nodes[rng.choice(sorted(world.hostile))] for _ in range(SHUFFLE_ENTRIES_MAX)]
        hosts = [world.network.conditions.hosts(node.number)[0] for node in crowd]
        entries = tuple(Contact(node.peer, (Endpoint(host, *PORTS),)) for node, host in zip(crowd, hosts, strict=True))
        hostile.tell_all(Shuffle(origin=entries[0], token=rng.getrandbits(63), hops=1, entries=entries))
