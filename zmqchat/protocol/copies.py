"""Copies: to whom a holder sends the history that many ask for at once, and whom it sends elsewhere.

How it works. When a network heals, everybody near the first link between the halves learns of the same logs from the
same node, which would carry the halves alone if it served all of them. As with rumours (Demers and others: Epidemic
Algorithms for Replicated Database Maintenance, PODC 1987, section 1.4) it is enough that each node tells a few, and
these tell others; as in BitTorrent (Cohen: Incentives Build Robustness in BitTorrent, 2003, on choking) a holder serves
few askers at a time and sends the rest elsewhere. By log, within COPY_S:

    nobody's yet, or the asker's already ----------------------> served
    fetched just now, sent to one other, and there is allowance -> served
    sent to somebody else -------> not now: the asker turns to those that have it
    not now REFUSALS_MAX times: nobody else has it for the asker -> served
    little is asked for, and little was sent in excess lately ---> served

The first copy of what was fetched is free, so that nothing stays where it came to. For all else there is an allowance,
as much as was fetched: for second copies, so that each round doubles those that have it, and for copies of what was
here before. Who stands between the halves sends each part of its own half once, which uses the allowance up, and each
part of the other half once, too. So nobody sends much more than twice what it lacked. With a few links in the room
nobody is refused, as it can't come to more, nor in a full mesh, where all are near and nobody is to wait. Different
numbers of a log are different copies, so several holders still share one log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.model.limits import KIB

COPY_S: Final = 30.0
"""How long a copy counts: those that were sent elsewhere have it from others long before."""

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


class Answer(Enum):
    """What an asker gets: not now; what it is due; what others had before it, in excess."""

    NOT_NOW = "not now"
    DUE = "due"
    EXCESS = "excess"


@dataclass(slots=True)
class _Copy:
    """Which numbers [first, end) of a log somebody was sent, when last, and whether in excess."""

    first: int
    end: int
    at_s: float
    answer: Answer


@dataclass(slots=True)
class _Log:
    """Who was sent what of a log; who was refused how often; when a part of it was fetched last."""

    sent: dict[PeerId, _Copy] = field(default_factory=dict)
    refused: dict[PeerId, int] = field(default_factory=dict)
    fetched_s: float = float("-inf")


class Copies:
    """What was sent to whom lately."""

    def __init__(self) -> None:
        self._logs: dict[_Place, _Log] = {}
        self._excess = float(EXCESS_BYTES)
        self._excess_s = 0.0
        self._fetched = self._beyond = 0
        self._counted_from_s = 0.0

    def __len__(self) -> int:
        return len(self._logs)

    def fetched(self, place: _Place, events: int, now_s: float) -> None:
        """A part of this log came by an exchange."""
        self._log(place).fetched_s = now_s
        self._count_anew(now_s)
        self._fetched += events

    def asked(self, place: _Place, asker: PeerId, first: int, end: int, now_s: float) -> Answer:
        """Whether the asker is to be sent these numbers now; if so that is remembered."""
        log = self._log(place)
        log.sent = {peer: copy for peer, copy in log.sent.items() if now_s - copy.at_s < COPY_S}
        self._count_anew(now_s)
        copy = log.sent.get(asker)
        answer = copy.answer if copy is not None else self._answer(log, asker, first, end, now_s)
        if answer is Answer.NOT_NOW:
            return answer
        if not self._is_new(log, now_s) or self._others(log, asker, first, end):
            self._beyond += end - first
        if copy is None:
            copy = log.sent[asker] = _Copy(first, end, now_s, answer)
        copy.first, copy.end, copy.at_s = min(first, copy.first), max(end, copy.end), now_s
        log.refused.pop(asker, None)
        return answer

    def _answer(self, log: _Log, asker: PeerId, first: int, end: int, now_s: float) -> Answer:
        """What somebody gets who has got nothing of this log."""
        others = self._others(log, asker, first, end)
        is_second_due = self._is_new(log, now_s) and self._beyond + end - first <= self._fetched
        if others < (2 if is_second_due else 1):
            return Answer.DUE
        refusals = log.refused.get(asker, 0)
        if self._is_little(end - first, now_s):
            self._excess -= (end - first) * EXCESS_BYTES_PER_NUMBER
        elif refusals < REFUSALS_MAX:
            log.refused[asker] = refusals + 1
            return Answer.NOT_NOW
        return Answer.EXCESS

    def _others(self, log: _Log, asker: PeerId, first: int, end: int) -> int:
        """How many others were sent some of these numbers."""
        return sum(copy.first < end and first < copy.end for peer, copy in log.sent.items() if peer != asker)

    def _is_new(self, log: _Log, now_s: float) -> bool:
        return now_s - log.fetched_s < COPY_S

    def _count_anew(self, now_s: float) -> None:
        if now_s - self._counted_from_s >= COPY_S:
            self._fetched = self._beyond = 0
            self._counted_from_s = now_s

    def sent_excess(self, size_bytes: int) -> None:
        """So much was sent beyond what others need us for."""
        self._excess -= size_bytes

    def _is_little(self, events: int, now_s: float) -> bool:
        self._excess = min(float(EXCESS_BYTES), self._excess + (now_s - self._excess_s) * EXCESS_BYTES_PER_S)
        self._excess_s = now_s
        return self._excess > 0 and events <= EXCESS_NUMBERS_MAX

    def _log(self, place: _Place) -> _Log:
        log = self._logs.pop(place, None) or _Log()
        self._logs[place] = log
        if len(self._logs) > LOGS_MAX:
            del self._logs[next(iter(self._logs))]
        return log
