"""The runner: facts in their turn, effects in their order, time that jumps."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from zmqchat.node import runner as module
from zmqchat.node.runner import SLEEP_NOTICED_S, Runner, share_interpreter
from zmqchat.protocol.effects import Effect, LoadRange, Notice, SetTimer, Store
from zmqchat.protocol.facts import Fact, Instant, LoopLagged, RangeLoaded, Stored, StoreFailed, TimerFired, Woke
from zmqchat.store.store import StoreOutcome

LINK_DEAD_S = 6.0


class FakeMesh:
    """Notes facts; `answers` says what each kind of fact gives."""

    def __init__(self) -> None:
        self.handled: list[Fact] = []
        self.settled = 0
        self.answers: dict[type[Fact], Callable[[Fact], Sequence[Effect]]] = {}
        self.outbox: list[Effect] = []

    def handle(self, fact: Fact, _at: Instant) -> None:
        """One fact."""
        self.handled.append(fact)
        answer = self.answers.get(type(fact))
        self.outbox += () if answer is None else answer(fact)

    def settle(self, _at: Instant) -> None:
        """Method orders."""
        self.settled += 1

    def take_effects(self) -> list[Effect]:
        """What is to be done."""
        effects, self.outbox = self.outbox, []
        return effects


class FakeParts:
    """A transport and a store that note what they are given."""

    def __init__(self) -> None:
        self.applied: list[Effect] = []
        self.submitted: list[int] = []
        self.loads: list[Future[tuple[bytes, ...]]] = []

    def apply(self, effect: Effect) -> None:
        """An effect for the transport."""
        self.applied.append(effect)

    def submit(self, token: int, _writes: object) -> None:
        """Writes for the store."""
        self.submitted.append(token)

    def read(self, _function: object) -> Future[tuple[bytes, ...]]:
        """A page that comes when the test says so."""
        self.loads.append(Future())
        return self.loads[-1]


class Bench:
    """A runner between fakes."""

    def __init__(self) -> None:
        self.mesh = FakeMesh()
        self.parts = FakeParts()
        self.failures: list[BaseException] = []
        self.told: list[str] = []
        mesh: Any = self.mesh
        parts: Any = self.parts
        self.runner = Runner(mesh, parts, parts, self.failures.append, link_dead_s=LINK_DEAD_S)
        self.runner.on({Notice: lambda effect: self.told.append(effect.text)})


@pytest.fixture
async def bench() -> Bench:
    """A runner on this loop."""
    return Bench()


def timer(name: str) -> TimerFired:
    """A fact."""
    return TimerFired(name=(name,))


async def test_effects_go_where_they_belong_in_order(bench: Bench) -> None:
    """To the store, to who asked for them, and all others to the transport."""
    bench.mesh.answers[TimerFired] = lambda _fact: [
        Store(token=7, writes=()),
        Notice(text="told"),
        SetTimer(name=("x",), at_s=None),
        Effect(),
    ]
    bench.runner.feed(timer("a"))
    assert (bench.parts.submitted, bench.told, len(bench.parts.applied)) == ([7], ["told"], 1)


async def test_a_fact_that_comes_meanwhile_waits_its_turn(bench: Bench) -> None:
    """The machines are never entered twice."""
    seen: list[str] = []

    def answer(fact: Fact) -> Sequence[Effect]:
        assert isinstance(fact, TimerFired)
        seen.append(f"in {fact.name[0]}")
        if fact.name == ("outer",):
            bench.runner.feed(timer("inner"))
        seen.append(f"out {fact.name[0]}")
        return ()

    bench.mesh.answers[TimerFired] = answer
    bench.runner.feed(timer("outer"))
    assert seen == ["in outer", "out outer", "in inner", "out inner"]


async def test_timers_fire_once_and_are_replaced(bench: Bench) -> None:
    """One a name; None takes it away."""
    now_s = bench.runner.now().now_s
    for at_s in (now_s + 60, now_s + 0.01):
        bench.runner._set_timer(SetTimer(name=("a",), at_s=at_s))
    bench.runner._set_timer(SetTimer(name=("b",), at_s=now_s + 0.005))
    bench.runner._set_timer(SetTimer(name=("b",), at_s=None))
    while not bench.mesh.handled:
        await asyncio.sleep(0.002)
    assert bench.mesh.handled == [timer("a")]
    assert not bench.runner._timers


async def test_what_the_store_says_comes_as_facts(bench: Bench) -> None:
    """From the writer's thread, one wake-up a group."""
    outcomes = [(1, StoreOutcome(ok=True)), (2, StoreOutcome(ok=False, full=True, detail="full"))]
    await asyncio.to_thread(bench.runner.store_notify, outcomes)
    while len(bench.mesh.handled) < 2:
        await asyncio.sleep(0)
    assert bench.mesh.handled == [Stored(token=1), StoreFailed(token=2, full=True, detail="full")]


