"""Ways through the simulated network: which process answers at an endpoint, and how long a packet takes there."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from zmqchat.model.addresses import Endpoint
from zmqchat.sim.conditions import Conditions

if TYPE_CHECKING:
    from zmqchat.sim.process import Process

DOORS_PORT: Final = 42_100
PORTS: Final = (DOORS_PORT, DOORS_PORT + 1, DOORS_PORT + 2)
"""Of door, direct and feed, on every node."""

CONNECT_S: Final = 3.0
HANDSHAKE_LATENCIES: Final = 5
"""TCP and CURVE: so many times the way."""

HEADER_BYTES: Final = 60
"""What ZMTP, CURVE, TCP and IP add to a frame."""


class Routes:
    """Who listens where, under the conditions of the moment."""

    def __init__(self, conditions: Conditions, rng: Random) -> None:
        self.conditions = conditions
        self._rng = rng
        self._processes: dict[int, Process] = {}
        self._silent: set[int] = set()

    def listen(self, process: Process) -> None:
        """This process has bound its node's ports."""
        self._processes[process.number] = process
        self._silent.discard(process.number)

    def gone(self, process: Process, *, silent: bool) -> None:
        """It listens no more; silent where its machine is off, so that nothing answers."""
        if self._processes.get(process.number) is process:
            del self._processes[process.number]
        if silent:
            self._silent.add(process.number)

    def processes(self) -> list[Process]:
        """All that listen."""
        return list(self._processes.values())

    def reach(self, dialler: Process, endpoint: Endpoint, port: int) -> tuple[Process | None, str]:
        """The process at a port of an endpoint with the address that it sees the dialler by, or None and the reason."""
        number, detail = self.conditions.find(dialler.number, endpoint.host)
        if number is None:
            return None, detail
        if not self.both_pass(dialler.number, number) or number in self._silent:
            return None, "timeout"
        process = self._processes.get(number)
        if process is None or port not in PORTS:
            return None, "refused"
        return process, detail

    def both_pass(self, one: int, other: int) -> bool:
        """Whether packets get through in both directions."""
        return self.conditions.passes(one, other) and self.conditions.passes(other, one)

    def failure_s(self, reason: str) -> float:
        """How long a dial takes to fail."""
        return CONNECT_S if reason == "timeout" else 0.001 + 0.001 * self._rng.random()

    def delay_s(self, sender: Process, receiver: Process, size_bytes: int, times: int = 1) -> float:
        """How long a packet takes that belongs to no connection yet, or so many of them one after the other."""
        conditions = self.conditions
        latency_s = times * conditions.draw_latency_s(sender.number, receiver.number)
        quality = conditions.between(sender.number, receiver.number)
        return conditions.delay_s(quality, latency_s, size_bytes + HEADER_BYTES)
