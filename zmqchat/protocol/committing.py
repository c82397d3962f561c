"""Committing: one group of changes on its way to the disk, the next one growing meanwhile.

How it works. Whoever has something to write says CommitWanted. When no commit is under way, each source is
asked in turn to contribute to a new group, and the group becomes one Store. Its answer makes the ledger
change, then each source tells what follows, and the next group begins at once with what has waited:
one event when people type, megabytes when peers stream.

    idle --CommitWanted--> committing --Stored--> committed(), and again while there is something
                                      --StoreFailed--> failed(), and again when somebody asks, or
                                                       after RETRY_S

The order of the sources is the order of the writes: own batches first, then received ones, then
what follows from both (arrivals that waited, members).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from zmqchat.protocol.data_facts import BatchesStored, CommitWanted
from zmqchat.protocol.effects import Effect, SetTimer, Store
from zmqchat.protocol.facts import Fact, Instant, Stored, StoreFailed, TimerFired
from zmqchat.protocol.ledger import Group, Ledger
from zmqchat.protocol.machine import Machine

RETRY_S = 0.5
"""How long what waits rests after a failed commit: a full disk is not tried without end."""


class Source(Protocol):
    """A machine that writes."""

    def contribute(self, group: Group, at: Instant) -> None:
        """Add what waits to the group, as much as is good for one commit."""
        ...

    def committed(self, group: Group, at: Instant) -> list[Effect | Fact]:
        """The group is durable and in the ledger; what follows from this source's part of it."""
        ...

    def failed(self, group: Group, full: bool, detail: str, at: Instant) -> list[Effect | Fact]:
        """Nothing of the group was kept; what follows from this source's part of it."""
        ...


class Committing(Machine):
    """The machine that owns the Store effects of the data machines; emits BatchesStored."""

    timer = "committing"

    def __init__(self, ledger: Ledger, sources: Sequence[Source], tokens: Iterator[int]) -> None:
        super().__init__()
        self._ledger = ledger
        self._sources = tuple(sources)
        self._tokens = tokens
        self._token: int | None = None
        self._group: Group | None = None
        self.facts = {
            CommitWanted: self._wanted,
            Stored: self._stored,
            StoreFailed: self._failed,
            TimerFired: self._wanted,
        }

    @property
    def is_idle(self) -> bool:
        """Whether no commit is under way: nothing accepted waits for the disk."""
        return self._group is None

    def _wanted(self, _fact: CommitWanted | TimerFired, at: Instant) -> None:
        if self._group is None:
            self._begin(at)

    def _begin(self, at: Instant) -> None:
        group = Group(self._ledger)
        for source in self._sources:
            source.contribute(group, at)
        writes = group.seal()
        if writes:
            self._group, self._token = group, next(self._tokens)
            self.outbox.append(Store(token=self._token, writes=writes))
        self.outbox += group.notes

    def _stored(self, fact: Stored, at: Instant) -> None:
        group = self._group
        if group is None or fact.token != self._token:
            return
        self._group = None
        self._ledger.apply(group)
        # The next commit is ordered first: the disk works while this one's news is spread.
        follows: list[Effect | Fact] = []
        for source in self._sources:
            follows += source.committed(group, at)
        self._begin(at)
        if group.stored:
            self.outbox.append(BatchesStored(batches=tuple(group.stored)))
        self.outbox += group.delivers
        self.outbox += follows

    def _failed(self, fact: StoreFailed, at: Instant) -> None:
        group = self._group
        if group is None or fact.token != self._token:
            return
        self._group = None
        self._ledger.drop(group)
        for source in self._sources:
            self.outbox += source.failed(group, fact.full, fact.detail, at)
        self.outbox.append(SetTimer(name=(self.timer,), at_s=at.now_s + RETRY_S))
