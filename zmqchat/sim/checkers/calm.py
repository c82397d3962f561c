"""What a partial mesh owes its users while nobody disturbs it: each message goes through it once, and fast.

How it works. A mesh is calm from CALM_S after the last change of a link, of who is in which room, of a disk or of the
network. Then its trees are drawn by the next messages (`protocol/trees`: by those of one author, the first of those
who spoke lately), DRAWING of them, and from then on each costs a payload a node, however many links there are. And
where a tree has lost a link, who is behind it asks another one within a tenth of a second (GRAFT), so nobody waits.

Watched in small meshes only: in large ones somebody always comes or goes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from zmqchat.history.batch import BatchHeader, peek
from zmqchat.model.ids import MessageId, PeerId, RoomId
from zmqchat.sim.checkers.base import Base, named
from zmqchat.sim.checks import CheckFailed
from zmqchat.wire.frames import type_byte
from zmqchat.wire.tree_frames import RELAY_BYTE, Graft, tree_id

if TYPE_CHECKING:
    from zmqchat.sim.world import World

CALM_S: Final = 2.0
"""How long after the last change a mesh is calm: a link takes this long to be settled between its two ends."""

RTT_S_MAX: Final = 0.025
"""What a node may believe of a link's round trip: with more it waits longer before it asks."""

SPOKE_LATELY_S: Final = 11.0
"""Whose messages may draw the tree: `trees.DRAWS_S` and a second for what is under way."""

DRAWING: Final = 2
"""Messages of that author after which the tree is drawn."""

LATE_S: Final = 0.45
"""What a message may take in a calm mesh of a few hops of a millisecond: up to four links that have to be asked. What
comes by HAVE or by an exchange takes longer."""

JUDGED_AFTER_S: Final = 1.5

_GRAFT: Final = type_byte(Graft)

_State = list[tuple[int, frozenset[PeerId], tuple[RoomId, ...]]]


class Calm:
    """Tells since when a mesh has been left alone.

    since_s  None while it is not calm
    """

    def __init__(self) -> None:
        self.since_s: float | None = None
        self._looked_s = -1.0
        self._changed_s = 0.0
        self._state: _State | None = None

    def look(self, world: World) -> bool:
        """Whether it is calm now; several may ask at one moment."""
        if world.now_s == self._looked_s:
            return self.since_s is not None
        self._looked_s = world.now_s
        state = self._state_of(world)
        if state is None or state != self._state:
            self._changed_s = world.now_s
        self._state = state
        is_calm = world.now_s >= self._changed_s + CALM_S
        self.since_s = self._changed_s + CALM_S if is_calm else None
        return is_calm

    def _state_of(self, world: World) -> _State | None:
        """What must not change; None where there is trouble, no partial mesh, or one that has come apart."""
        if not world.network.conditions.is_whole:
            return None
        state: _State = []
        for node in world.nodes:
            process = node.process
            if process is None:
                continue
            if process.paused_s is not None or process.is_stopping or not node.disk.is_fine:
                return None
            machines = process.machines
            linked = machines.peers.linked
            if not machines.overlay.is_partial or any(machines.presence.rtt_s(peer) > RTT_S_MAX for peer in linked):
                return None
            rooms = tuple(machines.data.ledger.joined_rooms())
            state.append((node.number, linked, rooms))
        return state if state == self._state or _is_connected(world, state) else None


def _is_connected(world: World, state: _State) -> bool:
    """Whether links lead from each node to each other; what has come apart is found by `overlay`'s visits, in time."""
    links = {number: linked for number, linked, _rooms in state}
    reached, waiting = set(list(links)[:1]), list(links)[:1]
    while waiting:
        for peer in links[waiting.pop()]:
            number = world.number_of(peer)
            if number in links and number not in reached:
                reached.add(number)
                waiting.append(number)
    return len(reached) == len(links)


@dataclass(slots=True)
class _Relayed:
    """A batch on its way through a tree that is drawn."""

    first_s: float
    author: PeerId
    number: int
    nodes: dict[int, int] = field(default_factory=dict)


