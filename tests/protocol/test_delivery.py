"""Arrival numbers: in the order of each log, past a gap after a while, and across restarts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.authors import Author, Stranger
from tests.support.fakelink import FakeNet, FakeNode, lobby, quick
from zmqchat.protocol.delivery import Delivery, _Backlog, next_look_s
from zmqchat.protocol.facts import Instant
from zmqchat.protocol.ledger import Group
from zmqchat.wire.frames import Have, HaveEntry, Page, Want


@pytest.fixture
def net() -> FakeNet:
    """A network of nobody."""
    return FakeNet(config=quick(gap_wait_s=20.0))


def joined(net: FakeNet, latest_first: bool = False) -> FakeNode:
    """A node in the lobby."""
    node = net.node("ann")
    node.join(latest_first=latest_first)
    net.run(0.1)
    return node


def test_arrival_numbers_count_events_without_a_hole(net: FakeNet) -> None:
    """The next row's number is this one's and its events."""
    ann = joined(net)
    eve = Stranger(net, ann)
    chain = [eve.batch(("a", "b", "c"))]
    chain.append(eve.batch(("d",), after=chain[0]))
    eve.push(*chain)
    ann.say("mine")
    net.run(0.1)
    numbers = [(d.arrival.number, d.arrival.end - d.arrival.first) for d in ann.delivers]
    position = 1
    for number, count in numbers:
        assert number == position
        position += count
    assert ann.data.ledger.rooms[lobby()].next_arrival == position


def test_what_a_fork_took_away_since_it_was_loaded_is_not_numbered(net: FakeNet) -> None:
    """A batch that belongs to a branch by now is delivered there, so it is not delivered here too."""
    ann = joined(net)
    eve = Stranger(net, ann)
    chain = eve.chain(2)
    eve.push(*chain, eve.batch(("twin",), after=chain[0]))
    net.run(1.0)
    ledger, delivery = ann.data.ledger, ann.data.delivery
    main = ledger.frontier(lobby(), eve.key())
    assert main is not None and main.end == main.delivered == 1
    loaded = _Backlog(token=0, stored=eve.key(), first=1, end=2, loaded=(chain[1].raw,))
    group = Group(ledger)
    assert not delivery._number(group, lobby(), eve.key(), loaded, main)
    assert group.delivers == []


def test_what_was_given_by_itself_is_not_numbered_again_with_what_waited_below_it(net: FakeNet) -> None:
    """A part of a forked log that was read already lies between two that wait: a load brings all three."""
    ann = joined(net)
    eve = Stranger(net, ann)
    chain = eve.chain(3)
    eve.push(*chain)
    net.run(1.0)
    ledger, delivery = ann.data.ledger, ann.data.delivery
    waits = ledger.rooms[lobby()].frontier[eve.key()]._replace(delivered=0, given=((1, 2),))
    ledger.rooms[lobby()].frontier.put(eve.key(), waits)
    loaded = _Backlog(token=0, stored=eve.key(), first=0, end=3, loaded=tuple(batch.raw for batch in chain))
    group = Group(ledger)
    assert delivery._number(group, lobby(), eve.key(), loaded, waits)
    assert [(deliver.arrival.first, deliver.arrival.end) for deliver in group.delivers] == [(0, 1), (2, 3)]
    after = ledger.frontier(lobby(), eve.key())
    assert after is not None and (after.delivered, after.given) == (3, ())


def test_what_lies_above_a_gap_waits_for_it(net: FakeNet) -> None:
    """The order of a log holds though its batches come the wrong way round."""
    ann = joined(net)
    eve = Stranger(net, ann)
    chain = eve.chain(6)
    eve.push(chain[0], chain[4], chain[5], chain[2])
    net.run(1.0)
    assert ann.texts() == ["0"] and ann.data.delivery.waits(lobby(), eve.key())
    eve.push(chain[1], chain[3])
    net.run(1.0)
    assert ann.texts() == [f"{index}" for index in range(6)]
    assert not ann.gaps() and not ann.data.delivery.waits(lobby(), eve.key())
    assert all(not deliver.arrival.backfill for deliver in ann.delivers)


def test_gap_is_told_after_a_while_and_filled_as_backfill(net: FakeNet) -> None:
    """A cursor that stands before a gap goes on, and what comes later is marked."""
    ann = joined(net)
    eve = Stranger(net, ann)
    chain = eve.chain(5)
    eve.push(chain[0], chain[3], chain[4])
    net.run(1.9)
    assert ann.texts() == ["0"]
    net.run(0.2)
    assert ann.texts() == ["0", "3", "4"]
    (gap,) = ann.gaps()
    assert (gap.first, gap.end, gap.batch_end) == (1, 3, 0) and gap.key == eve.key()
    eve.push(chain[2], chain[1])
    net.run(1.0)
    assert ann.texts() == ["0", "3", "4", "2", "1"]
    assert [d.arrival.backfill for d in ann.delivers if d.raw is not None][-2:] == [True, True]
    assert not ann.delivers[-1].arrival.live


def test_gap_that_is_being_fetched_waits_longer(net: FakeNet) -> None:
    """While a live holder is asked, the cursor waits up to gap_wait_s."""
    ann = joined(net)
    eve = Stranger(net, ann)
    chain = eve.chain(3)
    eve.push(chain[2])
    eve.send(Have(room=lobby(), holder=eve.peer, entries=(HaveEntry(eve.peer, 1, bytes(8), 3),)))
    net.run(1.0)
    (want,) = eve.frames(Want)
    net.run(10.0)
    assert not ann.gaps()
    eve.send(Page(request=want.request, batches=(chain[0].raw, chain[1].raw), done=True))
    net.run(1.0)
    assert ann.texts() == ["0", "1", "2"]


def test_restart_goes_on_delivering_what_waited(net: FakeNet) -> None:
    """What was stored above a gap is delivered in the next life, once the gap is filled."""
    ann = joined(net)
    eve = Stranger(net, ann)
    chain = eve.chain(4)
    eve.push(chain[0], chain[2], chain[3])
    net.run(0.5)
    ann = net.restart(ann)
    net.run(0.5)
    assert ann.texts() == []
    author = Stranger(net, ann)
    author.push(chain[1])
    net.run(0.5)
    assert ann.texts() == ["1", "2", "3"]


def test_restart_numbers_what_was_stored_but_not_numbered(net: FakeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between a commit and the numbering of a backlog leaves work for the next start."""
    monkeypatch.setattr("zmqchat.protocol.delivery.LOAD_BYTES_MAX", 700)
    monkeypatch.setattr("zmqchat.protocol.delivery.LOADS_AT_ONCE_MAX", 1)
    ann = joined(net)
    eve, bob = Stranger(net, ann), Stranger(net, ann, "bob")
    chains = [author.chain(12) for author in (eve, bob)]
    for author, chain in zip((eve, bob), chains, strict=True):
        author.push(*chain[1:])
    net.run(0.5)
    ann.kill()
    ann = net.restart(ann)
    ann.store.delay_s = 0.01
    for chain in chains:
        Stranger(net, ann, "cat").push(chain[0])
    net.run(0.025)
    assert len(ann.texts()) < 24
    ann = net.restart(ann)
    net.run(2.0)
    store_order = [row.first for row in ann.store.arrivals[lobby()] if row.key.author == eve.peer]
    assert store_order == list(range(12))


