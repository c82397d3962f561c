"""The hybrid logical clock: wall milliseconds that never go back and never stand still.

A value is milliseconds since 1970 << 16 | counter. Each tick is above every value made or observed before.
A clock that is far ahead of ours does not move ours, so that one wrong node does not drag the mesh along.
"""

from __future__ import annotations

from typing import Final

from zmqchat.model.limits import CLOCK_AHEAD_MS_MAX

COUNTER_BITS: Final = 16
HLC_MAX: Final = 2**64 - 1


def hlc_of(wall_ms: int) -> int:
    """The first value of this millisecond."""
    return wall_ms << COUNTER_BITS


def wall_ms_of(hlc: int) -> int:
    """The milliseconds since 1970 of a value."""
    return hlc >> COUNTER_BITS


def is_ahead(hlc: int, wall_ms: int, allowed_ms: int = CLOCK_AHEAD_MS_MAX) -> bool:
    """Whether the value is further ahead of the wall clock than allowed."""
    return wall_ms_of(hlc) > wall_ms + allowed_ms


class HybridClock:
    """This node's clock; `last` is the highest value made or taken over, 0 for none."""

    __slots__ = ("last",)

    def __init__(self, last: int = 0) -> None:
        self.last = last

    def tick(self, wall_ms: int) -> int:
        """The next value: the wall clock's, or one above the last where that is not behind it.

        A counter that runs over borrows a millisecond, as 48 and 16 bits are one number.
        """
        self.last = max(hlc_of(wall_ms), self.last + 1)
        return self.last

    def observe(self, hlc: int, wall_ms: int) -> bool:
        """Take note of a peer's value; False where it is too far ahead, and ours stays where it is."""
        if is_ahead(hlc, wall_ms):
            return False
        self.last = max(self.last, hlc)
        return True

    def ahead_ms(self, wall_ms: int) -> int:
        """How far ours is ahead of the wall clock; over CLOCK_AHEAD_MS_MAX a new log must be drawn."""
        return max(0, wall_ms_of(self.last) - wall_ms)

    def restart(self, wall_ms: int, seen: int = 0) -> None:
        """Begin anew after the wall clock was put right: at the wall clock, or at what peers near it showed."""
        self.last = max(hlc_of(wall_ms), seen if not is_ahead(seen, wall_ms) else 0)
