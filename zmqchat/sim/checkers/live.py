"""How quickly live messages come where others must relay them: hop by hop, and again soon after a relay is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from zmqchat.model.ids import MessageId
from zmqchat.sim.checkers.base import Base, named
from zmqchat.sim.checks import CheckFailed

if TYPE_CHECKING:
    from zmqchat.sim.world import World

HOP_S: Final = 0.05
RTT_S: Final = 0.003
"""The longest of a network without trouble."""

GONE_S: Final = 5.0
"""After a death those who are left have this long to find other ways."""

CAME_S: Final = 12.0
"""After a start: links are made within a few seconds, and then gaps must have lasted for five."""


class _Said(NamedTuple):
    room: str
    text: str
    author: int
    at_s: float
    awaited: dict[int, float]


class Live(Base):
    """In a network without trouble, on which not all reach all: a message takes (50 ms + RTT) a hop at most."""

    name = "live"

    def __init__(self) -> None:
        self._world: World | None = None
        self._hops: dict[int, dict[int, int]] = {}
        self._up: tuple[int, ...] = ()
        self._calm_s = 0.0
        self._said: dict[MessageId, _Said] = {}
        self._is_over = False

    def acknowledged(self, node: int, room: str, message: MessageId, text: str) -> None:
        """From now on the time runs."""
        world = self._world
        if world is None or self._is_over or world.now_s < self._calm_s:
            return
        hops = self._hops.get(node, {})
        members = world.members(room)
        awaited = {
            other: world.now_s + count * (HOP_S + RTT_S) for other, count in hops.items() if other in members and count
        }
        self._said[message] = _Said(room, text, node, world.now_s, awaited)

    def delivered(self, node: int, room: str, message: MessageId, text: str) -> None:  # noqa: ARG002  # the id is enough
        """It must be in time."""
        said = self._said.get(message)
        due_s = None if said is None else said.awaited.pop(node, None)
        if said is not None and due_s is not None and self._world is not None and self._world.now_s > due_s:
            raise self._late(node, said, message)

    def step(self, world: World) -> None:
        """Note who runs, and what has not come in time."""
        if world.options.faults or world.hostile:
            return
        self._world = world
        up = tuple(world.live())
        if up != self._up:
            # What was under way when a relay died comes by an exchange.
            self._said.clear()
            wait_s = CAME_S if set(up) - set(self._up) else GONE_S
            self._calm_s = max(self._calm_s, world.now_s + wait_s)
            self._up = up
            self._hops = _all_hops(world, up)
        for message, said in list(self._said.items()):
            for node, due_s in said.awaited.items():
                if world.now_s > due_s:
                    raise self._late(node, said, message)
            if not said.awaited:
                del self._said[message]

    def quiet(self, world: World) -> None:  # noqa: ARG002  # it is the end anyway
        """Nothing is said any more."""
        self._is_over = True

    def _late(self, node: int, said: _Said, message: MessageId) -> CheckFailed:
        hops = self._hops[said.author].get(node)
        text = f"node {node} got {named(message)} ({said.text!r}) of node {said.author} too late in {said.room}"
        return CheckFailed(f"{text}: {hops} hops away, said at {said.at_s:.3f} s")


def _all_hops(world: World, up: tuple[int, ...]) -> dict[int, dict[int, int]]:
    """Over how many links each node that runs reaches each other; none where all reach all or links are few."""
    if len(world.nodes) > world.config.full_mesh_max:
        return {}
    conditions = world.network.conditions
    near: dict[int, list[int]] = {}
    for one in up:
        near[one] = [
            other
            for other in up
            if other != one and any(conditions.find(one, host)[0] == other for host in conditions.hosts(other))
        ]
    is_full = all(len(others) == len(up) - 1 for others in near.values())
    if is_full:
        return {}
    found = {}
    for start in up:
        hops, queue = {start: 0}, [start]
        for here in queue:
            for there in near[here]:
                if there not in hops:
                    hops[there] = hops[here] + 1
                    queue.append(there)
        found[start] = hops
    return found
