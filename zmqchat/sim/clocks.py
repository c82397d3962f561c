"""The two clocks of a simulated machine: a monotonic one that may drift, and a wall clock that may be wrong and jump.

Simulated time is what is true. A clock shows `shown_s + (now_s - since_s) * rate`; the two first change
together whenever the rate does, so that the monotonic clock never goes back.
"""

from __future__ import annotations

from typing import Final

from zmqchat.protocol.facts import Instant

WALL_START_MS: Final = 1_700_000_000_000
"""What a right wall clock shows when a run begins."""


class Clock:
    """What one machine takes for the time.

    booted_s  what its monotonic clock shows at the simulated second 0
    """

    __slots__ = ("_rate", "_shown_s", "_since_s", "_wall_ms")

    def __init__(self, booted_s: float = 0.0) -> None:
        self._rate = 1.0
        self._since_s = 0.0
        self._shown_s = booted_s
        self._wall_ms = WALL_START_MS

    @property
    def rate(self) -> float:
        """Seconds that pass here while one passes in truth."""
        return self._rate

    def instant(self, now_s: float, least_s: float = 0.0) -> Instant:
        """The moment as this machine sees it; least_s is a timer's moment, which rounding must not fall short of."""
        passed_s = (now_s - self._since_s) * self._rate
        shown_s = self._shown_s + passed_s
        return Instant(least_s if least_s > shown_s else shown_s, self._wall_ms + int(passed_s * 1000))

    def shown_s(self, now_s: float) -> float:
        """What the monotonic clock shows."""
        return self._shown_s + (now_s - self._since_s) * self._rate

    def true_s(self, at_s: float) -> float:
        """The simulated second at which the monotonic clock shows at_s."""
        return self._since_s + (at_s - self._shown_s) / self._rate

    def drift(self, now_s: float, rate: float) -> None:
        """Run at this rate from now on."""
        passed_s = (now_s - self._since_s) * self._rate
        self._shown_s += passed_s
        self._wall_ms += int(passed_s * 1000)
        self._since_s = now_s
        self._rate = rate

    def jump(self, seconds: float) -> None:
        """The wall clock is set: ahead, or back where negative."""
        self._wall_ms = max(0, self._wall_ms + int(seconds * 1000))
