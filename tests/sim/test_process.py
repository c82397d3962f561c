"""One life of a node: facts in, effects out in order, and what becomes of timers, writes and time that stands still."""

from __future__ import annotations

from tests.support.simworlds import passes, process_of, small_world
from zmqchat.protocol.effects import Effect, Expel, PutRow, SetTimer, Store
from zmqchat.protocol.facts import (
    DirectOpened,
    Fact,
    LoopLagged,
    Stored,
    StoreFailed,
    TimerFired,
    Woke,
)
from zmqchat.sim.node import NodePlan
from zmqchat.sim.process import LAG_TOLERATED_S, WAKE_S, Process

FIRST, SECOND = ("test", 1), ("test", 2)


class Alone:
    """A single node of whose machines nothing is heard: effects are given by hand, and the facts noted."""

    def __init__(self) -> None:
        self.world, _diary = small_world(NodePlan(rooms=(), discovers=False), seconds=10.0)
        self.process = process_of(self.world, 0)
        self.heard: list[tuple[float, Fact]] = []
        self.world.watch.trace = self
        mesh = self.process.machines.mesh
        self.wanted: list[Effect] = []
        mesh.take_effects = self._take  # type: ignore[method-assign]  # what the machines want comes from the test
        mesh.handle = lambda fact, at: None  # type: ignore[method-assign]  # and nothing else does

    def _take(self) -> list[Effect]:
        wanted, self.wanted = self.wanted, []
        return wanted

    def at(self, now_s: float, node: int, what: Fact | Effect) -> None:
        """Note facts, without the timers that the machines set before."""
        if isinstance(what, Fact) and not (isinstance(what, TimerFired) and what.name[0] != "test"):
            self.heard.append((now_s, what))

    def want(self, *effects: Effect) -> None:
        """The machines want this."""
        self.wanted += effects
        self.process.settle()

    def clock_s(self) -> float:
        """What its clock shows."""
        return self.process.instant().now_s

    def fired(self) -> list[tuple[float, tuple[object, ...]]]:
        """The timers that fired, and when, in true seconds."""
        return [(at_s, fact.name) for at_s, fact in self.heard if isinstance(fact, TimerFired)]


def _store(token: int) -> Store:
    return Store(token=token, writes=(PutRow("rooms", b"%d" % token, b"x"),))


# Timers --------------------------------------------------------------------------------------------------


def test_a_timer_fires_once_at_its_moment() -> None:
    """By the node's own clock, which shows no less than the moment then."""
    alone = Alone()
    now_s = alone.world.now_s
    alone.want(SetTimer(name=FIRST, at_s=alone.clock_s() + 2.0))
    passes(alone.world, 10.0)
    assert alone.fired() == [(now_s + 2.0, FIRST)]


def test_a_timer_that_is_set_anew_or_put_off_fires_at_the_last_moment_only() -> None:
    """Earlier, later, never; another timer is not touched."""
    alone = Alone()
    now_s, clock_s = alone.world.now_s, alone.clock_s()
    for at_s in (5.0, 2.0, 4.0):
        alone.want(SetTimer(name=FIRST, at_s=clock_s + at_s))
    alone.want(SetTimer(name=SECOND, at_s=clock_s + 3.0))
    passes(alone.world, 10.0)
    assert alone.fired() == [(now_s + 3.0, SECOND), (now_s + 4.0, FIRST)]
    alone.want(SetTimer(name=FIRST, at_s=alone.clock_s() + 1.0), SetTimer(name=FIRST, at_s=None))
    passes(alone.world, 10.0)
    assert len(alone.fired()) == 2
    alone.want(SetTimer(name=FIRST, at_s=alone.clock_s() + 1.0))
    passes(alone.world, 2.0)
    assert len(alone.fired()) == 3


def test_a_timer_follows_a_clock_that_changes_its_pace() -> None:
    """It fires when that clock shows its moment, whether it runs faster or slower than when the timer was set."""
    for rate, true_s in ((0.5, 4.0), (1.0, 2.0)):
        alone = Alone()
        now_s = alone.world.now_s
        alone.want(SetTimer(name=FIRST, at_s=alone.clock_s() + 2.0))
        alone.world.drift_clock(0, rate)
        passes(alone.world, 10.0)
        ((at_s, _name),) = alone.fired()
        assert abs(at_s - now_s - true_s) < 0.001


# The disk ------------------------------------------------------------------------------------------------


def _stored(alone: Alone) -> list[int]:
    return [fact.token for _at_s, fact in alone.heard if isinstance(fact, Stored)]


def test_writes_are_committed_in_groups_one_commit_at_a_time() -> None:
    """What is wanted during a commit waits, and goes into the next together."""
    alone = Alone()
    alone.world.set_disk(0, fsync_s=1.0)
    alone.want(_store(1))
    alone.want(_store(2))
    alone.want(_store(3))
    assert not alone.process.has_written
    passes(alone.world, 10.0)
    assert _stored(alone) == [1, 2, 3]
    times_s = [at_s for at_s, fact in alone.heard if isinstance(fact, Stored)]
    assert times_s[1] == times_s[2] > times_s[0] + 0.4
    assert alone.process.has_written


