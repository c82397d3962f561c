"""The heap of what is to happen."""

from __future__ import annotations

from random import Random

from zmqchat.sim.schedule import Schedule


def test_what_is_due_at_one_moment_happens_in_the_order_it_was_asked_for() -> None:
    """Time decides first, then the order of asking."""
    schedule = Schedule()
    done: list[str] = []
    schedule.at(2.0, done.append, "late")
    for name in ("first", "second", "third"):
        schedule.after(1.0, done.append, name)
    schedule.run_until(1.5)
    assert done == ["first", "second", "third"]
    assert schedule.now_s == 1.5
    schedule.run_until(3.0)
    assert done[-1] == "late"


def test_what_is_asked_for_too_late_happens_at_once() -> None:
    """Time never goes back."""
    schedule = Schedule()
    moments: list[float] = []
    schedule.run_until(5.0)
    schedule.at(1.0, lambda: moments.append(schedule.now_s))
    schedule.run_until(6.0)
    assert moments == [5.0]


def test_a_stopped_run_stays_where_it_is() -> None:
    """After `stopped` nothing happens any more."""
    schedule = Schedule()
    done: list[str] = []
    schedule.at(1.0, lambda: setattr(schedule, "stopped", True))
    schedule.at(2.0, done.append, "never")
    schedule.run_until(3.0)
    assert done == []
    assert schedule.now_s == 1.0


def test_whatever_is_asked_for_happens_in_the_order_of_its_moments() -> None:
    """Also what is asked for meanwhile, for moments near and far, and when time passes in steps of any length."""
    rng = Random(1)
    schedule = Schedule()
    asked: list[tuple[float, int]] = []
    done: list[tuple[float, int]] = []

    def act(at_s: float, number: int) -> None:
        assert schedule.now_s == at_s
        done.append((at_s, number))
        if len(asked) < 2_000:
            ask(rng.choice((0.0, 0.001, 0.01, 0.1, 3.0)))
            ask(2.0 * rng.random())

    def ask(delay_s: float) -> None:
        at_s = schedule.now_s + delay_s
        asked.append((at_s, len(asked)))
        schedule.at(at_s, act, *asked[-1])

    for _ in range(100):
        ask(rng.random())
    while len(done) < len(asked):
        schedule.run_until(schedule.now_s + rng.choice((0.003, 0.02, 0.5)))
    assert done == sorted(asked)
