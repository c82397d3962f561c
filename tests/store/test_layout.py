"""Keys sort as their tuples do, and rows read back as they were written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.stores import LOG, ROOM, batch
from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.protocol.effects import PutArrival, PutFrontier, PutRow
from zmqchat.store.layout import (
    ARRIVAL_KEY,
    TIMELINE_KEY,
    WRITE_BYTES,
    arrival_end,
    batch_first,
    batch_key,
    log_key,
    pack_arrival,
    rows_of,
    timeline_row,
    unpack_arrival,
    unpack_log_key,
    unpack_timeline,
    write_bytes,
)

u64 = st.integers(0, 2**64 - 1)
rooms = st.binary(min_size=16, max_size=16)
authors = st.binary(min_size=32, max_size=32)
eight = st.binary(min_size=8, max_size=8)
places = st.tuples(rooms, authors, u64, eight, u64)
timeline_places = st.tuples(rooms, u64, eight, u64, u64, eight)


@given(places, places)
def test_batch_keys_sort_as_room_author_log_branch_and_number(
    one: tuple[bytes, bytes, int, bytes, int], other: tuple[bytes, bytes, int, bytes, int]
) -> None:
    """The order of bytes on disk is the order of the tuples."""

    def packed(place: tuple[bytes, bytes, int, bytes, int]) -> bytes:
        room, author, log, branch, last = place
        return batch_key(RoomId(room), LogKey(PeerId(author), log, branch), last)

    assert (packed(one) < packed(other)) == (one < other)
    assert len(packed(one)) == 72


@given(timeline_places, timeline_places)
def test_timeline_keys_sort_as_the_timeline_does(
    one: tuple[bytes, int, bytes, int, int, bytes], other: tuple[bytes, int, bytes, int, int, bytes]
) -> None:
    """Room, then sealed_at, author, log, number."""
    assert (TIMELINE_KEY.pack(*one) < TIMELINE_KEY.pack(*other)) == (one < other)


@given(st.tuples(rooms, u64), st.tuples(rooms, u64))
def test_arrival_keys_sort_by_room_and_number(one: tuple[bytes, int], other: tuple[bytes, int]) -> None:
    """A room's arrivals stand together, in the order of their numbers."""
    assert (ARRIVAL_KEY.pack(*one) < ARRIVAL_KEY.pack(*other)) == (one < other)


@given(rooms, authors, u64, eight)
def test_a_log_key_reads_back(room: bytes, author: bytes, log: int, branch: bytes) -> None:
    """What the frontier table is keyed by comes out as it went in."""
    key = LogKey(PeerId(author), log, branch)
    assert unpack_log_key(log_key(RoomId(room), key)) == (room, key)


@given(u64, u64, st.integers(1, 1000), st.booleans(), st.booleans(), st.booleans())
def test_an_arrival_reads_back(number: int, first: int, count: int, gap: bool, live: bool, backfill: bool) -> None:
    """Flags and numbers of an arrival survive, and a gap takes one number."""
    first = min(first, 2**64 - 1 - count)
    arrival = PutArrival(ROOM, number, LOG, first, first + count, 0 if gap else first + count, live, backfill)
    assert unpack_arrival(*pack_arrival(arrival)) == arrival
    assert arrival_end(arrival) == number + (1 if gap else count)


def test_a_batch_stands_under_its_last_number_and_in_the_timeline() -> None:
    """One batch is two rows, and its first number is read from its own header."""
    write = batch(5, 9, sealed_at=77)
    rows = {row.database: row for row in rows_of(write)}
    assert set(rows) == {"batches", "timeline"}
    assert rows["batches"].key == batch_key(ROOM, LOG, 8)
    assert rows["batches"].value == write.raw
    assert batch_first(write.raw) == 5
    at, key, end = unpack_timeline(*timeline_row(write))
    assert (at.sealed_at, at.first, key, end) == (77, 5, LOG, 9)


def test_a_removed_row_has_no_value() -> None:
    """None removes a frontier or a small row."""
    assert next(rows_of(PutFrontier(ROOM, LOG, None))).value is None
    assert next(rows_of(PutRow("peers", b"key", None))).value is None


def test_writes_are_counted_with_what_they_carry() -> None:
    """The queue's bound counts bodies and a flat sum a row."""
    write = batch(0, 1)
    assert write_bytes(write) == WRITE_BYTES + len(write.raw)
    assert write_bytes(PutRow("peers", b"key", bytes(10))) == WRITE_BYTES + 10
    assert write_bytes(PutFrontier(ROOM, LOG, None)) == WRITE_BYTES


@pytest.mark.parametrize(
    "row",
    [
        PutRow("nowhere", b"key", b""),
        PutRow("about", b"key", b""),
        PutRow("meta", b"", b""),
        PutRow("meta", bytes(512), b""),
    ],
)
def test_a_row_that_no_table_can_hold_is_refused_at_once(row: PutRow) -> None:
    """A fault of ours shows where it is made, not on the writer's thread."""
    with pytest.raises(ValueError, match=r"table|key"):
        write_bytes(row)