def _kept(alone: Alone) -> set[bytes]:
    """The rows of the test that are on its disk."""
    return {key for key, _value in alone.world.nodes[0].disk.kept(power_lost=False).rooms}


def test_a_crash_keeps_what_is_committed_and_loses_what_waits() -> None:
    """What is under way is kept or lost as a whole; nobody hears of it."""
    for kept_under_way, kept_waiting, expected in (
        (False, False, set()),
        (True, False, {b"1"}),
        (True, True, {b"1", b"2"}),
    ):
        alone = Alone()
        alone.world.set_disk(0, fsync_s=1.0)
        alone.want(_store(1))
        alone.want(_store(2))
        alone.process.end(kept_under_way=kept_under_way, kept_waiting=kept_waiting)
        passes(alone.world, 10.0)
        assert _stored(alone) == []
        assert _kept(alone) == expected


def test_a_bad_disk_takes_nothing_and_says_why() -> None:
    """Full or broken; and nothing under way is kept by it in a crash."""
    for trouble, full in (({"full": True}, True), ({"broken": True}, False)):
        alone = Alone()
        alone.world.set_disk(0, **trouble)
        alone.want(_store(1))
        passes(alone.world, 1.0)
        failures = [fact for _at_s, fact in alone.heard if isinstance(fact, StoreFailed)]
        assert [(fact.token, fact.full) for fact in failures] == [(1, full)]
        alone.want(_store(2))
        alone.process.end(kept_under_way=True)
        assert _kept(alone) == set()


# The end, and standing still -----------------------------------------------------------------------------


def test_a_dead_process_hears_nothing() -> None:
    """Neither facts nor its timers."""
    alone = Alone()
    alone.want(SetTimer(name=FIRST, at_s=alone.clock_s() + 1.0))
    alone.process.end(kept_under_way=False)
    alone.process.feed(Woke(slept_s=1.0))
    passes(alone.world, 5.0)
    assert alone.heard == []


def test_what_comes_to_a_process_that_stands_still_waits_in_order() -> None:
    """Facts and timers alike; first it is told how long it was away, by its own clock."""
    for paused_s, told in ((LAG_TOLERATED_S / 2, None), (LAG_TOLERATED_S * 2, LoopLagged), (WAKE_S * 2, Woke)):
        alone = Alone()
        alone.world.drift_clock(0, 1.5)
        other = DirectOpened(peer=alone.process.peer)
        alone.want(SetTimer(name=FIRST, at_s=alone.clock_s() + 0.1))
        alone.process.pause()
        passes(alone.world, paused_s / 3)
        alone.process.feed(other)
        passes(alone.world, paused_s / 3)
        assert alone.heard == []
        alone.process.resume()
        alone.process.resume()
        came = [fact for _at_s, fact in alone.heard]
        if told is not None:
            first = came.pop(0)
            assert isinstance(first, told)
            lag_s = first.slept_s if isinstance(first, Woke) else first.lag_s
            assert abs(lag_s - paused_s) < 1e-6
        assert came == [TimerFired(name=FIRST), other]


def test_who_throws_ends_the_run_with_the_place() -> None:
    """As a fact is handled, and as orders are collected."""
    for act in ("feed", "settle"):
        alone = Alone()

        def throws(*_: object) -> None:
            raise ValueError("planted")

        alone.process.machines.mesh.handle = throws  # type: ignore[assignment]  # the fault that is planted
        alone.process.machines.mesh.settle = throws  # type: ignore[assignment]  # the same
        if act == "feed":
            alone.process.feed(Woke(slept_s=1.0))
        else:
            alone.process.settle()
        assert alone.world.schedule.stopped
        (line,) = alone.world.watch.failed
        assert line.startswith("machines: node 0: ValueError: planted (") and "test_process.py" in line


# Links -------------------------------------------------------------------------------------------------


def _links(process: Process) -> int:
    return len(process.directs) + len(process.inbound) + len(process.feeds) + len(process.accepted)


def test_whoever_is_expelled_has_no_connection_left() -> None:
    """Neither what it dialled nor what was dialled to it, and it is let in no more."""
    world, _diary = small_world(nodes=2)
    one, other = process_of(world, 0), process_of(world, 1)
    assert _links(one) >= 3 and other.peer in one.admitted
    mesh = one.machines.mesh
    mesh.handle = lambda fact, at: None  # type: ignore[method-assign]  # it asks for no new ones
    mesh.take_effects = lambda: [Expel(peer=other.peer, reason="flood")]  # type: ignore[method-assign]  # as `Peers` does
    one.settle()
    mesh.take_effects = list  # type: ignore[method-assign]  # that was all
    passes(world, 0.05)
    assert _links(one) == 0
    assert other.peer not in one.admitted
