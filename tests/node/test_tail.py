"""The live end of a room in memory."""

from __future__ import annotations

from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.model.limits import HOT_BYTES_MAX, HOT_TOTAL_BYTES_MAX
from zmqchat.node.tail import HotBytes, Row, Tail
from zmqchat.protocol.effects import PutArrival

KEY = LogKey(PeerId(b"a" * 32), 1)


def row(number: int, first: int, end: int, raw: bytes | None = b"raw") -> Row:
    """Events of one log at an arrival number."""
    batch_end = 0 if raw is None else end
    return Row(PutArrival(RoomId(bytes(16)), number, KEY, first, end, batch_end, True, False), raw)


def test_rows_from_the_one_that_holds_a_number() -> None:
    """In the middle of a row too; a gap takes one number however long it is."""
    tail = Tail(1)
    rows = [row(1, 0, 3), row(4, 3, 100, None), row(5, 100, 102)]
    for each in rows:
        tail.append(each)
    assert tail.next_number == 7
    assert tail.rows_from(2, 10) == rows
    assert tail.rows_from(4, 10) == rows[1:]
    assert tail.rows_from(1, 2) == rows[:2]


def test_what_is_older_lies_in_the_store() -> None:
    """Before the first row kept, and in an empty tail, the answer is to look there."""
    tail = Tail(5)
    assert tail.rows_from(1, 10) is None
    tail.append(row(5, 0, 2))
    assert tail.rows_from(4, 10) is None


def test_the_oldest_go_when_it_is_full() -> None:
    """Bounded by bytes; the newest row stays however large it is."""
    tail = Tail(1)
    for number in range(1, 6):
        tail.append(row(number, number, number + 1, bytes(HOT_BYTES_MAX // 2)))
    assert tail.rows_from(3, 10) is None
    assert len(tail.rows_from(4, 10) or ()) == 2
    tail.append(row(6, 6, 7, bytes(HOT_BYTES_MAX + 1)))
    assert len(tail.rows_from(6, 10) or ()) == 1


def test_all_rooms_together_are_bounded() -> None:
    """The room that has heard nothing for longest gives way; it goes on when it hears something again."""
    hot = HotBytes()
    tails = [Tail(1, hot) for _ in range(HOT_TOTAL_BYTES_MAX // HOT_BYTES_MAX + 2)]
    for tail in tails:
        for number in (1, 2):
            tail.append(row(number, number, number + 1, bytes(HOT_BYTES_MAX // 2)))
    assert hot.total == HOT_TOTAL_BYTES_MAX
    assert [tail.rows_from(1, 10) is None for tail in tails] == [True, True, *[False] * (len(tails) - 2)]
    tails[0].append(row(3, 3, 4, bytes(HOT_BYTES_MAX // 2)))
    assert hot.total == HOT_TOTAL_BYTES_MAX
    assert len(tails[0].rows_from(3, 10) or ()) == 1
    assert tails[2].rows_from(1, 10) is None
    assert len(tails[2].rows_from(2, 10) or ()) == 1


async def test_waiting_cursors_are_woken_and_forgotten() -> None:
    """Many waits that were given up cost nothing."""
    tail = Tail(1)
    waiting = tail.changed()
    for _ in range(500):
        tail.changed().cancel()
    assert len(tail._waiting) < 100
    tail.append(row(1, 0, 1))
    assert waiting.done()