def test_failing_disk_delays_numbering_and_loses_nothing(net: FakeNet) -> None:
    """What could not be numbered is tried again, gaps included, without a busy loop."""
    ann = joined(net)
    eve = Stranger(net, ann)
    chain = eve.chain(5)
    eve.push(chain[0], chain[3], chain[4])
    net.run(1.0)
    ann.store.failing = "full"
    net.run(5.0)
    assert ann.texts() == ["0"]
    ann.store.failing = None
    net.run(5.0)
    assert ann.texts() == ["0", "3", "4"]


def test_backlog_waits_out_a_failing_disk(net: FakeNet) -> None:
    """A gap is filled, and the disk fails just when what was above it is numbered."""
    ann = joined(net)
    eve = Stranger(net, ann)
    chain = eve.chain(5)
    eve.push(*chain[1:])
    net.run(0.5)
    ann.store.delay_s = 0.1
    eve.push(chain[0])
    net.run(0.15)
    ann.store.failing = "broken"
    net.run(1.0)
    assert ann.texts() == ["0"]
    ann.store.failing = None
    net.run(6.0)
    assert ann.texts() == ["0", "1", "2", "3", "4"]


def test_rows_that_can_not_be_read_become_a_gap(net: FakeNet) -> None:
    """A cursor never stands still because of a damaged store."""
    ann = joined(net)
    eve = Stranger(net, ann)
    chain = eve.chain(4)
    eve.push(chain[1], chain[2])
    net.run(0.5)
    ann.store.batches.clear()
    eve.push(chain[0], chain[3])
    net.run(3.0)
    assert ann.texts() == ["0", "3"]
    assert [(gap.first, gap.end) for gap in ann.gaps()] == [(1, 3)]


