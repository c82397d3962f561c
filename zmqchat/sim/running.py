"""A run with all checkers, as a function that other processes can be told to call."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from zmqchat.protocol.effects import Effect
from zmqchat.protocol.facts import Fact
from zmqchat.sim.checkers import all_checkers
from zmqchat.sim.checks import TraceSink
from zmqchat.sim.options import Options, Outcome
from zmqchat.sim.simulation import Simulation
from zmqchat.sim.world import World

GARBAGE_AFTER: Final = 200_000
"""Objects made before the collector looks for circles among the young ones. A run makes millions that stay, which
it would walk through again and again: a fifth of the time with 300 nodes, and more with more."""


class JoiningSink(TraceSink, Protocol):
    """A sink that wants to know the world that it is told of."""

    def join(self, world: World) -> None:
        """This is the world."""
        ...


class Snapshot:
    """Takes a picture of the world at a simulated second, or at the end where none is given."""

    def __init__(self, draw: Callable[[World], str], at_s: float | None = None) -> None:
        self.taken = ""
        self._draw = draw
        self._at_s = at_s

    def plan(self, world: World) -> None:
        """Take it when its moment comes."""
        if self._at_s is not None:
            world.at(self._at_s, self.take, world)

    def take(self, world: World) -> None:
        """Take it now, unless one was taken."""
        self.taken = self.taken or self._draw(world)


class _Sinks:
    """Several sinks as one."""

    def __init__(self, sinks: Sequence[JoiningSink]) -> None:
        self._sinks = tuple(sinks)

    def at(self, now_s: float, node: int, what: Fact | Effect) -> None:
        """Tell each."""
        for sink in self._sinks:
            sink.at(now_s, node, what)


def run_checked(options: Options, sinks: Sequence[JoiningSink] = (), snapshot: Snapshot | None = None) -> Outcome:
    """Run these options under all checkers."""
    simulation = Simulation(options, checkers=all_checkers(), trace=_Sinks(sinks) if sinks else None)
    for sink in sinks:
        sink.join(simulation.world)
    if snapshot is not None:
        snapshot.plan(simulation.world)
    with _seldom_collecting():
        outcome = simulation.run()
    if snapshot is not None:
        snapshot.take(simulation.world)
    return outcome


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    if not hasattr(gc, "get_threshold"):
        yield  # PyPy's collector has no thresholds, and no need of them.
        return
    before = gc.get_threshold()
    gc.set_threshold(GARBAGE_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
