"""Fault counts: how often each rule was broken by any peer, for `doctor`.

How it works. Every fault of a linked peer passes here on its way to `peers`, which keeps the scores; only
numbers by reason are kept. Reasons are fixed words of this program, so there are few of them.
"""

from __future__ import annotations

from zmqchat.protocol.facts import Instant, PeerAbused
from zmqchat.protocol.machine import Machine, PeerFaulted, PeerPenalised


class FaultCounts(Machine):
    """The counting machine; never wants anything."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}
        self.facts = {PeerFaulted: self._faulted, PeerAbused: self._abused, PeerPenalised: self._penalised}

    def _faulted(self, fact: PeerFaulted, _at: Instant) -> None:
        self._count(fact.fault.reason)

    def _abused(self, fact: PeerAbused, _at: Instant) -> None:
        self._count(fact.reason)

    def _penalised(self, _fact: PeerPenalised, _at: Instant) -> None:
        self._count("penalties")

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1
