"""Pace: how much of something each peer may cost a second; what is beyond it is dropped unread.

How it works. A bucket a peer, full at first; it fills by what a second allows, and holds no more than that. Buckets
are forgotten, the least recently used first, so that new identities, which cost nothing, do not fill the memory.
"""

from __future__ import annotations

from zmqchat.model.ids import PeerId
from zmqchat.model.limits import PEERS_LIVE_MAX


class Pace:
    """The buckets of all linked peers.

    dropped  how often a peer went beyond its pace
    """

    def __init__(self, per_s: int) -> None:
        self._per_s = float(per_s)
        self._buckets: dict[PeerId, tuple[float, float]] = {}
        self.dropped = 0

    def allows(self, peer: PeerId, cost: int, now_s: float) -> bool:
        """Take the cost from the peer's bucket where that has so much."""
        left, at_s = self._buckets.pop(peer, (self._per_s, now_s))
        left = min(self._per_s, left + (now_s - at_s) * self._per_s)
        allowed = cost <= left
        self._buckets[peer] = (left - cost if allowed else left, now_s)
        if len(self._buckets) > PEERS_LIVE_MAX:
            del self._buckets[next(iter(self._buckets))]
        self.dropped += not allowed
        return allowed
