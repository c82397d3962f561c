"""The simulated world: nodes, network and time; the commands that a scenario gives, and what a user can see.

All chance comes from one seed, through a generator for each part (network, disks, each node, the scenario), so that
what one part draws does not shift what the others do. Everything happens in the order of `schedule`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Final

from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.model.errors import ZmqChatError
from zmqchat.model.events import Kind
from zmqchat.model.ids import LogKey, PeerId, RoomId, mesh_id, room_id
from zmqchat.protocol.effects import PutArrival
from zmqchat.protocol.facts import JoinRoom, LeaveRoom, PeerSighted, StopRequested
from zmqchat.protocol.mesh import Mesh
from zmqchat.protocol.recordpool import RecordPool
from zmqchat.sim.clocks import Clock
from zmqchat.sim.conditions import Conditions, LinkQuality
from zmqchat.sim.decoding import Decoding
from zmqchat.sim.digest import Digest
from zmqchat.sim.disk import Disk
from zmqchat.sim.multicast import Multicast
from zmqchat.sim.network import Network
from zmqchat.sim.node import NodePlan, SimNode
from zmqchat.sim.options import Options
from zmqchat.sim.process import Process
from zmqchat.sim.reading import Application
from zmqchat.sim.routes import DOORS_PORT
from zmqchat.sim.schedule import Schedule
from zmqchat.sim.texts import Said, Texts
from zmqchat.sim.watch import Watch

WATCHED_ALL_MAX: Final = 50
"""Up to so many nodes all are watched, of more every tenth."""

FLUSH_S: Final = 1.0
PARTING_S: Final = 0.5
"""How long a node that stops waits for its disk, and for its peers to hang up."""

STOP_S: Final = FLUSH_S + PARTING_S
STOP_LOOK_S: Final = 0.01


class World:
    """Nodes by number from 0, and everything between them.

    schedule   simulated time; now_s is its second
    rng        the scenario's chance
    hostile    the nodes that do what they like, to whom nothing is promised; honest are the others
    watched    the honest nodes whose users the checkers ask, rising
    notes      what checkers have measured, for people
    handled    told of each node that has handled a fact, with its machines; None where nobody wants to know
    """

    def __init__(self, options: Options, plans: Sequence[NodePlan], watch: Watch, config: Config | None = None) -> None:
        self.options = options
        self.watch = watch
        self.config = config or Config()
        self.schedule = Schedule()
        self.digest = Digest()
        self.texts = Texts()
        self.decoding = Decoding()
        self.notes: list[str] = []
        self.mesh = mesh_id("simulated")
        self.member_records = RecordPool()
        self.rng = self._generator("scenario")
        self._disk_rng = self._generator("disks")
        self.network = Network(self.schedule, Conditions(self._generator("conditions")), self._generator("network"))
        self._multicast = Multicast(self, self._generator("multicast"))
        self._pool: dict[bytes, bytes] = {}
        self._rooms: dict[str, RoomId] = {}
        self.handled: Callable[[int, Mesh], None] | None = None
        self.hostile = frozenset(number for number, plan in enumerate(plans) if plan.tamper is not None)
        self.honest = tuple(number for number in range(len(plans)) if number not in self.hostile)
        self.watched = self.honest[:: 10 if len(self.honest) > WATCHED_ALL_MAX else 1]
        self.nodes = [self._node(number, plan) for number, plan in enumerate(plans)]
        self._numbers = {node.peer: node.number for node in self.nodes}
        for node in self.nodes:
            if node.plan.start_s is not None:
                self.schedule.at(node.plan.start_s, self.restart, node.number)

    def _generator(self, part: str) -> Random:
        return Random(f"{self.options.seed} {part}")

    def _node(self, number: int, plan: NodePlan) -> SimNode:
        raw = bytearray(hashlib.blake2b(f"{self.options.seed} {number}".encode(), digest_size=32).digest())
        raw[31] &= 0x7F
        peer = PeerId(bytes(raw))
        is_watched = number in self.watched
        watch = self.watch.muted() if number in self.hostile else self.watch
        application = Application(number, peer, watch, self.texts, is_watched=is_watched)
        self.network.conditions.settle(number, plan.subnets)
        disk = Disk(number.to_bytes(16, "big"), self._pool)
        clock = Clock(booted_s=1_000.0 + 10.0 * number)
        return SimNode(number, f"node{number}", peer, plan, disk, clock, application)

    # Time ----------------------------------------------------------------------------------------------

    @property
    def now_s(self) -> float:
        """The simulated second."""
        return self.schedule.now_s

    def at(self, at_s: float, command: Callable[..., object], *arguments: object) -> None:
        """Give a command at this simulated second: `world.at(3.0, world.kill, 2)`."""
        self.schedule.at(at_s, command, *arguments)

    def fail(self, text: str) -> None:
        """What happened must not happen: the run ends here and has failed."""
        self.watch.failed.append(text)
        self.schedule.stopped = True

    def disk_s(self, usual_s: float) -> float:
        """How long the disk takes this time."""
        return usual_s * (0.5 + self._disk_rng.random())

    def _note(self, number: int, text: str) -> None:
        self.digest.note(self.schedule.now_s, number, text)

    # What users do -------------------------------------------------------------------------------------

    def room(self, name: str) -> RoomId:
        """The id of a room."""
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = room_id(self.mesh, name)
            self.watch.rooms[room] = name
        return room

    def join(self, number: int, name: str) -> bool:
        """A node joins a room; False while it is down."""
        process = self.nodes[number].process
        if process is None:
            return False
        process.feed(JoinRoom(room=self.room(name), name=name))
        return True

    def leave(self, number: int, name: str) -> bool:
        """A node leaves a room; False while it is down."""
        process = self.nodes[number].process
        if process is None:
            return False
        process.feed(LeaveRoom(room=self.room(name)))
        return True

    def say(self, number: int, name: str, text: str) -> bool:
        """A node says a text in a room that it is in; False where it can't take it (down, paused, queue full)."""
        return self.post(number, name, Kind.TEXT, text)

    def post(self, number: int, name: str, kind: int, body: object) -> bool:
        """The same for an event of any kind."""
        node, room = self.nodes[number], self.room(name)
        process = node.process
        if process is None or process.paused_s is not None or process.is_stopping:
            return False
        publishing = process.machines.data.publishing
        if not publishing.has_room(room):
            return False
        self._note(number, f"post {name} {body}")
        try:
            messages = publishing.post(room, kind, (body,), process.instant())
        except ZmqChatError:
            return False
        node.application.posted(room, messages, body if isinstance(body, str) else "")
        process.settle()
        return True

    # The lives of nodes ------------------------------------------------------------------------------

    def restart(self, number: int) -> None:
        """Start a node that is down, on what its disk holds; one that runs is killed first."""
        node = self.nodes[number]
        self.kill(number)
        self._note(number, "start")
        node.lives += 1
        # By a step at random, as the real store's, so that a backup never comes to a generation that was there before.
        node.disk.generation += 1 + self._disk_rng.getrandbits(20)
        power_lost, node.unclean = node.unclean == "power", ""
        rng = self._generator(f"node {number} {node.lives}")
        process = node.process = Process(self, node, self.mesh, self.config, rng)
        self.network.routes.listen(process)
        process.start(power_lost)
        node.application.resume(node.disk)
        for peer, endpoint in list(node.remembered.items()):
            process.feed(PeerSighted(endpoint=endpoint, peer=peer, source="store"))
        for contact in node.plan.contacts:
            host = self.network.conditions.hosts(contact)[0]
            process.feed(PeerSighted(endpoint=Endpoint(host, DOORS_PORT), source="config"))
        if node.lives == 1:
            for name in node.plan.rooms:
                self.join(number, name)
        if node.plan.discovers:
            self._multicast.started(number)

    def kill(self, number: int, *, power: bool = False) -> None:
        """End a process at once; with `power` its machine goes off, so that nobody hears of it."""
        node = self.nodes[number]
        process = node.process
        if process is None:
            return
        self._note(number, "power off" if power else "kill")
        process.end(kept_under_way=self._disk_rng.random() < 0.5)
        node.ended("power" if power else "killed")
        self.network.gone(process, silent=power)

    def stop(self, number: int) -> None:
        """Stop a node as its user does: it says goodbye and writes what waits."""
        process = self.nodes[number].process
        if process is not None and not process.is_stopping:
            process.is_stopping = True
            self._flush(process, self.schedule.now_s + FLUSH_S)

    def _flush(self, process: Process, until_s: float) -> None:
        """What was accepted is written and sent first, as far as there is time for it."""
        if process.is_idle or self.schedule.now_s >= until_s:
            process.feed(StopRequested())
            self._part(process, self.schedule.now_s + PARTING_S)
        else:
            self.schedule.after(STOP_LOOK_S, self._flush, process, until_s)

    def _part(self, process: Process, until_s: float) -> None:
        """The peers hang up, having heard the goodbye."""
        if process.machines.peers.linked and self.schedule.now_s < until_s:
            self.schedule.after(STOP_LOOK_S, self._part, process, until_s)
            return
        node = self.nodes[process.number]
        if node.process is process:
            self._note(process.number, "stopped")
            process.end(kept_under_way=True, kept_waiting=True)
            node.ended("")
            self.network.gone(process, silent=False)

    def pause(self, number: int) -> None:
        """A process stands still (SIGSTOP, a machine that sleeps)."""
        process = self.nodes[number].process
        if process is not None:
            self._note(number, "pause")
            process.pause()

    def resume(self, number: int) -> None:
        """It goes on."""
        process = self.nodes[number].process
        if process is not None:
            self._note(number, "resume")
            process.resume()

    # Disks and clocks ----------------------------------------------------------------------------------

    def set_disk(
        self,
        number: int,
        *,
        full: bool | None = None,
        broken: bool | None = None,
        unreadable: bool | None = None,
        fsync_s: float | None = None,
    ) -> None:
        """Change what is wrong with a node's disk; None leaves it as it is."""
        disk = self.nodes[number].disk
        disk.full = disk.full if full is None else full
        disk.broken = disk.broken if broken is None else broken
        disk.unreadable = disk.unreadable if unreadable is None else unreadable
        disk.fsync_s = disk.fsync_s if fsync_s is None else fsync_s

    def snapshot(self, number: int) -> Disk:
        """A backup of a node's disk as it is now."""
        return self.nodes[number].disk.copy()

    def restore(self, number: int, backup: Disk, *, noticed: bool = True) -> None:
        """Put a backup in place of the disk of a node, which is killed; `restart` starts it.

        noticed   whether the file shows that it is a copy; else the node goes on in its old log, and may fork it
        """
        self.kill(number)
        node = self.nodes[number]
        node.disk = backup.copy()
        node.disk.moved = noticed
        node.application.rewound()

    def jump_clock(self, number: int, seconds: float) -> None:
        """Set a wall clock ahead, or back where negative."""
        self.nodes[number].clock.jump(seconds)

    def drift_clock(self, number: int, rate: float) -> None:
        """Let a node's clocks run at this rate: 1.001 gains a second in a thousand."""
        self.nodes[number].clock.drift(self.schedule.now_s, rate)

    # The network -----------------------------------------------------------------------------------------

    def partition(self, groups: Sequence[Iterable[int]]) -> None:
        """Let nothing pass between these groups of nodes."""
        self.network.conditions.partition(groups)
        self.network.changed()

    def cut(self, one: int, other: int, *, one_way: bool = False) -> None:
        """Let nothing pass from one node to another, nor back unless one_way."""
        self.network.conditions.cut(one, other, one_way=one_way)
        self.network.changed()

    def mend(self, one: int, other: int) -> None:
        """Undo a cut."""
        self.network.conditions.mend(one, other)
        self.network.changed()

    def heal(self) -> None:
        """No partition and no cut any more."""
        self.network.conditions.heal()
        self.network.changed()

    def set_link(self, one: int, other: int, quality: LinkQuality | None) -> None:
        """How frames travel between two nodes; None: as between all."""
        self.network.conditions.set_link(one, other, quality)

    def set_quality(self, quality: LinkQuality) -> None:
        """How frames travel between nodes that have no link quality of their own."""
        self.network.conditions.quality = quality

    def make_whole(self) -> None:
        """The end of all trouble: good network and disks, clocks at a right rate, everybody runs."""
        self.network.conditions.reset()
        self.network.changed()
        for node in self.nodes:
            self.set_disk(node.number, full=False, broken=False, unreadable=False, fsync_s=0.002)
            node.clock.drift(self.schedule.now_s, 1.0)
            self.resume(node.number)
            if not node.is_up and node.lives:
                self.restart(node.number)
            elif node.process is not None and node.process.is_stopping:
                self.schedule.after(STOP_S, self.restart, node.number)

    # What a user can see ---------------------------------------------------------------------------------

    def number_of(self, peer: PeerId) -> int | None:
        """Which node this is; None for an identity of nobody here."""
        return self._numbers.get(peer)

    def is_honest(self, peer: PeerId) -> bool:
        """Whether this is an honest node, rather than a hostile one or an identity that one made up."""
        number = self._numbers.get(peer)
        return number is not None and number not in self.hostile

    def live(self) -> list[int]:
        """The nodes that run, rising."""
        return [node.number for node in self.nodes if node.is_up]

    def members(self, name: str) -> list[int]:
        """The running honest nodes that are in a room, rising."""
        room = self.room(name)
        found = []
        for node in self.nodes:
            if node.process is None or node.number in self.hostile:
                continue
            if node.process.machines.data.ledger.is_joined(room):
                found.append(node.number)
        return found

    def timeline(self, number: int, name: str) -> list[Said]:
        """The texts of a room on a node's disk, as its history shows them."""
        return self.texts.in_order([raw for _key, raw in self.nodes[number].disk.batches(self.room(name))])

    def unread(self, number: int, name: str) -> list[PutArrival]:
        """What is deliverable on a node and was not read, since the process is down."""
        return list(self.nodes[number].disk.arrivals.get(self.room(name), ()))

    def agrees(self) -> bool:
        """Whether the running members of each room hold the same, and nothing waits to be written."""
        for name in sorted(self.watch.rooms.values()):
            room = self.room(name)
            held = set()
            for number in self.members(name):
                process = self.nodes[number].process
                if process is None or not process.has_written:
                    return False
                held.add(process.machines.data.ledger.rooms[room].frontier.hash)
            if len(held) > 1:
                return False
        return True

    def awaits_word(self) -> bool:
        """Whether a member has still to hear who came or left, or that a running one holds its newest message."""
        for name in sorted(self.watch.rooms.values()):
            room, members = self.room(name), self.members(name)
            there = sorted(self.nodes[number].peer for number in members)
            for number in members:
                process = self.nodes[number].process
                assert process is not None
                data = process.machines.data
                if data.membership.book(room).members() != there:
                    return True
                key = LogKey(data.ledger.me, data.ledger.own_log)
                frontier = data.ledger.frontier(room, key)
                if frontier is None or not frontier.end or data.ledger.rooms[room].frontier.is_forked(*key[:2]):
                    continue
                pending = data.receipts.state(room, key.log, frontier.end - 1).pending
                if any(self.number_of(peer) in members for peer in pending):
                    return True
        return False

    def is_online(self, number: int, other: int) -> bool:
        """Whether a node shows another as in touch."""
        process = self.nodes[number].process
        return process is not None and process.machines.presence.is_online(self.nodes[other].peer)

    @property
    def facts(self) -> int:
        """How many facts all meshes have routed."""
        return sum(node.routed for node in self.nodes)