@pytest.mark.parametrize("fails", [False, True])
async def test_pages_come_as_facts(bench: Bench, fails: bool) -> None:
    """A page that can't be read comes as one that failed: the machine that waits for it goes on."""
    load: Any = LoadRange(token=3, room=None, key=None, first=0, end=9, bytes_max=1)  # type: ignore[arg-type]  # not looked at
    bench.runner._load_range(load)
    if fails:
        bench.parts.loads[0].set_exception(OSError("bad sector"))
    else:
        bench.parts.loads[0].set_result((b"batch",))
    while not bench.mesh.handled:
        await asyncio.sleep(0)
    assert bench.mesh.handled == [RangeLoaded(token=3, batches=() if fails else (b"batch",), failed=fails)]


async def test_a_broken_machine_stops_the_node(bench: Bench) -> None:
    """Its error is told, not swallowed."""

    def broken(_fact: Fact) -> Sequence[Effect]:
        raise RuntimeError("bug")

    bench.mesh.answers[TimerFired] = broken
    with pytest.raises(RuntimeError):
        bench.runner.feed(timer("a"))
    assert [str(error) for error in bench.failures] == ["bug"]


async def test_nothing_happens_after_the_stop(bench: Bench) -> None:
    """Facts, timers and orders are dropped."""
    bench.runner._set_timer(SetTimer(name=("a",), at_s=bench.runner.now().now_s + 0.001))
    bench.runner.start_watch()
    bench.runner.stop()
    bench.runner.feed(timer("b"))
    bench.runner.settle()
    await asyncio.sleep(0.01)  # longer than the timer
    assert bench.mesh.handled == []
    assert bench.mesh.settled == 0


async def test_orders_are_collected_at_the_end_of_the_turn(bench: Bench) -> None:
    """A hundred posts of one turn are one settling."""
    for _ in range(100):
        bench.runner.settle_soon()
    assert bench.mesh.settled == 0
    await asyncio.sleep(0)
    assert bench.mesh.settled == 1


@pytest.mark.parametrize(
    ("elapsed_s", "elapsed_wall_s", "expected"),
    [
        (1.0, 1.0, []),
        (3.5, 3.5, [LoopLagged]),
        (1.0, 2.0 + LINK_DEAD_S, [Woke]),
        (2.0 + LINK_DEAD_S, 2.0 + LINK_DEAD_S, [Woke]),
        (1.0, 2.0 + SLEEP_NOTICED_S, [Woke]),
        (40.0, 40.0, [Woke]),
        (40.0, 90.0, [Woke]),
    ],
)
async def test_time_that_jumps_is_noticed(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    elapsed_s: float,
    elapsed_wall_s: float,
    expected: list[type[Fact]],
) -> None:
    """A loop that stood still extends deadlines; one that slept makes every link prove that it lives, and asks anew."""
    wakes: list[None] = []
    bench.runner.on_wake = lambda: wakes.append(None)
    bench.runner._watched_s = bench.runner._loop.time() - elapsed_s
    bench.runner._watched_wall_s = time.time() - elapsed_wall_s
    bench.runner._look()
    assert [type(fact) for fact in bench.mesh.handled] == expected
    assert len(wakes) == expected.count(Woke)
    bench.runner.stop()


def test_an_abandoned_node_is_no_error_of_the_writer() -> None:
    """The loop was closed under it; what is stored is stored."""

    async def make() -> Runner:
        return Bench().runner

    loop = asyncio.new_event_loop()
    abandoned = loop.run_until_complete(make())
    loop.close()
    abandoned.store_notify([(1, StoreOutcome(ok=True))])


def test_threads_take_turns_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only ever more often than before."""
    before = sys.getswitchinterval()
    try:
        sys.setswitchinterval(0.005)
        share_interpreter()
        assert sys.getswitchinterval() == pytest.approx(module.SWITCH_INTERVAL_S)
        sys.setswitchinterval(module.SWITCH_INTERVAL_S / 2)
        share_interpreter()
        assert sys.getswitchinterval() == pytest.approx(module.SWITCH_INTERVAL_S / 2)
    finally:
        sys.setswitchinterval(before)
