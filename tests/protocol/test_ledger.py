"""The ledger is what is on disk; a group of changes touches it only when it is durable."""

from __future__ import annotations

import pytest

from tests.support.authors import Author
from tests.support.fakelink import lobby, peer_of
from zmqchat.history.frontier import LogFrontier, Outcome
from zmqchat.model.ids import LogKey
from zmqchat.protocol.effects import PutArrival, PutBatch, PutFrontier, PutRow
from zmqchat.protocol.ledger import FIRST_ARRIVAL, Group, Ledger


@pytest.fixture
def ledger() -> Ledger:
    """A ledger with one room."""
    ledger = Ledger(peer_of("ann"))
    ledger.room(lobby()).joined = True
    ledger.rooms_changed()
    return ledger


def test_group_changes_nothing_until_it_is_applied(ledger: Ledger) -> None:
    """While a commit is under way the ledger tells of what is on disk, no more."""
    author = Author()
    chain = author.chain(2)
    group = Group(ledger)
    for batch in chain:
        placement = group.place(batch, {})
        assert placement.outcome is Outcome.PLACED
        group.keep(batch, placement, author.peer, live=True)
    frontier = group.frontier(lobby(), author.key())
    assert frontier is not None and frontier.end == 2
    writes = group.seal()
    assert ledger.frontier(lobby(), author.key()) is None
    assert [type(write) for write in writes] == [PutBatch, PutArrival, PutBatch, PutArrival, PutFrontier]
    ledger.apply(group)
    assert ledger.contiguous_end(lobby(), author.key()) == 2
    assert ledger.rooms[lobby()].next_arrival == FIRST_ARRIVAL + 2


def test_dropped_group_leaves_no_trace(ledger: Ledger) -> None:
    """After a failed commit the same batch finds its place again, with the same numbers."""
    author = Author()
    batch = author.batch()
    for _ in range(2):
        group = Group(ledger)
        placement = group.place(batch, {})
        assert placement.outcome is Outcome.PLACED
        group.keep(batch, placement, author.peer, live=False)
        group.seal()
        ledger.drop(group)
    assert ledger.rooms[lobby()].next_arrival == FIRST_ARRIVAL
    assert ledger.contiguous_end(lobby(), author.key()) == 0


def test_branch_that_grows_into_the_main_log_removes_its_row(ledger: Ledger) -> None:
    """A frontier that is no more is written as None."""
    author = Author()
    base, far = author.batch(), author.batch(first=5)
    key = LogKey(author.peer, 1, b"branch--")
    group = Group(ledger)
    group.put_frontier(lobby(), author.key(), LogFrontier())
    group.place(base, {})
    group.place(far, {})
    ledger.rooms[lobby()].frontier.put(key, LogFrontier())
    group._before[(lobby(), key)] = None
    ledger.rooms[lobby()].frontier.put(key, None)
    assert PutFrontier(lobby(), key, None) in group.seal()


def test_restore_takes_up_rows_and_names_what_is_damaged() -> None:
    """A damaged row costs that row; the answer says which."""
    first = Ledger(peer_of("ann"))
    room = first.room(lobby())
    room.joined, room.latest_first, room.name = True, True, "Größe"
    again = Ledger(peer_of("ann"))
    key = LogKey(peer_of("eve"), 3)
    frontier = LogFrontier(floor=4, delivered=9)
    damaged = again.restore(
        [(lobby(), room.row()), (lobby("bad"), b"")],
        [(lobby(), key, frontier.pack()), (lobby(), key._replace(log=4), b"?")],
        {lobby(): 77, lobby("new"): 0},
    )
    taken = again.rooms[lobby()]
    assert (taken.name, taken.joined, taken.latest_first, taken.next_arrival) == ("Größe", True, True, 77)
    assert again.frontier(lobby(), key) == frontier and again.joined_rooms() == [lobby()]
    assert len(damaged) == 2 and again.rooms[lobby("new")].next_arrival == FIRST_ARRIVAL
    assert again.contiguous_end(lobby("nowhere"), key) == 0


def test_rows_of_small_tables_go_with_the_group(ledger: Ledger) -> None:
    """A row is one of the group's writes."""
    group = Group(ledger)
    group.put_row("meta", b"key", b"value")
    assert group.seal() == (PutRow("meta", b"key", b"value"),)
