"""Copies: to whom a holder sends the history that many ask for at once, and whom it sends elsewhere.

How it works. When a network heals, everybody near the first link between the halves learns of the same logs from the
same node, which would carry the halves alone if it served all of them. As with rumours (Demers and others: Epidemic
Algorithms for Replicated Database Maintenance, PODC 1987, section 1.4) it is enough that each node tells a few, and
these tell others; as in BitTorrent (Cohen: Incentives Build Robustness in BitTorrent, 2003, on choking) a holder serves
few askers at a time and sends the rest elsewhere. By log, within COPY_S:

    nobody's yet, or the asker's already ------------------------> served
    sent to `copies` others: 1, or 2 where it was fetched just now --> not now: the asker turns to those that have it
    not now REFUSALS_MAX times: nobody else has it for the asker --> served
    little is asked for, and little was sent in excess lately ----> served

So a node that has all of its half and fetches the other sends each part of the first once and of the second twice, but
of every third log in that once: less than three times what it lacked. With a few links in the room nobody is refused,
as it can't come to more, nor in a full mesh, where all are near and nobody is to wait. Different numbers of a log are
different copies, so several holders still share one log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.model.limits import KIB

COPY_S: Final = 30.0
"""How long a copy counts: those that were sent elsewhere have it from others long before."""

COPIES_OLD: Final = 1
COPIES_FETCHED: Final = 2
"""Askers of the same numbers that are served: of what was here before, and of what came by an exchange just now."""

COPIED_ONCE: Final = 3
"""Of so many logs fetched one is sent on as if it had been here before: what the excess and the frames cost."""

LINKS_FREE: Final = 3
"""Up to so many links in a room nobody is refused."""

REFUSALS_MAX: Final = 3
"""An asker that is not served so often has nobody else to ask: then it is."""

EXCESS_BYTES: Final = 2 * KIB
EXCESS_BYTES_PER_S: Final = KIB // 2
EXCESS_NUMBERS_MAX: Final = 256
EXCESS_BYTES_PER_NUMBER: Final = 64
"""What may be sent beyond this at once and a second, to those that ask for no more numbers than that: lost messages.
What is admitted costs so much a number at once, and its size when it is sent."""

LOGS_MAX: Final = 4_096
"""Logs of which copies are remembered: about 2 MiB. Of those that are forgotten more copies may be sent."""

_Place = tuple[RoomId, LogKey]


@dataclass(slots=True)
class _Log:
    """Who was sent which numbers [first, end) of a log, and when; who was refused how often.

    copies   to how many a part that was fetched is sent, which was last at fetched_s
    """

    sent: dict[PeerId, tuple[int, int, float]] = field(default_factory=dict)
    refused: dict[PeerId, int] = field(default_factory=dict)
    fetched_s: float = float("-inf")
    copies: int = COPIES_OLD


class Copies:
    """What was sent to whom lately."""

    def __init__(self) -> None:
        self._logs: dict[_Place, _Log] = {}
        self._excess = float(EXCESS_BYTES)
        self._excess_s = 0.0
        self._fetched = 0

    def __len__(self) -> int:
        return len(self._logs)

    def fetched(self, place: _Place, now_s: float) -> None:
        """A part of this log came by an exchange."""
        log = self._log(place)
        if now_s - log.fetched_s >= COPY_S:
            self._fetched += 1
            log.copies = COPIES_FETCHED if self._fetched % COPIED_ONCE else COPIES_OLD
        log.fetched_s = now_s

    def admits(self, place: _Place, asker: PeerId, first: int, end: int, now_s: float) -> bool:
        """Whether the asker is to be sent these numbers now; if so that is remembered."""
        log = self._log(place)
        log.sent = {peer: copy for peer, copy in log.sent.items() if now_s - copy[2] < COPY_S}
        if asker not in log.sent and self._is_enough(log, first, end, now_s):
            refusals = log.refused.get(asker, 0)
            if self._is_little(first, end, now_s):
                self._excess -= (end - first) * EXCESS_BYTES_PER_NUMBER
            elif refusals < REFUSALS_MAX:
                log.refused[asker] = refusals + 1
                return False
        log.refused.pop(asker, None)
        before = log.sent.get(asker)
        log.sent[asker] = (first, end, now_s) if before is None else (min(first, before[0]), max(end, before[1]), now_s)
        return True

    def is_excess(self, place: _Place, asker: PeerId, first: int, end: int, now_s: float) -> bool:
        """Whether others have been sent enough of these numbers before the asker was."""
        log = self._logs.get(place)
        if log is None:
            return False
        before = list(log.sent)
        others = before[: before.index(asker)] if asker in log.sent else before
        return self._overlapping(log, others, first, end) >= self._copies(log, now_s)

    def sent_excess(self, size_bytes: int) -> None:
        """So much was sent beyond what others need us for."""
        self._excess -= size_bytes

    def _is_enough(self, log: _Log, first: int, end: int, now_s: float) -> bool:
        return self._overlapping(log, list(log.sent), first, end) >= self._copies(log, now_s)

    def _overlapping(self, log: _Log, peers: list[PeerId], first: int, end: int) -> int:
        return sum(log.sent[peer][0] < end and first < log.sent[peer][1] for peer in peers)

    def _copies(self, log: _Log, now_s: float) -> int:
        return log.copies if now_s - log.fetched_s < COPY_S else COPIES_OLD

    def _is_little(self, first: int, end: int, now_s: float) -> bool:
        self._excess = min(float(EXCESS_BYTES), self._excess + (now_s - self._excess_s) * EXCESS_BYTES_PER_S)
        self._excess_s = now_s
        return self._excess > 0 and end - first <= EXCESS_NUMBERS_MAX

    def _log(self, place: _Place) -> _Log:
        log = self._logs.pop(place, None) or _Log()
        self._logs[place] = log
        if len(self._logs) > LOGS_MAX:
            del self._logs[next(iter(self._logs))]
        return log
