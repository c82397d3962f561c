"""Hostile members in the tree: one who relays nothing, one who announces nothing, one who asks without end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from zmqchat.protocol.effects import Effect, Send
from zmqchat.sim.hostile import Hostile
from zmqchat.sim.node import NodePlan
from zmqchat.sim.scenarios.hostile_member import HostileMember
from zmqchat.sim.world import World
from zmqchat.wire.frames import Page, Push, decode, encode, type_byte
from zmqchat.wire.tree_frames import NO_TREE_ID, Announced, Graft, Holder, Holders, IHave, Prune, Relay, tree_id

IHAVES_AT_ONCE = 200
GRAFTS_AT_ONCE = 100
"""A tenth of a second's: four times what is heeded."""

_PAGE = type_byte(Page)
_RELAYED = frozenset({type_byte(Relay), type_byte(IHave), type_byte(Push)})


class HostileRelay(HostileMember):
    """One of two gateways between two subnets passes nothing on, answers every request with nothing, and tells each
    author that everybody has everything."""

    def nodes(self) -> Sequence[NodePlan]:
        """Half of the others in each subnet; the honest gateway is the last but one."""
        plans = [NodePlan(subnets=("east", "west")[number % 2 :][:1]) for number in range(self.options.nodes - 2)]
        both = ("east", "west")
        return [*plans, NodePlan(subnets=both), NodePlan(subnets=both, tamper=self.tamper)]

    def tamper(self, effect: Effect) -> Effect | None:
        """What others said goes nowhere."""
        if isinstance(effect, Send):
            if effect.payload[0] in _RELAYED:
                return None
            if effect.payload[0] == _PAGE:
                page = decode(effect.payload)
                assert isinstance(page, Page)
                return replace(effect, payload=encode(replace(page, batches=(), done=True)))
        return effect

    def attack(self, world: World, hostile: Hostile) -> None:
        """Ask to be sent everything, and claim that it has arrived."""
        hostile.repeat(lambda: self._claim(world, hostile), every_s=0.5)

    def _claim(self, world: World, hostile: Hostile) -> None:
        room = world.room("lobby")
        hostile.tell_all(Graft(room=room, id=NO_TREE_ID))
        peers = sorted(world.nodes[number].peer for number in world.honest)
        for author, log, branch in hostile.logs(room):
            holders = tuple(Holder(peer, 1 << 40) for peer in peers)
            hostile.tell_all(Holders(room=room, author=author, log=log, branch=branch, holders=holders))


class HostileIHave(HostileMember):
    """One announces batches that are nowhere."""

    def attack(self, world: World, hostile: Hostile) -> None:
        """A few hundred at a time."""
        hostile.repeat(lambda: self._announce(world, hostile), every_s=0.1)

    def _announce(self, world: World, hostile: Hostile) -> None:
        entries = tuple(Announced(hostile.rng.randbytes(16), 1) for _ in range(IHAVES_AT_ONCE))
        hostile.tell_all(IHave(room=world.room("lobby"), entries=entries))


class HostileGraft(HostileMember):
    """One asks for every batch of the room again and again, and for its place in the tree to come and go."""

    def attack(self, world: World, hostile: Hostile) -> None:
        """Ten times a second."""
        hostile.repeat(lambda: self._ask(world, hostile), every_s=0.1)

    def _ask(self, world: World, hostile: Hostile) -> None:
        room = world.room("lobby")
        names = [tree_id(raw) for _key, raw in world.nodes[hostile.number].disk.batches(room)] or [NO_TREE_ID]
        for _ in range(GRAFTS_AT_ONCE):
            hostile.tell_all(Graft(room=room, id=hostile.rng.choice(names)), Prune(room=room))
