"""The hybrid clock rises strictly, follows peers a little, and is never dragged far ahead."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zmqchat.history.clock import HLC_MAX, HybridClock, hlc_of, is_ahead, wall_ms_of
from zmqchat.model.limits import CLOCK_AHEAD_MS_MAX

walls = st.integers(0, 2**47)


@given(steps=st.lists(st.tuples(st.booleans(), walls, st.integers(0, HLC_MAX)), max_size=30))
def test_ticks_rise_whatever_the_wall_clock_and_peers_do(steps: list[tuple[bool, int, int]]) -> None:
    """Each tick is above all ticks before it and above every value that was taken over."""
    clock = HybridClock()
    highest = 0
    for observe, wall_ms, value in steps:
        if observe:
            taken = clock.observe(value, wall_ms)
            assert taken == (wall_ms_of(value) <= wall_ms + CLOCK_AHEAD_MS_MAX)
            highest = max(highest, value) if taken else highest
        else:
            ticked = clock.tick(wall_ms)
            assert ticked > highest and ticked >= hlc_of(wall_ms)
            highest = ticked


def test_a_counter_that_runs_over_borrows_a_millisecond() -> None:
    """65,536 ticks in one millisecond go on in the next."""
    clock = HybridClock(hlc_of(1000) + 65_535)
    assert wall_ms_of(clock.tick(1000)) == 1001


def test_a_peer_far_ahead_does_not_move_ours() -> None:
    """Hostile 27: 60 s ahead moves our clock, a century does not."""
    clock = HybridClock()
    clock.tick(5_000)
    assert clock.observe(hlc_of(5_000 + CLOCK_AHEAD_MS_MAX), 5_000)
    assert clock.ahead_ms(5_000) == CLOCK_AHEAD_MS_MAX
    assert not clock.observe(hlc_of(5_001 + CLOCK_AHEAD_MS_MAX), 5_000)
    assert is_ahead(hlc_of(100 * 365 * 86_400_000), 5_000)
    assert not is_ahead(hlc_of(9_000), 5_000, allowed_ms=4_000)


def test_a_clock_that_was_wrong_begins_anew() -> None:
    """Hostile 53: set to 2099 and back, ours begins at the wall clock or at what peers near it showed."""
    clock = HybridClock(hlc_of(4_000_000_000_000))
    assert clock.ahead_ms(1_000_000) > CLOCK_AHEAD_MS_MAX
    clock.restart(1_000_000, seen=hlc_of(1_000_500))
    assert (clock.ahead_ms(1_000_000), clock.ahead_ms(2_000_000)) == (500, 0)
    clock.restart(1_000_000, seen=hlc_of(4_000_000_000_000))
    assert clock.last == hlc_of(1_000_000)