def test_row_that_is_missing_or_damaged_becomes_a_gap_of_its_own(net: FakeNet) -> None:
    """What can be read behind it is delivered, and no slot stays taken."""
    ann = joined(net)
    eve = Stranger(net, ann)
    chain = eve.chain(5)
    eve.push(*chain[1:])
    net.run(0.5)
    rows = ann.store.batches[(lobby(), eve.key())]
    rows[3] = replace(rows[3], raw=b"rubbish")
    del rows[2]
    eve.push(chain[0])
    net.run(0.5)
    assert ann.texts() == ["0", "3", "4"]
    assert [(gap.first, gap.end) for gap in ann.gaps()] == [(1, 3)]
    assert not ann.data.delivery._backlogs


def test_store_that_can_not_be_read_for_a_while_makes_no_gap(net: FakeNet) -> None:
    """A failing read says nothing of what is stored: it is tried again, however long it takes."""
    ann = joined(net)
    eve, bob = Stranger(net, ann), Stranger(net, ann, "bob")
    chain = eve.chain(4)
    eve.push(chain[1], chain[2])
    net.run(0.5)
    ann.store.unreadable = True
    eve.push(chain[0], chain[3])
    net.run(100.0)
    bob.push(bob.batch(("bob's",)))
    net.run(1.0)
    assert sorted(ann.texts()) == ["0", "bob's"] and not ann.gaps()
    assert ann.data.delivery.waits(lobby(), eve.key())
    ann.store.unreadable = False
    net.run(1.1)
    assert ann.texts()[2:] == ["1", "2", "3"] and not ann.gaps()


def test_load_of_which_nothing_can_be_numbered_takes_no_slot(net: FakeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """No commit follows it, so nothing would ever end its turn: others go on, and it is looked at again."""
    monkeypatch.setattr("zmqchat.protocol.delivery.LOADS_AT_ONCE_MAX", 1)
    ann = joined(net)
    authors = [Stranger(net, ann, name) for name in ("eve", "bob")]
    chains = [author.chain(3) for author in authors]
    for author, chain in zip(authors, chains, strict=True):
        author.push(*chain[1:])
    net.run(0.5)
    number = Delivery._number
    useless = iter([True])

    def numbering(*arguments: Any) -> bool:
        return False if next(useless, False) else number(*arguments)

    monkeypatch.setattr(Delivery, "_number", numbering)
    for author, chain in zip(authors, chains, strict=True):
        author.push(chain[0])
    net.run(2.0)
    assert sorted(ann.texts()) == ["0", "0", "1", "1", "2", "2"] and not ann.gaps()


def test_live_is_what_was_pushed_or_sealed_after_we_were_up_to_date(net: FakeNet) -> None:
    """A bot does not answer last year's commands, and answers what it missed while its link was down."""
    ann = joined(net)
    bob = net.node("bob")
    bob.join()
    net.run(0.1)
    bob.say("old")
    net.run(0.1)
    net.link(ann, bob)
    net.run(2.0)
    bob.say("pushed")
    net.run(1.0)
    net.unlink(ann, bob)
    bob.say("missed")
    net.run(1.0)
    net.link(ann, bob)
    net.run(2.0)
    live = {text: deliver.arrival.live for _author, text, deliver in ann.messages()}
    assert live == {"old": False, "pushed": True, "missed": True}


def test_latest_first_delivers_the_newest_at_once(net: FakeNet) -> None:
    """In a room read latest first a gap waits for nothing until the room was up to date once."""
    ann = joined(net, latest_first=True)
    author = Author()
    chain = author.chain(2_000)
    eve = Stranger(net, ann)
    eve.push(chain[-1])
    net.run(0.1)
    assert ann.texts() == ["1999"] and len(ann.gaps()) == 1
    ann.data.ledger.rooms[lobby()].up_to_date_at = 1
    later = author.batch(("later",), first=3_000)
    eve.push(later)
    net.run(0.1)
    assert ann.texts() == ["1999"]


def test_rooms_that_were_left_wait_for_nothing(net: FakeNet) -> None:
    """A gap of a room that we have left is of no interest."""
    ann = joined(net)
    eve = Stranger(net, ann)
    eve.push(eve.batch(first=5))
    net.run(0.1)
    ann.leave()
    net.run(30.0)
    ann.data.delivery._look((lobby(), eve.key()), [], Instant(net.now_s, 0))
    assert not ann.data.delivery.waits(lobby(), eve.key())


@given(since_s=st.floats(0.0, 1e9), pause_s=st.floats(0.01, 1e3), pauses=st.integers(0, 10_000))
def test_the_next_look_at_a_gap_is_never_now(since_s: float, pause_s: float, pauses: int) -> None:
    """However a moment rounds, what looks then sets its timer to a later one, and not beyond the next but one."""
    now_s = since_s + pause_s * pauses
    assert now_s < next_look_s(since_s, pause_s, now_s) <= now_s + 2 * pause_s + 1e-6
