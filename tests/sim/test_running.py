"""A run as others call it: all checkers, all sinks, a picture at its moment."""

from __future__ import annotations

import gc

import pytest

from zmqchat.protocol.effects import Effect
from zmqchat.protocol.facts import Fact
from zmqchat.sim import running
from zmqchat.sim.checkers.base import Base
from zmqchat.sim.checks import Checker, CheckFailed
from zmqchat.sim.options import Options
from zmqchat.sim.running import GARBAGE_AFTER, Snapshot, run_checked
from zmqchat.sim.simulation import Simulation
from zmqchat.sim.world import World

SHORT = Options(seed=3, nodes=2, duration_s=2.0)


class Sink:
    """Notes what it is told, and of which world."""

    def __init__(self) -> None:
        self.world: World | None = None
        self.lines: list[tuple[float, int, str]] = []
        self.collects_after: set[int] = set()

    def join(self, world: World) -> None:
        """This is the world."""
        self.world = world

    def at(self, now_s: float, node: int, what: Fact | Effect) -> None:
        """Note it."""
        self.lines.append((now_s, node, type(what).__name__))
        self.collects_after.add(gc.get_threshold()[0])


def test_all_sinks_are_told_the_same_and_change_nothing() -> None:
    """Each knows the world; the digest is that of a run that nobody looks at."""
    sinks = Sink(), Sink()
    outcome = run_checked(SHORT, sinks)
    assert outcome.failed == ()
    assert outcome.digest == Simulation(SHORT).run().digest
    assert sinks[0].lines == sinks[1].lines
    assert {node for _at_s, node, _what in sinks[0].lines} == {0, 1}
    assert sinks[0].world is sinks[1].world is not None


def test_a_picture_is_taken_at_its_moment_or_at_the_end() -> None:
    """Once."""

    def draw(world: World) -> str:
        return f"{world.now_s:.1f}"

    at_one, at_end, never = Snapshot(draw, 1.0), Snapshot(draw), Snapshot(draw, 1e9)
    for snapshot in (at_one, at_end, never):
        run_checked(SHORT, snapshot=snapshot)
    assert at_one.taken == "1.0"
    assert float(at_end.taken) > SHORT.duration_s
    assert never.taken == at_end.taken


def test_what_a_checker_finds_is_in_the_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the name of the checker."""

    class Grumbler(Base):
        name = "grumbler"

        def quiet(self, world: World) -> None:
            raise CheckFailed(f"{len(world.nodes)} are too many")

    checkers: list[Checker] = [Grumbler()]
    monkeypatch.setattr(running, "all_checkers", lambda: checkers)
    assert run_checked(SHORT).failed == ("grumbler: 2 are too many",)


@pytest.mark.parametrize("fails", [False, True])
def test_the_collector_is_as_before_after_a_run(monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    """It looks seldom during the run only, also where that ends in an error."""
    usual, sink = gc.get_threshold(), Sink()
    gc.set_threshold(1_234, 11, 12)
    try:
        if fails:

            def throws(_simulation: Simulation) -> None:
                raise RuntimeError("planted")

            monkeypatch.setattr(Simulation, "run", throws)
            with pytest.raises(RuntimeError, match="planted"):
                run_checked(SHORT)
        else:
            run_checked(SHORT, [sink])
            assert sink.collects_after == {GARBAGE_AFTER}
        assert gc.get_threshold() == (1_234, 11, 12)
    finally:
        gc.set_threshold(*usual)


def test_a_collector_without_thresholds_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyPy has neither of the two functions: a run there is the same one."""
    digest = run_checked(SHORT).digest
    monkeypatch.delattr(gc, "get_threshold")
    monkeypatch.delattr(gc, "set_threshold")
    assert run_checked(SHORT).digest == digest
