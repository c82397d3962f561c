"""What a simulated machine takes for the time."""

from __future__ import annotations

import pytest

from zmqchat.sim.clocks import WALL_START_MS, Clock


def test_a_right_clock_shows_what_has_passed() -> None:
    """Monotonic seconds count from the boot, wall milliseconds from the begin of the run."""
    clock = Clock(booted_s=100.0)
    assert clock.instant(0.0) == (100.0, WALL_START_MS)
    assert clock.instant(2.5) == (102.5, WALL_START_MS + 2500)


def test_a_jump_moves_the_wall_clock_only() -> None:
    """The monotonic clock takes no notice, and no wall clock is before 1970."""
    clock = Clock()
    clock.jump(-10.0)
    assert clock.instant(1.0) == (1.0, WALL_START_MS - 9_000)
    clock.jump(-1e12)
    assert clock.instant(1.0).wall_ms >= 0


def test_a_drift_never_lets_the_monotonic_clock_go_back() -> None:
    """Whatever the rates, what is shown rises, and `true_s` finds the moment again."""
    clock, shown_s = Clock(), 0.0
    for step, rate in enumerate((1.1, 0.5, 1.0, 2.0)):
        clock.drift(float(step), rate)
        for tenth in range(10):
            now_s = step + tenth / 10
            instant = clock.instant(now_s)
            assert instant.now_s >= shown_s
            assert clock.true_s(instant.now_s) == pytest.approx(now_s)
            shown_s = instant.now_s
    assert clock.rate == 2.0


def test_a_timer_does_not_fire_before_its_moment() -> None:
    """Where rounding falls short, the timer's own moment is shown."""
    assert Clock().instant(0.9999999, least_s=1.0).now_s == 1.0
