"""One life of a simulated node: its machines, and what carries out their effects.

It does what the real runner does, with the simulated clock, disk and network: a fact goes in, all that follows is
routed, and the effects are applied in order. Writes go to the disk in groups, one commit at a time; what a
crash finds under way may have been kept or not, what waits behind it is lost.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Hashable
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Final

from zmqchat.crypto.twin import TwinCrypto
from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.model.ids import MeshId, PeerId, RoomId, is_peer_id
from zmqchat.protocol.admission import Self
from zmqchat.protocol.assembly import assemble
from zmqchat.protocol.data_effects import OwnFailed, OwnStored
from zmqchat.protocol.effects import (
    Admit,
    Advertise,
    AnswerDoor,
    CloseDirect,
    CloseDoor,
    Deliver,
    DialDoor,
    Effect,
    Expel,
    LoadRange,
    OpenDirect,
    OpenFeed,
    PeerCameOnline,
    PublishFeed,
    Send,
    SendDoor,
    SetTimer,
    SetTopics,
    Store,
)
from zmqchat.protocol.facts import (
    Fact,
    Instant,
    LoopLagged,
    NodeStarted,
    RangeLoaded,
    Stored,
    StoreFailed,
    TimerFired,
    Woke,
)
from zmqchat.sim.doors import Knock
from zmqchat.sim.network import Connection
from zmqchat.sim.routes import PORTS

if TYPE_CHECKING:
    from zmqchat.sim.node import SimNode
    from zmqchat.sim.world import World

LAG_TOLERATED_S: Final = 1.0
WAKE_S: Final = 6.0
"""A pause of a process that lets it ask all peers whether they live, and one that it excuses only."""

ROUNDING_S: Final = 1e-6
"""What a drifting clock may show less than a timer's moment when that has come."""


def curve_key(peer: PeerId) -> bytes | None:
    """The twin of the conversion of keys: a valid id is its own CURVE key."""
    return peer if is_peer_id(peer) else None


