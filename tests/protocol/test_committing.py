"""One commit under way, the next one growing, and no busy loop on a disk that fails."""

from __future__ import annotations

import itertools

from tests.support.fakelink import peer_of
from zmqchat.protocol.committing import RETRY_S, Committing
from zmqchat.protocol.data_facts import CommitWanted
from zmqchat.protocol.effects import Effect, Notice, PutRow, SetTimer, Store
from zmqchat.protocol.facts import Fact, Instant, Stored, StoreFailed, TimerFired
from zmqchat.protocol.ledger import Group, Ledger


class _Source:
    """Writes the rows that wait, and notes what became of them."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        self.outcomes: list[str] = []

    def contribute(self, group: Group, at: Instant) -> None:
        """Write all that waits."""
        for key in self.waiting:
            group.put_row("meta", key, b"")
        if self.waiting:
            group.notes.append(Notice(text="contributed"))
        self.waiting = []

    def committed(self, group: Group, at: Instant) -> list[Effect | Fact]:
        """Note it."""
        self.outcomes.append("committed")
        return []

    def failed(self, group: Group, full: bool, detail: str, at: Instant) -> list[Effect | Fact]:
        """Note it."""
        self.outcomes.append(f"failed {full} {detail}")
        return []


AT = Instant(5.0, 5_000)


def drive(machine: Committing, fact: Fact) -> list[Effect | Fact]:
    """Give the machine a fact, and take what it wants."""
    machine.facts[type(fact)](fact, AT)
    out, machine.outbox = machine.outbox, []
    return out


def test_one_commit_is_under_way_and_the_next_one_grows() -> None:
    """What comes while the disk works goes together into one further Store."""
    source = _Source()
    machine = Committing(Ledger(peer_of("ann")), (source,), itertools.count(7))
    assert drive(machine, CommitWanted()) == [] and machine.is_idle
    source.waiting = [b"1"]
    first, _note = drive(machine, CommitWanted())
    assert first == Store(token=7, writes=(PutRow("meta", b"1", b""),)) and not machine.is_idle
    source.waiting = [b"2", b"3"]
    assert drive(machine, CommitWanted()) == []
    assert drive(machine, Stored(token=99)) == drive(machine, StoreFailed(token=99, full=True, detail="")) == []
    second, _note = drive(machine, Stored(token=7))
    assert isinstance(second, Store) and len(second.writes) == 2
    assert drive(machine, Stored(token=8)) == [] and machine.is_idle
    assert source.outcomes == ["committed", "committed"]


def test_failed_commit_rests_before_the_next_unless_somebody_asks() -> None:
    """A full disk is tried again after a while, and at once for a new message."""
    source = _Source()
    machine = Committing(Ledger(peer_of("ann")), (source,), itertools.count(1))
    source.waiting = [b"1"]
    drive(machine, CommitWanted())
    source.waiting = [b"2"]
    assert drive(machine, StoreFailed(token=1, full=True, detail="no room")) == [
        SetTimer(name=("committing",), at_s=AT.now_s + RETRY_S)
    ]
    assert source.outcomes == ["failed True no room"]
    store, _note = drive(machine, TimerFired(name=("committing",)))
    assert isinstance(store, Store)
