"""What honest nodes never do: blame each other, fork a log, stamp messages with a wrong clock's time, pass a bound."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from zmqchat.history.batch import BatchHeader, peek
from zmqchat.history.clock import is_ahead, wall_ms_of
from zmqchat.model.ids import MessageId
from zmqchat.model.limits import BRANCHES_MAX, LOGS_PER_AUTHOR_MAX, PEERS_LIVE_MAX, RANGES_MAX
from zmqchat.sim.checkers.base import Base, Changes, machines_of, rooms_of, watched_members
from zmqchat.sim.checks import CheckFailed

if TYPE_CHECKING:
    from zmqchat.protocol.assembly import Machines
    from zmqchat.protocol.machine import Machine
    from zmqchat.protocol.mesh import Mesh
    from zmqchat.sim.world import World

LATELY_STEPS: Final = 600
"""Steps that a text may take from the call to its acknowledgement: a minute of a slow or paused machine."""


class NoFault(Base):
    """No honest node finds fault with another."""

    name = "fault"

    def step(self, world: World) -> None:
        """Nothing was counted."""
        for node in world.watched:
            machines = machines_of(world, node)
            if machines is None or not machines.faults.counts:
                continue
            if world.hostile:
                self._look_whom(world, node, machines)
            else:
                reasons = ", ".join(sorted(machines.faults.counts))
                raise CheckFailed(f"node {node} blames a peer: {reasons}")

    def _look_whom(self, world: World, node: int, machines: Machines) -> None:
        """Where somebody is hostile, blame is looked for on the others."""
        at = world.nodes[node].clock.instant(world.now_s)
        for other in world.nodes:
            if other.number in world.hostile:
                continue
            blame = dict(machines.peers.describe(other.peer, at)).get("last fault")
            if blame is not None:
                raise CheckFailed(f"node {node} blames node {other.number}: {blame}")


class NoFork(Base):
    """No log has two histories, unless somebody put back a backup that nothing gave away."""

    name = "fork"

    def quiet(self, world: World) -> None:
        """Look at all logs."""
        for node in world.watched:
            machines = machines_of(world, node)
            if machines is None or "fork" in world.options.faults:
                continue
            for room, ledger in machines.data.ledger.rooms.items():
                for key in ledger.frontier:
                    is_forked = ledger.frontier.is_forked(key.author, key.log)
                    if is_forked and (not world.hostile or world.is_honest(key.author)):
                        author = world.number_of(key.author)
                        where = world.watch.rooms.get(room, "a room")
                        raise CheckFailed(
                            f"node {node} holds two histories of log {key.log} of node {author}, in {where}"
                        )


class Clocks(Base):
    """A wrong clock elsewhere does not move ours: what is said is stamped near its author's own wall clock.

    A text may wait before it is sealed, and a clock may be set meanwhile, so what the clock showed lately counts.
    """

    name = "clock"

    def __init__(self) -> None:
        self._said: list[tuple[int, str, MessageId]] = []
        self._latest_ms: dict[tuple[str, bytes, int, int], int] = {}
        self._walls_ms: dict[int, deque[int]] = {}

    def acknowledged(self, node: int, room: str, message: MessageId, text: str) -> None:  # noqa: ARG002  # the id is enough
        """It was stamped lately."""
        self._said.append((node, room, message))

    def step(self, world: World) -> None:
        """Note what each clock shows."""
        for node in world.nodes:
            walls = self._walls_ms.setdefault(node.number, deque(maxlen=LATELY_STEPS))
            walls.append(node.clock.instant(world.now_s).wall_ms)
        said, self._said = self._said, []
        for number, room, message in said:
            self._latest_ms[(room, message.author, message.log, message.number)] = max(self._walls_ms[number])

    def quiet(self, world: World) -> None:
        """Read the stamps in the history of a node."""
        for room in rooms_of(world):
            for node in watched_members(world, room)[:1]:
                for _key, raw in world.nodes[node].disk.batches(world.room(room)):
                    header = peek(raw)
                    if isinstance(header, BatchHeader):
                        self._check(world, room, header)

    def _check(self, world: World, room: str, header: BatchHeader) -> None:
        for number in range(header.first, header.end):
            latest_ms = self._latest_ms.get((room, header.author, header.log, number))
            if latest_ms is not None and is_ahead(header.sealed_at, latest_ms):
                ahead_s = (wall_ms_of(header.sealed_at) - latest_ms) / 1000
                author = world.number_of(header.author)
                raise CheckFailed(f"node {author} stamps {header.log}/{number} in {room} {ahead_s:.0f} s ahead")


class Links(Base):
    """A node has few links, one to each peer once quiet. Those of a partial mesh are counted by `Bounds`."""

    name = "links"

    def step(self, world: World) -> None:
        """The number of peers linked is bounded."""
        for node in world.watched:
            machines = machines_of(world, node)
            if machines is not None and len(machines.peers.linked) > min(PEERS_LIVE_MAX, len(world.nodes) - 1):
                raise CheckFailed(f"node {node} has {len(machines.peers.linked)} links")

    def quiet(self, world: World) -> None:
        """Of two connections that came up at once one was closed."""
        for node in world.watched:
            process = world.nodes[node].process
            if process is None:
                continue
            for peer in process.directs:
                # One that the other end has closed is not: word of that takes its time after a cut.
                if peer in process.inbound and process.inbound[peer].dialler_open:
                    raise CheckFailed(f"node {node} keeps two connections with node {world.number_of(peer)}")


class Bounds(Base):
    """Nothing that a node keeps grows beyond its bound.

    After each fact one of the node's machines is asked what it keeps, in turn, and at each step all of them are where
    the node did anything: asking all after each fact would take as long as all else together.
    """

    name = "bounds"

    def __init__(self) -> None:
        self._turn = 0
        self._found: CheckFailed | None = None
        self._watched: frozenset[int] = frozenset()
        self._changes = Changes()

    def step(self, world: World) -> None:
        """Ask each machine what it keeps."""
        if not self._watched:
            self._watched = frozenset(world.watched)
            world.handled = self._handled
        if self._found is not None:
            raise self._found
        for node in self._changes.among(world, world.watched):
            machines = machines_of(world, node)
            for machine in machines.mesh.machines if machines is not None else ():
                _look(node, machine)

    def _handled(self, node: int, mesh: Mesh) -> None:
        if node not in self._watched or self._found is not None:
            return
        self._turn += 1
        try:
            _look(node, mesh.machines[self._turn % len(mesh.machines)])
        except CheckFailed as failure:
            self._found = failure

    def quiet(self, world: World) -> None:
        """Look at the frontiers, which change little at a time."""
        if self._found is not None:
            raise self._found
        for node in world.watched:
            machines = machines_of(world, node)
            if machines is None:
                continue
            for name in rooms_of(world):
                ledger = machines.data.ledger.rooms.get(world.room(name))
                if ledger is None:
                    continue
                logs: dict[bytes, int] = {}
                for key, frontier in ledger.frontier.items():
                    logs[key.author] = logs.get(key.author, 0) + 1
                    if len(frontier.ranges) > RANGES_MAX:
                        raise CheckFailed(f"node {node} holds {len(frontier.ranges)} ranges of a log in {name}")
                if max(logs.values(), default=0) > LOGS_PER_AUTHOR_MAX * (1 + BRANCHES_MAX):
                    raise CheckFailed(f"node {node} holds {max(logs.values())} logs of one author in {name}")


def _look(node: int, machine: Machine) -> None:
    for what, kept, most in machine.sizes():
        if kept > most:
            raise CheckFailed(f"node {node}: {type(machine).__name__} keeps {kept} {what}, at most {most}")
