"""What the load methods give, from the store on disk and from its twin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stores import AUTHOR, BENCHES, LOG, ROOM, Bench, batch, branch_of, writes_of
from zmqchat.model.ids import LogKey, MessageId, PeerId, RoomId
from zmqchat.protocol.effects import PutArrival, PutBatch
from zmqchat.store.store import TimelineKey

ALL = 1 << 30


@pytest.fixture(params=sorted(BENCHES))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Each of the two, empty."""
    made = BENCHES[request.param](tmp_path)
    yield made
    made.store.close()


def _first_and_end(raws: tuple[bytes, ...], batches: list[PutBatch]) -> list[tuple[int, int]]:
    known = {write.raw: (write.first, write.end) for write in batches}
    return [known[raw] for raw in raws]


def test_a_range_is_whole_batches_in_rising_order(bench: Bench) -> None:
    """Any part of [first, end) brings the batches that hold it, from either end, within its bytes."""
    batches = [batch(first, first + 10, seed=first) for first in (0, 10, 20, 40, 50)]
    bench.put(*batches)
    size = len(batches[0].raw)

    def load(first: int, end: int, bytes_max: int = ALL, *, newest_first: bool = False) -> list[tuple[int, int]]:
        raws = bench.store.load_range(ROOM, LOG, first, end, bytes_max, newest_first=newest_first)
        return _first_and_end(raws, batches)

    everything = [(0, 10), (10, 20), (20, 30), (40, 50), (50, 60)]
    for newest_first in (False, True):
        assert load(0, 100, newest_first=newest_first) == everything
        assert load(5, 6, newest_first=newest_first) == [(0, 10)]
        assert load(9, 11, newest_first=newest_first) == [(0, 10), (10, 20)]
        assert load(30, 40, newest_first=newest_first) == []
        assert load(29, 41, newest_first=newest_first) == [(20, 30), (40, 50)]
        assert load(60, 2**53, newest_first=newest_first) == []
        assert load(7, 7, newest_first=newest_first) == []
    assert load(0, 100, 1) == [(0, 10)]
    assert load(0, 100, 1, newest_first=True) == [(50, 60)]
    assert load(0, 100, 2 * size) == everything[:2]
    assert load(0, 100, 2 * size, newest_first=True) == everything[-2:]


def test_logs_and_rooms_keep_apart(bench: Bench) -> None:
    """A neighbour in key order is never given for the one that was asked for."""
    other_room = RoomId(b"s" * 16)
    for room, key in ((ROOM, LOG), (ROOM, LogKey(AUTHOR, 8)), (other_room, LOG)):
        bench.put(batch(0, 1, room=room, key=key), PutArrival(room, 1, key, 0, 1, 1, True, False))
    empty = LogKey(AUTHOR, 7, branch_of(1))
    for newest_first in (False, True):
        assert bench.store.load_range(ROOM, empty, 0, 9, ALL, newest_first=newest_first) == ()
        assert len(bench.store.load_range(ROOM, LOG, 0, 9, ALL, newest_first=newest_first)) == 1
    nowhere = RoomId(b"rz" * 8)
    assert bench.store.load_arrivals(nowhere, 0, 9, ALL) == []
    assert bench.store.next_arrival(nowhere) == 1
    assert bench.store.load_timeline(nowhere, None, 9, ALL) == []
    assert len(bench.store.load_timeline(ROOM, None, 9, ALL)) == 2


def test_arrivals_go_on_in_the_middle_of_a_batch_and_show_gaps(bench: Bench) -> None:
    """A cursor resumes at any number; a gap has no batch; the next number follows the last."""
    bench.put(*writes_of(batch(0, 10), 1))
    gap = PutArrival(ROOM, 11, LOG, 10, 20, 0, live=False, backfill=False)
    bench.put(gap)
    bench.put(*writes_of(batch(20, 25), 12))

    def numbers(number: int, rows_max: int = 99, bytes_max: int = ALL) -> list[int]:
        rows = bench.store.load_arrivals(ROOM, number, rows_max, bytes_max)
        assert all((row.raw is None) == (row.arrival.batch_end == 0) for row in rows)
        return [row.arrival.number for row in rows]

    assert numbers(0) == numbers(1) == numbers(10) == [1, 11, 12]
    assert numbers(11) == [11, 12]
    assert numbers(12) == numbers(16) == [12]
    assert numbers(17) == []
    assert numbers(1, 2) == [1, 11]
    assert numbers(1, 99, 1) == [1]
    assert bench.store.next_arrival(ROOM) == 17
    assert bench.store.load_arrivals(ROOM, 11, 1, ALL)[0].arrival == gap


def test_a_pruned_batch_leaves_its_arrival(bench: Bench) -> None:
    """An arrival whose batch is gone tells so with no bytes."""
    bench.put(PutArrival(ROOM, 1, LOG, 0, 5, 5, live=True, backfill=False))
    (row,) = bench.store.load_arrivals(ROOM, 1, 9, ALL)
    assert row.raw is None
    assert row.arrival.batch_end == 5


def test_the_timeline_is_paged_backwards(bench: Bench) -> None:
    """Pages from the end, each in timeline order; two branches with one place both stand in it."""
    fork = LogKey(AUTHOR, 7, branch_of(3))
    writes = [batch(0, 1, sealed_at=30), batch(1, 2, sealed_at=10), batch(2, 3, sealed_at=20)]
    writes.append(batch(2, 3, sealed_at=20, key=fork, seed=1))
    bench.put(*writes)
    rows = bench.store.load_timeline(ROOM, None, 99, ALL)
    assert [(row.at.sealed_at, row.key) for row in rows] == [(10, LOG), (20, LOG), (20, fork), (30, LOG)]
    pages = []
    before: TimelineKey | None = None
    while page := bench.store.load_timeline(ROOM, before, 3, 2 * len(writes[0].raw)):
        pages.append([row.at.sealed_at for row in page])
        before = page[0].at
    assert pages == [[20, 30], [10, 20]]


def test_a_message_is_found_on_every_branch_that_holds_it(bench: Bench) -> None:
    """A number may stand in several branches; who asks compares the digests."""
    branches = [LOG, LogKey(AUTHOR, 7, branch_of(1)), LogKey(AUTHOR, 7, b"\xff" * 8)]
    writes = [batch(0, 10), batch(5, 8, key=branches[1], seed=1), batch(7, 9, key=branches[2], seed=2)]
    bench.put(*writes, batch(0, 10, key=LogKey(AUTHOR, 8), seed=3))

    def found(number: int) -> list[bytes]:
        return bench.store.find_batch(ROOM, MessageId(AUTHOR, 7, number, bytes(8)))

    assert found(7) == [write.raw for write in writes]
    assert found(4) == [writes[0].raw]
    assert found(8) == [writes[0].raw, writes[2].raw]
    assert found(10) == []
    assert bench.store.find_batch(ROOM, MessageId(PeerId(b"z" * 32), 7, 0, bytes(8))) == []
