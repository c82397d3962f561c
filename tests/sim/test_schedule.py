"""The heap of what is to happen."""

from __future__ import annotations

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
