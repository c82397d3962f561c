"""The pace of dials: so many a second, and more where nobody pays for them.

How it works. A bucket holds the dials of one second and fills as fast. In a partial mesh a dial that was refused at
once gives its place back: a host without zmqchat answered within a round trip, so that most of a reserve that has died
is gone through in a second (HyParView, section 4.3: the next contact is tried as soon as one fails). These come from a
bucket of their own that fills slowly: nobody can make of us a scanner of ports.
"""

from __future__ import annotations

from zmqchat.model.limits import DIALS_PER_S_MAX, DIALS_REFUSED_MAX
from zmqchat.protocol.views import Allowance


def refused_allowance() -> Allowance:
    """Refused dials that are followed by another at once: DIALS_REFUSED_MAX, one more a second."""
    return Allowance(1.0, DIALS_REFUSED_MAX)


class DialPace:
    """What is left of the dials of this second.

    is_partial   whether dials that were refused may be followed by others
    """

    def __init__(self) -> None:
        self.is_partial = False
        self._left = float(DIALS_PER_S_MAX)
        self._at_s = 0.0
        self._refused = refused_allowance()

    def left(self, now_s: float) -> int:
        """How many may begin now."""
        self._left = min(float(DIALS_PER_S_MAX), self._left + (now_s - self._at_s) * DIALS_PER_S_MAX)
        self._at_s = now_s
        return int(self._left)

    def spend(self) -> None:
        """One begins."""
        self._left -= 1

    def ended(self, reason: str, now_s: float) -> None:
        """One ended without a session."""
        if reason == "refused" and self.is_partial and self._refused.take(now_s):
            self._left += 1
