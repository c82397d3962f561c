"""The mesh machine: routes facts and frames to the machines that list them, and collects effects.

How it works. A fact is given to each machine whose table names its type, in the order of the machines.
What a machine puts into its outbox is taken before the next fact, in its order and depth first: an
effect goes out, a fact is routed with all that follows from it. A frame is decoded once; what unlinked
peers send, and pings and HAVEs beyond their pace, is sorted out before. Nothing else is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from zmqchat.model.faults import Fault
from zmqchat.model.ids import PeerId
from zmqchat.model.limits import HAVE_BYTES_PER_S_MAX
from zmqchat.protocol.effects import Effect
from zmqchat.protocol.facts import Fact, FeedReceived, FrameReceived, Instant, TimerFired
from zmqchat.protocol.machine import FactHandler, FrameHandler, Machine, PeerFaulted
from zmqchat.protocol.pace import Pace
from zmqchat.protocol.peers import Peers
from zmqchat.protocol.presence import Presence
from zmqchat.wire.frames import Have, Link, Linked, Ping, UnknownFrame, decode, type_byte

Item = Effect | Fact

_PING = type_byte(Ping)
_HAVE = type_byte(Have)
_BEFORE_LINK = frozenset({type_byte(Link), type_byte(Linked)})


class Mesh:
    """All machines of a node behind one door for facts.

    decode   reads a frame; simulated nodes have in common what they have read
    """

    def __init__(self, machines: Sequence[Machine], peers: Peers, presence: Presence) -> None:
        self._machines = tuple(machines)
        self._peers = peers
        self._presence = presence
        self._by_fact: dict[type[Fact], list[tuple[Machine, FactHandler]]] = {}
        self._by_frame: dict[type, tuple[Machine, FrameHandler]] = {}
        self._by_timer: dict[str, tuple[Machine, FactHandler]] = {}
        self._effects: list[Effect] = []
        self._have_pace = Pace(HAVE_BYTES_PER_S_MAX)
        self.decode = decode
        self.unknown_frames = 0
        self.routed = 0
        self._special: dict[type[Fact], Callable[[Any, Instant, list[Item]], None]] = {
            FrameReceived: self._frame,
            TimerFired: self._fired,
            FeedReceived: self._feed,
        }
        for machine in self._machines:
            for fact_type, handler in machine.facts.items():
                if fact_type is TimerFired:
                    assert machine.timer not in self._by_timer, machine.timer
                    self._by_timer[machine.timer] = (machine, handler)
                else:
                    self._by_fact.setdefault(fact_type, []).append((machine, handler))
            for frame_type, frame_handler in machine.frames.items():
                assert frame_type not in self._by_frame, frame_type
                self._by_frame[frame_type] = (machine, frame_handler)

    @property
    def machines(self) -> tuple[Machine, ...]:
        """All machines, in their order."""
        return self._machines

    def handle(self, fact: Fact, at: Instant) -> None:
        """Take one fact and all that follows from it at this moment."""
        self._drain([fact], at)

    def settle(self, at: Instant) -> None:
        """Collect what orders given as method calls (posting) have put into outboxes."""
        items: list[Item] = []
        for machine in self._machines:
            items += machine.outbox
            machine.outbox = []
        items.reverse()
        self._drain(items, at)

    @property
    def late_haves(self) -> int:
        """How many HAVEs were dropped as their peers sent too many."""
        return self._have_pace.dropped

    def take_effects(self) -> list[Effect]:
        """The effects since the last call, in order."""
        effects, self._effects = self._effects, []
        return effects

    def _drain(self, stack: list[Item], at: Instant) -> None:
        """Take the last item of the stack, and put what follows from it in its place, until none is left."""
        special, by_fact = self._special, self._by_fact
        while stack:
            item = stack.pop()
            if isinstance(item, Effect):
                self._effects.append(item)
                continue
            self.routed += 1
            kind = type(item)
            route = special.get(kind)
            if route is not None:
                route(item, at, stack)
            elif kind in by_fact:
                _hand_out(item, by_fact[kind], at, stack)

    def _fired(self, fact: TimerFired, at: Instant, stack: list[Item]) -> None:
        owner = self._by_timer.get(str(fact.name[0]))
        if owner is not None:
            owner[1](fact, at)
            _collect(owner[0], stack)

    def _feed(self, fact: FeedReceived, at: Instant, stack: list[Item]) -> None:
        if self._peers.is_linked(fact.peer):
            self._heard(fact.peer, at, stack)
            _hand_out(fact, self._by_fact.get(FeedReceived, ()), at, stack)

    def _heard(self, peer: PeerId, at: Instant, stack: list[Item]) -> None:
        self._presence.heard(peer, at.now_s)
        _collect(self._presence, stack)

    def _frame(self, fact: FrameReceived, at: Instant, stack: list[Item]) -> None:
        peer, payload = fact.peer, fact.payload
        self._heard(peer, at, stack)
        kind = payload[0] if payload else -1
        if kind not in _BEFORE_LINK and not self._peers.is_linked(peer):
            return
        if kind == _PING and not self._presence.ping_allowed(peer, at.now_s):
            return
        size = len(payload)
        # A HAVE that no second allows is malformed: decoding says so, and its peer is blamed.
        if kind == _HAVE and size <= HAVE_BYTES_PER_S_MAX and not self._have_pace.allows(peer, size, at.now_s):
            return
        frame = self.decode(payload)
        if isinstance(frame, Fault):
            stack.append(PeerFaulted(peer=peer, fault=frame))
            return
        if isinstance(frame, UnknownFrame):
            self.unknown_frames += 1
            return
        owner = self._by_frame.get(type(frame))
        if owner is not None:
            owner[1](peer, frame, at)
            _collect(owner[0], stack)


def _hand_out(fact: Fact, handlers: Sequence[tuple[Machine, FactHandler]], at: Instant, stack: list[Item]) -> None:
    """Give a fact to all that list it; what follows goes upon the stack, in their order."""
    if len(handlers) == 1:
        machine, handler = handlers[0]
        handler(fact, at)
        _collect(machine, stack)
        return
    items: list[Item] = []
    for machine, handler in handlers:
        handler(fact, at)
        if machine.outbox:
            items += machine.outbox
            machine.outbox = []
    if items:
        stack += items[::-1]


def _collect(machine: Machine, stack: list[Item]) -> None:
    """Put what the machine wants upon the stack, its first wish last."""
    items = machine.outbox
    if items:
        machine.outbox = []
        if len(items) > 1:
            items.reverse()
        stack += items