class Process:
    """The machines of a node from a start to its end.

    turns   how often anything was asked of them: where it is the same, nothing about them has changed
    """

    def __init__(self, world: World, node: SimNode, mesh: MeshId, config: Config, rng: Random) -> None:
        self.number = node.number
        self.peer = node.peer
        self.turns = 0
        self.alive = True
        self.is_stopping = False
        self.paused_s: float | None = None
        self.admitted: set[PeerId] = set()
        self.topics: frozenset[RoomId] = frozenset()
        self.knocks: dict[int, Knock] = {}
        self.directs: dict[PeerId, Connection] = {}
        self.inbound: dict[PeerId, Connection] = {}
        self.feeds: dict[PeerId, Connection] = {}
        self.dialling_directs: dict[PeerId, int] = {}
        self.dialling_feeds: dict[PeerId, int] = {}
        self.accepted: dict[Connection, None] = {}
        self.subscribers: dict[Connection, None] = {}
        self.advertises = True
        self._world = world
        self._schedule = world.schedule
        self._node = node
        self._backlog: list[tuple[Callable[..., None], tuple[object, ...]]] = []
        self._timers: dict[tuple[Hashable, ...], tuple[float, float]] = {}
        self._writing: list[Store] = []
        self._queued: list[Store] = []
        me = Self(
            peer=node.peer,
            mesh=mesh,
            instance=rng.randbytes(16),
            store=node.disk.store_id,
            generation=node.disk.generation,
            curve_key=curve_key,
        )
        crypto = TwinCrypto(node.peer)
        self.machines = assemble(
            me, crypto, config, name=node.name, rng=rng, entropy=rng.randbytes, pool=world.member_records
        )
        self._mesh = self.machines.mesh
        self._mesh.decode = world.decoding.decode
        self._appliers = self._effect_table()

    def start(self, power_lost: bool) -> None:
        """Take up what the disk holds, and begin."""
        damaged = self.machines.take_up(self._node.disk.kept(power_lost), self.instant().wall_ms)
        assert not damaged, damaged
        known = self._node.known
        if known is not None:
            self.machines.roster.resume(*known)
        endpoints = tuple(Endpoint(host, *PORTS) for host in self._world.network.conditions.hosts(self.number))
        self.feed(NodeStarted(endpoints=endpoints, ports=PORTS))

    def instant(self) -> Instant:
        """This moment as the node's machine sees it."""
        return self._node.clock.instant(self._schedule.now_s)

    # In ------------------------------------------------------------------------------------------------

    def feed(self, fact: Fact, least_s: float = 0.0) -> None:
        """Let the machines handle a fact, once the process runs; a dead one hears nothing."""
        if not self.alive:
            return
        if self.paused_s is not None:
            self._backlog.append((self.feed, (fact,)))
            return
        self.turns += 1
        now_s, world = self._schedule.now_s, self._world
        world.digest.fact(now_s, self.number, fact)
        trace = world.watch.trace
        if trace is not None:
            trace.at(now_s, self.number, fact)
        try:
            self._mesh.handle(fact, self._node.clock.instant(now_s, least_s))
        except Exception as error:  # noqa: BLE001  # a machine that throws is what the simulator is there to find
            self._threw(error)
            return
        handled = world.handled
        if handled is not None:
            handled(self.number, self._mesh)
        self._apply()

    def settle(self) -> None:
        """Collect what orders given as method calls have put into outboxes."""
        self.turns += 1
        try:
            self._mesh.settle(self.instant())
        except Exception as error:  # noqa: BLE001  # as above
            self._threw(error)
            return
        self._apply()

    def _threw(self, error: Exception) -> None:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{frame.filename.rpartition('zmqchat/')[2]}:{frame.lineno}"
        self._world.fail(f"machines: node {self.number}: {type(error).__name__}: {error} ({place})")

    # Out -----------------------------------------------------------------------------------------------

    def _effect_table(self) -> dict[type[Effect], Callable[[Any], None]]:
        network, application = self._world.network, self._node.application
        doors = network.doors
        return {
            SetTimer: self._set_timer,
            Send: partial(network.send, self),
            PublishFeed: lambda effect: network.publish(self, effect.room, effect.payload),
            Store: self._store,
            LoadRange: self._load,
            Deliver: lambda effect: application.delivered(effect, self._node.disk),
            OwnStored: application.own_stored,
            OwnFailed: application.own_failed,
            PeerCameOnline: lambda effect: self._remember(effect.peer),
            DialDoor: partial(doors.knock, self),
            SendDoor: lambda effect: doors.knock_again(self, effect.dial, effect.payload),
            CloseDoor: lambda effect: doors.close(self, effect.dial),
            AnswerDoor: partial(doors.answer, self),
            Admit: lambda effect: self.admitted.add(effect.peer),
            Expel: lambda effect: self._expel(effect.peer),
            OpenDirect: partial(network.open_direct, self),
            CloseDirect: lambda effect: self._close_direct(effect.peer),
            OpenFeed: partial(network.open_feed, self),
            SetTopics: lambda effect: self._set_topics(effect.rooms),
            Advertise: self._advertise,
        }

    def _apply(self) -> None:
        effects = self._mesh.take_effects()
        if not effects:
            return
        appliers, trace, tamper = self._appliers, self._world.watch.trace, self._node.plan.tamper
        if tamper is not None:
            effects = [wanted for effect in effects if (wanted := tamper(effect)) is not None]
        for effect in effects:
            if trace is not None:
                trace.at(self._schedule.now_s, self.number, effect)
            applier = appliers.get(type(effect))
            if applier is not None:
                applier(effect)

    def _advertise(self, effect: Advertise) -> None:
        self.advertises = effect.on

    def _expel(self, peer: PeerId) -> None:
        network = self._world.network
        self.admitted.discard(peer)
        self._close_direct(peer)
        self.dialling_feeds.pop(peer, None)
        network.close(self.feeds.pop(peer, None), self)
        self.inbound.pop(peer, None)
        for connection in [each for each in self.accepted if each.dialler.peer == peer]:
            network.close(connection, self)

    def _close_direct(self, peer: PeerId) -> None:
        self.dialling_directs.pop(peer, None)
        self._world.network.close(self.directs.pop(peer, None), self)

    def _set_topics(self, rooms: frozenset[RoomId]) -> None:
        before, self.topics = self.topics, rooms
        for connection in self.feeds.values():
            self._world.network.subscribe(connection, before, rooms)

    def _remember(self, peer: PeerId) -> None:
        link = self.machines.peers.links.get(peer)
        if link is not None:
            self._node.remember(peer, link.endpoint)

    # Time ----------------------------------------------------------------------------------------------

    def _set_timer(self, effect: SetTimer) -> None:
        """A timer that is put off keeps its place in the heap, and looks again when that comes up."""
        if effect.at_s is None:
            known = self._timers.get(effect.name)
            if known is not None:
                self._timers[effect.name] = (float("inf"), known[1])
            return
        known = self._timers.get(effect.name)
        if known is not None and known[1] <= effect.at_s:
            self._timers[effect.name] = (effect.at_s, known[1])
            return
        self._timers[effect.name] = (effect.at_s, effect.at_s)
        self._schedule.at(self._node.clock.true_s(effect.at_s), self._timer_due, effect.name, effect.at_s)

    def _timer_due(self, name: tuple[Hashable, ...], place_s: float) -> None:
        if not self.alive:
            return
        if self.paused_s is not None:
            self._backlog.append((self._timer_due, (name, place_s)))
            return
        due_s, placed_s = self._timers.get(name, (0.0, -1.0))
        if placed_s != place_s:
            return
        del self._timers[name]
        # Put off meanwhile, or the clock runs slower than it did when the timer was set.
        if due_s > place_s or self._node.clock.shown_s(self._schedule.now_s) < due_s - ROUNDING_S:
            if due_s != float("inf"):
                self._timers[name] = (due_s, due_s)
                self._schedule.at(self._node.clock.true_s(due_s), self._timer_due, name, due_s)
            return
        self.feed(TimerFired(name=name), due_s)

    # The disk ------------------------------------------------------------------------------------------

    def _store(self, effect: Store) -> None:
        self._queued.append(effect)
        if not self._writing:
            self._commit()

    def _commit(self) -> None:
        self._writing, self._queued = self._queued, []
        self._schedule.after(self._world.disk_s(self._node.disk.fsync_s), self._committed)

    def _committed(self) -> None:
        if not self.alive:
            return
        disk = self._node.disk
        writing, self._writing = self._writing, []
        facts: list[Fact] = []
        for store in writing:
            if disk.full or disk.broken:
                detail = "the disk is full" if disk.full else "the disk is broken"
                facts.append(StoreFailed(token=store.token, full=disk.full, detail=detail))
            else:
                disk.write(store.writes)
                facts.append(Stored(token=store.token))
        if self._queued:
            self._commit()
        for fact in facts:
            self.feed(fact)

    def _load(self, effect: LoadRange) -> None:
        self._schedule.after(self._world.disk_s(self._node.disk.read_s), self._loaded, effect)

    def _loaded(self, effect: LoadRange) -> None:
        disk = self._node.disk
        batches = () if disk.unreadable else disk.load(effect)
        self.feed(RangeLoaded(token=effect.token, batches=batches, failed=disk.unreadable))

    # The end, and standing still -----------------------------------------------------------------------

    def end(self, *, kept_under_way: bool, kept_waiting: bool = False) -> None:
        """The process is gone at once; what was being committed is kept or lost as a whole, and what waits behind."""
        self.alive = False
        disk = self._node.disk
        if kept_under_way and not disk.full and not disk.broken:
            for store in (*self._writing, *self._queued) if kept_waiting else self._writing:
                disk.write(store.writes)
        self._writing, self._queued = [], []
        self._backlog.clear()
        self.machines.roster.table.release()

    @property
    def routed(self) -> int:
        """How many facts its mesh has routed."""
        return self._mesh.routed

    @property
    def is_idle(self) -> bool:
        """Whether all that was accepted is durable and has left."""
        data = self.machines.data
        return data.committing.is_idle and not any(map(data.publishing.is_pending, data.ledger.joined_rooms()))

    @property
    def has_written(self) -> bool:
        """Whether nothing waits for the disk."""
        return not self._writing and not self._queued

    def pause(self) -> None:
        """Handle nothing until `resume`."""
        if self.paused_s is None:
            self.paused_s = self._schedule.now_s

    def resume(self) -> None:
        """Handle what came in meanwhile, knowing how long that was."""
        if self.paused_s is None:
            return
        lag_s = (self._schedule.now_s - self.paused_s) * self._node.clock.rate
        self.paused_s = None
        backlog, self._backlog = self._backlog, []
        if lag_s > WAKE_S:
            self.feed(Woke(slept_s=lag_s))
        elif lag_s > LAG_TOLERATED_S:
            self.feed(LoopLagged(lag_s=lag_s))
        for act, arguments in backlog:
            act(*arguments)
