"""The token bucket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqchat.net.rates import TokenBucket


def test_burst_then_rate() -> None:
    """A full bucket gives its burst at once, then one for each interval."""
    bucket = TokenBucket(10, 3)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.wait_s(100.0) == pytest.approx(0.1)
    assert not bucket.take(100.05)
    assert bucket.take(100.11)
    assert bucket.wait_s(200.0) == 0


def test_time_that_goes_back_gives_nothing() -> None:
    """An earlier time neither adds nor takes tokens."""
    bucket = TokenBucket(1, 1)
    assert bucket.take(50.0)
    assert not bucket.take(10.0)
    assert not bucket.take(50.5)
    assert bucket.take(51.0)


@given(st.lists(st.floats(0, 10), max_size=200), st.integers(1, 20), st.integers(1, 20))
def test_never_more_than_burst_and_rate(times_s: list[float], rate_per_s: int, burst: int) -> None:
    """Over any stretch no more are allowed than the burst and the rate add up to."""
    bucket = TokenBucket(rate_per_s, burst)
    allowed = sum(bucket.take(now_s) for now_s in sorted(times_s))
    assert allowed <= burst + 10 * rate_per_s
