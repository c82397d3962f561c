"""Scores: what each peer's faults have cost it, and for how long it is left alone.

A fault costs what it says. SCORE_RECOVERED points come back with each full minute, counted from the first fault: a
score that crept back all the time would let the fifth fault of a minute miss the floor by a hair. At the floor the
peer gets a penalty, each twice as long as the one before; at once the longest where a wrong signature was among its
faults, as nobody signs wrongly by mistake. Peers are forgotten, the least recently blamed first, so
that new identities, which cost nothing, do not fill the memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from zmqchat.model.faults import SCORE_FLOOR, Fault
from zmqchat.model.ids import PeerId
from zmqchat.model.limits import PEERS_REMEMBERED_MAX

SCORE_RECOVERED = 10.0
RECOVERY_S = 60.0
PENALTY_FIRST_S = 30.0


@dataclass(slots=True)
class _Score:
    """What a peer has; `at_s` is when it last recovered, or was first at fault since it was clean."""

    value: float = 0.0
    at_s: float = 0.0
    penalties: int = 0
    has_forged: bool = False
    last: str = ""


class Scores:
    """The scores of all peers that were ever at fault, bounded."""

    def __init__(self, penalty_max_s: float) -> None:
        self._penalty_max_s = penalty_max_s
        self._scores: dict[PeerId, _Score] = {}

    def blame(self, peer: PeerId, fault: Fault, now_s: float) -> bool:
        """Count a fault; says whether the peer has reached the floor."""
        score = self._of(peer)
        score.last = f"{fault.reason}: {fault.detail}"
        self._recover(score, now_s)
        score.value += fault.score
        score.has_forged |= fault.reason == "signature"
        return score.value <= SCORE_FLOOR

    def penalise(self, peer: PeerId, now_s: float, why: str | None = None) -> float:
        """Begin a penalty with a clean score; gives the moment at which it ends."""
        score = self._of(peer)
        score.last = score.last if why is None else why
        score.penalties += 1
        score.value = 0.0
        score.at_s = now_s
        has_forged, score.has_forged = score.has_forged, False
        if has_forged:
            return now_s + self._penalty_max_s
        return now_s + min(PENALTY_FIRST_S * 2.0 ** min(score.penalties - 1, 10), self._penalty_max_s)

    def last_fault(self, peer: PeerId) -> str:
        """The peer's last fault for a person to read, empty where it never had any."""
        score = self._scores.get(peer)
        return "" if score is None else score.last

    def _recover(self, score: _Score, now_s: float) -> None:
        minutes = (now_s - score.at_s) // RECOVERY_S
        score.value = min(0.0, score.value + minutes * SCORE_RECOVERED)
        score.has_forged &= score.value < 0
        score.at_s = score.at_s + minutes * RECOVERY_S if score.value < 0 else now_s

    def _of(self, peer: PeerId) -> _Score:
        score = self._scores.pop(peer, None) or _Score()
        self._scores[peer] = score
        if len(self._scores) > PEERS_REMEMBERED_MAX:
            del self._scores[next(iter(self._scores))]
        return score
