"""One contract over the store on disk and its twin, and both against a model too simple to be wrong."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.stores import AUTHOR, BENCHES, LOG, ROOM, Bench, Outcomes, batch, branch_of, open_here, writes_of
from zmqchat.model.errors import NodeClosed
from zmqchat.model.ids import LogKey, MessageId, PeerId, RoomId
from zmqchat.model.limits import KIB
from zmqchat.protocol.effects import DropBatch, PutArrival, PutBatch, PutFrontier, PutRow, Write
from zmqchat.store.memory import MemoryStore
from zmqchat.store.store import MessageStore, StoreOutcome, TimelineKey, TimelineRow

ALL = 1 << 30


@pytest.fixture(params=sorted(BENCHES))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Each of the two, empty."""
    made = BENCHES[request.param](tmp_path)
    yield made
    made.store.close()


def test_small_rows_and_frontiers_are_put_replaced_and_removed(bench: Bench) -> None:
    """Tables are read whole, in key order."""
    other = LogKey(AUTHOR, 9, branch_of(4))
    bench.put(PutRow("peers", b"b", b"2"), PutRow("peers", b"a", b"1"), PutFrontier(ROOM, LOG, b"f"))
    bench.put(PutRow("peers", b"b", b"3"), PutFrontier(ROOM, other, b"g"), PutRow("rooms", b"a", b""))
    assert bench.store.rows("peers") == [(b"a", b"1"), (b"b", b"3")]
    assert bench.store.get("rooms", b"a") == b""
    assert bench.store.frontiers() == [(ROOM, LOG, b"f"), (ROOM, other, b"g")]
    bench.put(PutRow("peers", b"a", None), PutFrontier(ROOM, LOG, None), PutRow("peers", b"absent", None))
    assert bench.store.rows("peers") == [(b"b", b"3")]
    assert bench.store.get("peers", b"a") is None
    assert bench.store.frontiers() == [(ROOM, other, b"g")]


def test_nothing_to_write_is_answered_too(bench: Bench) -> None:
    """Every submission gets its outcome, an empty one after all earlier ones."""
    assert bench.put().ok


