"""A token bucket: so many a second on average, a burst at once; time is an argument."""

from __future__ import annotations


class TokenBucket:
    """Allows `rate_per_s` on average and `burst` at once, starting full."""

    __slots__ = ("_burst", "_rate_per_s", "_tokens", "_updated_s")

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._tokens = burst
        self._updated_s: float | None = None

    def take(self, now_s: float) -> bool:
        """Whether one more is allowed now; if so it is counted."""
        self._refill(now_s)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def wait_s(self, now_s: float) -> float:
        """Seconds until one more is allowed; 0 where it is allowed now."""
        self._refill(now_s)
        return max(0.0, (1 - self._tokens) / self._rate_per_s)

    def _refill(self, now_s: float) -> None:
        if self._updated_s is not None and now_s > self._updated_s:
            self._tokens = min(self._burst, self._tokens + (now_s - self._updated_s) * self._rate_per_s)
        self._updated_s = now_s if self._updated_s is None else max(now_s, self._updated_s)
