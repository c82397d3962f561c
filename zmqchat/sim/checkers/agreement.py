"""What all in a room agree on once everything is quiet: its messages, its members, who is there, who has what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from zmqchat.history.ranges import without
from zmqchat.model.ids import LogKey, RoomId
from zmqchat.sim.checkers.base import Base, Changes, machines_of, rooms_of, watched_members
from zmqchat.sim.checks import CheckFailed

if TYPE_CHECKING:
    from zmqchat.sim.world import World

UNSAID: Final = frozenset({"backup", "broken-disk", "fork", "full-disk"})
"""The kinds of trouble with which a node may be in a room and say so before its next text only, or leave unsaid."""

UNTIMELY: Final = frozenset({"clock-jumps"})
"""Those with which a leave may seem to be older than the join before it."""


class Timelines(Base):
    """All members see the same texts in the same order."""

    name = "timelines"

    def quiet(self, world: World) -> None:
        """Compare each with the first."""
        for room in rooms_of(world):
            nodes = watched_members(world, room)
            if not nodes:
                continue
            first = world.timeline(nodes[0], room)
            for node in nodes[1:]:
                other = world.timeline(node, room)
                if other != first:
                    at = next((i for i, pair in enumerate(zip(first, other, strict=False)) if pair[0] != pair[1]), None)
                    what = f"{len(first)} and {len(other)} texts" if at is None else f"different texts at place {at}"
                    raise CheckFailed(f"nodes {nodes[0]} and {node} see {what} in {room}")


class Members(Base):
    """All members see who is in the room.

    Who leaves while others are out of touch tells them once they are in touch again. Whose disk took no writes when it
    joined, or was set back to before it left, says that it is there before its next text only; and whose clock was put
    back before it left is shown as a member still. So where there is such trouble, more or fewer may be shown than are
    in. A hostile node may be in or not, and make up others. When the last has left a room, nobody is there to tell who
    comes back.
    """

    name = "members"

    def __init__(self) -> None:
        self._ever: dict[str, set[int]] = {}
        self._untold: dict[str, set[int]] = {}

    def step(self, world: World) -> None:
        """Note whose leaving nobody who runs and is in the room can tell any more."""
        for room in rooms_of(world):
            members = set(world.members(room))
            ever = self._ever.setdefault(room, set())
            untold = self._untold.setdefault(room, set())
            if not members:
                untold |= ever
            ever |= members
            untold -= members

    def quiet(self, world: World) -> None:
        """Compare what each has folded with who is in."""
        for room in rooms_of(world):
            untold = {world.nodes[node].peer for node in self._untold.get(room, ())}
            really = sorted(world.nodes[node].peer for node in world.members(room))
            for node in watched_members(world, room):
                machines = machines_of(world, node)
                assert machines is not None
                seen = machines.data.membership.book(world.room(room)).members()
                if world.hostile:
                    seen = [peer for peer in seen if world.is_honest(peer)]
                seen = [peer for peer in seen if peer not in untold]
                missing = set(really).difference(seen)
                if (missing and UNSAID.isdisjoint(world.options.faults)) or (
                    seen != really and (UNSAID | UNTIMELY).isdisjoint(world.options.faults)
                ):
                    raise CheckFailed(f"node {node} sees {len(seen)} members in {room}, where {len(really)} are")


class Presence(Base):
    """Who runs is shown online once quiet by all that it ever was in touch with, and who does not run by none.

    Two that were kept apart from the first moment are redialled at growing intervals, as a wrong address would be.
    """

    name = "presence"

    def __init__(self) -> None:
        self._met: set[tuple[int, int]] = set()
        self._changes = Changes()

    def step(self, world: World) -> None:
        """Note who is in touch."""
        for node in self._changes.among(world, world.watched):
            process = world.nodes[node].process
            for peer in process.machines.peers.linked if process is not None else ():
                other = world.number_of(peer)
                if other is not None:
                    self._met.update(((node, other), (other, node)))

    def quiet(self, world: World) -> None:
        """Every watched node looks at every other."""
        live = set(world.live())
        for node in sorted(live):
            if node not in world.watched:
                continue
            for other in range(len(world.nodes)):
                is_up = other in live
                if other == node or other in world.hostile or (is_up and (node, other) not in self._met):
                    continue
                if is_up != world.is_online(node, other):
                    shown, state = ("offline", "runs") if is_up else ("online", "does not run")
                    raise CheckFailed(f"node {node} shows node {other} {shown}, which {state}")


class Receipts(Base):
    """Who is said to hold a message has it on disk; and once quiet, every member that was to get it is said to.

    Neither is promised in a partial mesh where a hostile node may be the one that passes word on. Over the gaps of a
    full mesh word may get lost in trouble.
    """

    name = "receipts"

    def __init__(self) -> None:
        self._rewound: set[int] = set()
        self._changes = Changes()
        self._lives: list[int] = []
        self._found: dict[tuple[int, str], tuple[LogKey, int, dict[int, int]]] = {}

    def rewound(self, node: int) -> None:
        """What it was true to say of its old disk is not of the new one."""
        self._rewound.add(node)

    def step(self, world: World) -> None:
        """What each watched node believes of its newest message is true, also of a node that was started again."""
        lives, before = [node.lives for node in world.nodes], self._lives
        self._lives, changed = lives, self._changes.among(world, world.watched)
        for node in changed if lives == before else world.watched:
            self._check(world, node, {})

    def quiet(self, world: World) -> None:
        """The same, and nothing is awaited of a node that runs."""
        members = {name: frozenset(world.members(name)) for name in rooms_of(world)}
        for node in world.watched:
            self._check(world, node, members)

    def _check(self, world: World, node: int, quiet_members: Mapping[str, frozenset[int]]) -> None:
        machines = machines_of(world, node)
        if machines is None or node in self._rewound:
            return
        data = machines.data
        key = LogKey(data.ledger.me, data.ledger.own_log)
        for name in rooms_of(world):
            room = world.room(name)
            frontier = data.ledger.frontier(room, key)
            if frontier is None or not frontier.ranges or data.ledger.rooms[room].frontier.is_forked(*key[:2]):
                continue
            number = frontier.end - 1
            state = data.receipts.state(room, key.log, number)
            is_strict = not world.options.faults and not world.hostile
            is_hearsay = bool(world.hostile) and (machines.overlay.is_partial or machines.gaps.is_gapped)
            before = self._found.get((node, name))
            # Who was seen to have it has it as long as it lives.
            found = before[2] if before is not None and before[:2] == (key, number) else {}
            self._found[node, name] = (key, number, found)
            for peer in () if is_hearsay else state.held:
                other = world.number_of(peer)
                if other is None or other in world.hostile or found.get(other) == world.nodes[other].lives:
                    continue
                found[other] = world.nodes[other].lives
                if other not in self._rewound and _lacks(world, other, room, key, number):
                    raise CheckFailed(f"node {node} was told that node {other} holds its log up to {number}, in {name}")
            members = frozenset() if is_hearsay else quiet_members.get(name, frozenset())
            is_asked = is_strict or machines.overlay.is_partial
            awaited = [peer for peer in state.pending if is_asked or data.interests.is_linked(peer)]
            late = [other for other in map(world.number_of, awaited) if other in members]
            if late and node in members:
                raise CheckFailed(f"node {node} never hears that node {late[0]} holds {number} of its log, in {name}")


def _lacks(world: World, node: int, room: RoomId, key: LogKey, number: int) -> bool:
    """Whether anything of a log up to this number is not on the disk of a node that runs.

    A keeper is free to have let go of what lies below its floor.
    """
    machines = machines_of(world, node)
    if machines is None or room not in machines.data.ledger.rooms:
        return False
    entry = machines.data.ledger.rooms[room]
    held, main = entry.frontier, entry.frontier.get(LogKey(*key[:2]))
    first = main.floor if entry.kept and main is not None else 0
    spans = [span for branch in held.branches(key.author, key.log) for span in held[branch].held()]
    return bool(without([(min(first, number), number + 1)], spans))
