"""What all checkers share: they take no notice of what does not concern them, and how they look at a world."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from zmqchat.model.ids import LogKey, MessageId, peer_short

if TYPE_CHECKING:
    from zmqchat.protocol.assembly import Machines
    from zmqchat.sim.world import World


class Base:
    """A checker that finds nothing wrong with anything."""

    name = ""

    def acknowledged(self, node: int, room: str, message: MessageId, text: str) -> None:
        """`send` returned."""

    def delivered(self, node: int, room: str, message: MessageId, text: str) -> None:
        """A cursor gave this."""

    def missed(self, node: int, room: str, key: LogKey, first: int, end: int) -> None:
        """A cursor told of a gap."""

    def rewound(self, node: int) -> None:
        """A backup was put in place of a disk."""

    def step(self, world: World) -> None:
        """Some time has passed."""

    def quiet(self, world: World) -> None:
        """All is whole and has settled."""


class Changes:
    """Tells which nodes may have changed since it was last asked: what looks at all of them spends most of its time on
    those that have not."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[int, int]] = {}

    def among(self, world: World, nodes: Iterable[int]) -> list[int]:
        """Those of the nodes that run, and have lived on or been started again."""
        changed = []
        for number in nodes:
            node = world.nodes[number]
            if node.process is None:
                continue
            turn = (node.lives, node.process.turns)
            if self._seen.get(number) != turn:
                self._seen[number] = turn
                changed.append(number)
        return changed


def named(message: MessageId) -> str:
    """A message for people: its author, the log and the number."""
    return f"{peer_short(message.author)}/{message.log}/{message.number}"


def rooms_of(world: World) -> list[str]:
    """The names of all rooms that anybody was in, sorted."""
    return sorted(world.watch.rooms.values())


def machines_of(world: World, node: int) -> Machines | None:
    """The machines of a node's present life; None while it is down."""
    process = world.nodes[node].process
    return None if process is None else process.machines


def watched_members(world: World, room: str) -> list[int]:
    """The members of a room that are up and watched, rising."""
    return [node for node in world.members(room) if node in world.watched]
