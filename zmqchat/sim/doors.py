"""The doors of the simulated network: HELLO and its answer, between processes that have no link.

A dialled door is a connection of its own that carries single frames; a door reads so many of them a second, and the
others wait for it. What can't pass at the moment is not answered, and the dialler's own clock ends that.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from zmqchat.model.limits import DOOR_FRAMES_PER_S_MAX
from zmqchat.protocol.effects import AnswerDoor, DialDoor
from zmqchat.protocol.facts import DialFailed, DoorAnswered, DoorCaller, DoorKnocked
from zmqchat.sim.routes import HANDSHAKE_LATENCIES, Routes

if TYPE_CHECKING:
    from zmqchat.sim.process import Process
    from zmqchat.sim.schedule import Schedule


class Knock:
    """A dialled door, until its dialler closes it."""

    __slots__ = ("dial", "dialler", "host", "is_closed", "routing", "target")

    def __init__(self, dialler: Process, dial: int, routing: bytes) -> None:
        self.dialler = dialler
        self.dial = dial
        self.routing = routing
        self.is_closed = False
        self.target: Process | None = None
        self.host = ""


class Doors:
    """All dialled doors."""

    def __init__(self, schedule: Schedule, routes: Routes) -> None:
        self._schedule = schedule
        self._routes = routes
        self._numbers = itertools.count(1)
        self._knocks: dict[bytes, Knock] = {}
        self._free_s: dict[int, float] = {}

    def gone(self, process: Process) -> None:
        """The process is no more: nothing that it dialled is answered."""
        for knock in process.knocks.values():
            knock.is_closed = True
            self._knocks.pop(knock.routing, None)

    def knock(self, dialler: Process, effect: DialDoor) -> None:
        """Dial a door and say what is to be said."""
        routing = next(self._numbers).to_bytes(8, "big")
        knock = Knock(dialler, effect.dial, routing)
        dialler.knocks[effect.dial] = knock
        listener, reason = self._routes.reach(dialler, effect.endpoint, effect.endpoint.door)
        if listener is None:
            self._schedule.after(self._routes.failure_s(reason), self._dial_failed, knock, reason)
            return
        knock.target, knock.host = listener, reason
        self._knocks[routing] = knock
        latency_s = self._routes.delay_s(dialler, listener, len(effect.payload), HANDSHAKE_LATENCIES)
        self._schedule.after(latency_s, self._knocked, knock, effect.payload)

    def knock_again(self, dialler: Process, dial: int, payload: bytes) -> None:
        """A further frame on a dialled door."""
        knock = dialler.knocks.get(dial)
        if knock is not None and knock.target is not None:
            self._schedule.after(
                self._routes.delay_s(dialler, knock.target, len(payload)), self._knocked, knock, payload
            )

    def _knocked(self, knock: Knock, payload: bytes) -> None:
        """A door reads so many frames a second; the others wait for it."""
        target = knock.target
        if knock.is_closed or target is None:
            return
        if not target.alive:
            self._dial_failed(knock, "refused")
        elif self._routes.conditions.passes(knock.dialler.number, target.number):
            now_s = self._schedule.now_s
            free_s = max(now_s, self._free_s.get(target.number, 0.0))
            self._free_s[target.number] = free_s + 1.0 / DOOR_FRAMES_PER_S_MAX
            self._schedule.after(free_s - now_s, self._heard_knock, knock, payload)

    def _heard_knock(self, knock: Knock, payload: bytes) -> None:
        if not knock.is_closed and knock.target is not None:
            caller = DoorCaller(knock.routing, knock.dialler.peer, knock.host)
            knock.target.feed(DoorKnocked(caller=caller, payload=payload))

    def answer(self, listener: Process, effect: AnswerDoor) -> None:
        """Carry a door's answer back to whoever knocked."""
        knock = self._knocks.get(effect.caller.routing)
        if knock is not None and self._routes.conditions.passes(listener.number, knock.dialler.number):
            delay_s = self._routes.delay_s(listener, knock.dialler, len(effect.payload))
            self._schedule.after(delay_s, self._answered, knock, effect.payload)

    def _answered(self, knock: Knock, payload: bytes) -> None:
        if not knock.is_closed:
            knock.dialler.feed(DoorAnswered(dial=knock.dial, payload=payload))

    def close(self, dialler: Process, dial: int) -> None:
        """The dialled door is no longer needed."""
        knock = dialler.knocks.pop(dial, None)
        if knock is not None:
            knock.is_closed = True
            self._knocks.pop(knock.routing, None)

    def _dial_failed(self, knock: Knock, reason: str) -> None:
        if not knock.is_closed:
            self.close(knock.dialler, knock.dial)
            knock.dialler.feed(DialFailed(dial=knock.dial, reason=reason))