def test_a_read_gives_its_result_or_its_error(bench: Bench) -> None:
    """The future carries both."""
    bench.put(*writes_of(batch(0, 1), 1))
    future: Future[int] = bench.store.read(lambda: bench.store.next_arrival(ROOM))
    assert future.result(30) == 2
    with pytest.raises(ZeroDivisionError):
        bench.store.read(lambda: 1 // 0).result(30)


def test_statistics_count_what_is_there(bench: Bench) -> None:
    """Doctor shows them."""
    bench.put(batch(0, 1), batch(1, 2))
    stats = bench.store.read(bench.store.stats).result(30)
    assert (stats.batches, stats.groups, stats.queued_bytes) == (2, 1, 0)
    assert 0 < stats.used_bytes <= stats.map_bytes


def test_what_is_dropped_is_gone_from_every_view(bench: Bench) -> None:
    """Only that batch: of its neighbours, of another branch, and of the rows in the same transaction all stay."""
    branch = LOG._replace(branch=branch_of(1))
    one, two, side = batch(0, 3), batch(3, 5), batch(0, 3, key=branch)
    row = PutRow("kept", b"log", b"pieces")
    bench.put(one, two, side, PutFrontier(ROOM, LOG, b"0 to 5"), row)
    bench.put(_drop(one), PutFrontier(ROOM, LOG, b"3 to 5"), PutRow("kept", b"log", b"fewer"))
    store = bench.store
    assert store.load_range(ROOM, LOG, 0, 9, ALL) == (two.raw,)
    assert sorted(row.raw for row in store.load_timeline(ROOM, None, 9, ALL)) == sorted((two.raw, side.raw))
    assert store.find_batch(ROOM, MessageId(AUTHOR, LOG.log, 1, bytes(8))) == [side.raw]
    assert store.rows("kept") == [(b"log", b"fewer")] and store.frontiers() == [(ROOM, LOG, b"3 to 5")]
    assert store.stats().batches == 2
    bench.put(_drop(one), _drop(two), _drop(side), PutFrontier(ROOM, LOG, None), PutRow("kept", b"log", None))
    assert store.load_range(ROOM, LOG, 0, 9, ALL) == () == store.load_range(ROOM, branch, 0, 9, ALL)
    assert store.load_timeline(ROOM, None, 9, ALL) == [] and store.rows("kept") == [] == store.frontiers()


def test_the_order_of_writes_holds_for_what_is_dropped(bench: Bench) -> None:
    """What is put and dropped in one group is not there; what is dropped and put again is, with its new bytes."""
    again = batch(0, 3, body_bytes=40)
    bench.put(batch(0, 3), _drop(batch(0, 3)))
    assert bench.store.load_range(ROOM, LOG, 0, 9, ALL) == ()
    bench.put(batch(0, 3))
    bench.put(_drop(batch(0, 3)), again)
    assert bench.store.load_range(ROOM, LOG, 0, 9, ALL) == (again.raw,)
    assert [row.raw for row in bench.store.load_timeline(ROOM, None, 9, ALL)] == [again.raw]


def _drop(write: PutBatch) -> DropBatch:
    return DropBatch(write.room, write.key, write.first, write.end, write.sealed_at)


def test_a_row_that_no_table_can_hold_is_refused(bench: Bench) -> None:
    """Raised where it is submitted, and nothing else of it is kept."""
    with pytest.raises(ValueError, match="no table"):
        bench.store.submit(0, (PutRow("meta", b"key", b"x"), PutRow("nowhere", b"key", b"x")))
    assert bench.store.get("meta", b"key") is None


def test_a_closed_store_takes_nothing(bench: Bench) -> None:
    """Late callers get an error of our tree; closing twice is fine."""
    bench.store.close()
    bench.store.close()
    with pytest.raises(NodeClosed):
        bench.store.submit(0, ())
    with pytest.raises(NodeClosed):
        bench.store.read(lambda: None)


rooms = st.sampled_from([ROOM, RoomId(b"s" * 16), RoomId(b"\xff" * 16)])
keys = st.builds(
    LogKey,
    st.sampled_from([AUTHOR, PeerId(b"\xff" * 32)]),
    st.sampled_from([0, 7, 2**64 - 1]),
    st.sampled_from([branch_of(0), branch_of(1), b"\xff" * 8]),
)
numbers = st.integers(0, 40)
sizes = st.sampled_from([1, 500, 2_000, ALL])


class StoresAgree(RuleBasedStateMachine):
    """Random writes and reads: the store on disk, the twin and a list of all that was ever written agree."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.outcomes, self.twin_outcomes = Outcomes(), Outcomes()
        self.disk = open_here(Path(self.folder.name) / "store", self.outcomes, map_bytes=256 * KIB)
        self.twin = MemoryStore(self.twin_outcomes)
        self.batches: dict[tuple[RoomId, LogKey, int], PutBatch] = {}
        self.ends: dict[tuple[RoomId, LogKey], int] = {}
        self.arrivals: dict[RoomId, list[PutArrival]] = {}
        self.small: dict[tuple[str, bytes], bytes] = {}
        self.token = 0

    def put(self, *writes: Write) -> None:
        """To both."""
        self.disk.submit(self.token, writes)
        self.twin.submit(self.token, writes)
        assert self.outcomes.of(self.token) == self.twin_outcomes.of(self.token) == StoreOutcome(True)
        self.token += 1

    def same(self, read: Callable[[Any], Any]) -> Any:
        """What both read, equal."""
        found = read(self.disk)
        assert found == read(self.twin)
        return found

    @rule(room=rooms, key=keys, length=st.integers(1, 5), skip=st.integers(0, 3), sealed=numbers, gap=st.booleans())
    def append(self, room: RoomId, key: LogKey, length: int, skip: int, sealed: int, gap: bool) -> None:
        """A batch after the last of its log, its arrival, and sometimes a gap before that."""
        first = self.ends.get((room, key), 0) + skip
        write = batch(first, first + length, room=room, key=key, sealed_at=sealed, seed=self.token)
        arrivals = self.arrivals.setdefault(room, [])
        number = _end(arrivals[-1]) if arrivals else 1
        writes: list[Write] = [write]
        if gap:
            writes.append(PutArrival(room, number, key, first - skip, first, 0, live=False, backfill=False))
            number += 1
        writes.append(PutArrival(room, number, key, first, write.end, write.end, live=gap, backfill=not gap))
        arrivals += [row for row in writes if isinstance(row, PutArrival)]
        self.batches[room, key, write.end] = write
        self.ends[room, key] = write.end
        self.put(*writes)

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        """Any batch; what arrived with it points to nothing then."""
        place = data.draw(st.sampled_from(sorted(self.batches)))
        self.put(_drop(self.batches.pop(place)))

    @rule(
        table=st.sampled_from(["rooms", "members", "peers", "keys", "kept"]),
        key=st.binary(min_size=1, max_size=3),
        data=st.data(),
    )
    def put_small(self, table: str, key: bytes, data: st.DataObject) -> None:
        """A row of a small table, put or removed."""
        value = data.draw(st.none() | st.binary(max_size=4))
        self.put(PutRow(table, key, value))
        if value is None:
            self.small.pop((table, key), None)
        else:
            self.small[table, key] = value
        expected = sorted((row, text) for (its_table, row), text in self.small.items() if its_table == table)
        assert self.same(lambda store: store.rows(table)) == expected

    @rule(room=rooms, key=keys, first=numbers, length=st.integers(0, 30), bytes_max=sizes, newest_first=st.booleans())
    def load_range(
        self, room: RoomId, key: LogKey, first: int, length: int, bytes_max: int, newest_first: bool
    ) -> None:
        """Whole batches of a log."""
        end = first + length
        mine = sorted(
            (write.first, write.raw)
            for (its_room, its_key, _end), write in self.batches.items()
            if (its_room, its_key) == (room, key) and write.first < end and write.end > first
        )
        raws = [raw for _, raw in mine] if length else []
        expected = _within(raws[::-1] if newest_first else raws, bytes_max)
        found = self.same(lambda store: store.load_range(room, key, first, end, bytes_max, newest_first=newest_first))
        assert list(found) == (expected[::-1] if newest_first else expected)

    @rule(room=rooms, number=numbers, rows_max=st.integers(1, 5))
    def load_arrivals(self, room: RoomId, number: int, rows_max: int) -> None:
        """Arrivals from any number on, with the bytes that they point to."""
        expected = [row for row in self.arrivals.get(room, []) if _end(row) > number][:rows_max]
        found = self.same(lambda store: store.load_arrivals(room, number, rows_max, ALL))
        assert [row.arrival for row in found] == expected
        for row in found:
            write = self.batches.get((room, row.arrival.key, row.arrival.batch_end))
            assert row.raw == (write.raw if write and row.arrival.batch_end else None)

    @rule(room=rooms, rows_max=st.integers(1, 4), bytes_max=sizes)
    def load_timeline(self, room: RoomId, rows_max: int, bytes_max: int) -> None:
        """Page by page from the end, the pages together are the whole timeline."""
        pages: list[Any] = []
        before: TimelineKey | None = None
        while True:
            page = self.same(partial(_timeline_page, room, before, rows_max, bytes_max))
            if not page:
                break
            assert len(page) == 1 or (len(page) <= rows_max and sum(len(row.raw) for row in page) <= bytes_max)
            pages = [*page, *pages]
            before = page[0].at
        mine = [write for (its_room, _key, _end), write in self.batches.items() if its_room == room]
        mine.sort(
            key=lambda write: (write.sealed_at, write.key.author[:8], write.key.log, write.first, write.key.branch)
        )
        assert [row.raw for row in pages] == [write.raw for write in mine]

    @rule(room=rooms, key=keys, number=numbers)
    def find_batch(self, room: RoomId, key: LogKey, number: int) -> None:
        """Every branch that holds a number."""
        expected = sorted(
            (its_key.branch, write.raw)
            for (its_room, its_key, _end), write in self.batches.items()
            if (its_room, its_key.author, its_key.log) == (room, key.author, key.log)
            and write.first <= number < write.end
        )
        message = MessageId(key.author, key.log, number, bytes(8))
        assert self.same(lambda store: store.find_batch(room, message)) == [raw for _, raw in expected]

    @rule()
    def restart(self) -> None:
        """Nothing changes over a clean stop, and the map may start tiny again."""
        before = self.disk.info.generation
        self.disk.close()
        self.disk = open_here(Path(self.folder.name) / "store", self.outcomes, map_bytes=256 * KIB)
        self.twin = self.twin.reopened(self.twin_outcomes)
        # The disk's generation rises by a random step: copies of a folder are told apart by it. A twin is never copied.
        assert self.disk.info.generation > before
        assert self.disk.info[2:6] == self.twin.info[2:6]

    @invariant()
    def next_numbers_agree(self) -> None:
        """The next arrival number follows the last row of each room."""
        for room, arrivals in self.arrivals.items():
            assert self.same(methodcaller("next_arrival", room)) == _end(arrivals[-1])

    def teardown(self) -> None:
        """Close, remove."""
        self.disk.close()
        self.folder.cleanup()


def _timeline_page(
    room: RoomId, before: TimelineKey | None, rows_max: int, bytes_max: int, store: MessageStore
) -> list[TimelineRow]:
    return store.load_timeline(room, before, rows_max, bytes_max)


def _end(arrival: PutArrival) -> int:
    return arrival.number + (arrival.end - arrival.first if arrival.batch_end else 1)


def _within(raws: list[bytes], bytes_max: int) -> list[bytes]:
    taken: list[bytes] = []
    for raw in raws:
        if taken and sum(map(len, taken)) + len(raw) > bytes_max:
            break
        taken.append(raw)
    return taken


TestStoresAgree = StoresAgree.TestCase
TestStoresAgree.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