class Tree(Base):
    """In a calm mesh whose trees are drawn a message comes to each node once."""

    name = "tree"

    def __init__(self, calm: Calm | None = None) -> None:
        self._calm = calm or Calm()
        self._world: World | None = None
        self._relayed: dict[bytes, _Relayed | None] = {}
        self._spoke_s: dict[tuple[RoomId, PeerId], float] = {}
        self._drew: dict[tuple[RoomId, PeerId], int] = {}

    def step(self, world: World) -> None:
        """Look whether it is calm, and at what has gone through it."""
        if world.watched != world.honest:
            return
        if self._world is None:
            self._world = world
            world.network.tap = self._arrived
        if not self._calm.look(world):
            self._begin_anew()
            return
        for name, relayed in self._relayed.items():
            if relayed is not None and world.now_s >= relayed.first_s + JUDGED_AFTER_S:
                self._relayed[name] = None
                twice = sum(relayed.nodes.values()) - len(relayed.nodes)
                if twice:
                    author = world.number_of(relayed.author)
                    raise CheckFailed(f"number {relayed.number} of node {author} came {twice} times to who had it")

    def _arrived(self, node: int, payload: bytes) -> None:
        """A frame has come to a node by a direct link."""
        if payload[0] == _GRAFT:
            self._begin_anew()
        if payload[0] != RELAY_BYTE:
            return
        raw = payload[2:]
        name = tree_id(raw)
        if name not in self._relayed:
            self._relayed[name] = self._began(raw)
        relayed = self._relayed[name]
        if relayed is not None:
            relayed.nodes[node] = relayed.nodes.get(node, 0) + 1

    def _begin_anew(self) -> None:
        """Links have changed, or one was asked for, which may close a circle: the next messages draw the trees."""
        self._drew.clear()
        self._relayed = dict.fromkeys(self._relayed)

    def _began(self, raw: bytes) -> _Relayed | None:
        """A batch was never seen before; None where it may draw the tree."""
        assert self._world is not None
        header, now_s = peek(raw), self._world.now_s
        if not isinstance(header, BatchHeader):
            return None
        place = (header.room, header.author)
        self._spoke_s[place] = now_s
        speakers = [
            author
            for (room, author), spoke_s in self._spoke_s.items()
            if room == header.room and now_s < spoke_s + SPOKE_LATELY_S
        ]
        if self._calm.since_s is None:
            return None
        is_drawn = self._drew.get((header.room, min(speakers)), 0) >= DRAWING
        self._drew[place] = self._drew.get(place, 0) + 1
        return _Relayed(now_s, header.author, header.first, {}) if is_drawn else None


@dataclass(slots=True)
class _Said:
    """A message that must come soon: when it was said, and when it came to each node."""

    room: str
    at_s: float
    come_s: dict[int, float]


class Latency(Base):
    """In a calm mesh a message soon comes to all members."""

    name = "latency"

    def __init__(self, calm: Calm | None = None) -> None:
        self._calm = calm or Calm()
        self._world: World | None = None
        self._said: dict[MessageId, _Said] = {}

    def acknowledged(self, node: int, room: str, message: MessageId, text: str) -> None:  # noqa: ARG002  # ids are enough
        """It is on its way."""
        if self._world is None or self._calm.since_s is None:
            return
        now_s = self._world.now_s
        self._said[message] = _Said(room, now_s, {node: now_s})

    def delivered(self, node: int, room: str, message: MessageId, text: str) -> None:  # noqa: ARG002  # ids are enough
        """It has come."""
        said = self._said.get(message)
        if said is not None and self._world is not None:
            said.come_s.setdefault(node, self._world.now_s)

    def step(self, world: World) -> None:
        """Look whether it is calm, and at what should have come."""
        if world.watched != world.honest:
            return
        self._world = world
        if not self._calm.look(world):
            self._said.clear()
            return
        for message, said in list(self._said.items()):
            if world.now_s >= said.at_s + JUDGED_AFTER_S:
                del self._said[message]
                self._judge(world, message, said)

    @staticmethod
    def _judge(world: World, message: MessageId, said: _Said) -> None:
        for node in world.members(said.room):
            took_s = said.come_s.get(node, world.now_s) - said.at_s
            if took_s > LATE_S:
                raise CheckFailed(
                    f"{named(message)} took {took_s:.2f} s to node {node} in {said.room}, in a mesh that was left alone"
                )
