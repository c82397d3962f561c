"""Read positions: coalesced, durable, told."""

from __future__ import annotations

import asyncio

from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.node.readposition import LOGS_KEPT_MAX, RANGES_KEPT_MAX, ReadPositions
from zmqchat.protocol.effects import PutRow
from zmqchat.protocol.facts import ReadUpTo

ROOM = RoomId(b"r" * 16)
ANN = LogKey(PeerId(b"a" * 32), 1)
BOB = LogKey(PeerId(b"b" * 32), 1)


class Kept:
    """What was written and told."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.writes = 0
        self.told: list[ReadUpTo] = []

    def write(self, rows: tuple[PutRow, ...]) -> None:
        """Keep rows."""
        self.writes += 1
        for row in rows:
            assert row.value is not None
            self.rows[row.key] = row.value

    def positions(self) -> ReadPositions:
        """The positions as a start of the node finds them."""
        positions = ReadPositions(self.write, self.told.append)
        positions.restore([(b"name", b"ann"), *self.rows.items()])
        return positions


async def test_positions_survive_a_restart() -> None:
    """An end a log, and where to start looking."""
    kept = Kept()
    positions = kept.positions()
    assert (positions.start(ROOM), positions.ends(ROOM)) == (1, {})
    positions.move(ROOM, ANN, 5, 9)
    positions.move(ROOM, BOB, 3)
    positions.flush()
    again = kept.positions()
    assert (again.start(ROOM), again.ends(ROOM)) == (9, {ANN: 5, BOB: 3})


async def test_late_arrivals_are_kept_as_ranges() -> None:
    """What filled an old gap and was read stays read over a restart, until the start has passed it."""
    kept = Kept()
    positions = kept.positions()
    for number in (7, 8, 9, 8, 20):
        positions.move_late(ROOM, number)
    positions.flush()
    again = kept.positions()
    assert again.late(ROOM) == [(7, 10), (20, 21)]
    again.move_start(ROOM, 10)
    again.move_late(ROOM, 5)
    assert again.late(ROOM) == [(20, 21)]


async def test_ranges_are_bounded() -> None:
    """Of more ranges than are kept the newest stay."""
    positions = Kept().positions()
    for number in range(2, 2 * RANGES_KEPT_MAX + 20, 2):
        positions.move_late(ROOM, number)
    late = positions.late(ROOM)
    assert len(late) == RANGES_KEPT_MAX
    assert late[-1] == (2 * RANGES_KEPT_MAX + 18, 2 * RANGES_KEPT_MAX + 19)


async def test_they_never_go_back() -> None:
    """Reading an old message again unreads nothing."""
    positions = Kept().positions()
    positions.move(ROOM, ANN, 5, 9)
    positions.move(ROOM, ANN, 2, 3)
    assert (positions.start(ROOM), positions.ends(ROOM)) == (9, {ANN: 5})


async def test_moves_are_written_together() -> None:
    """A thousand messages cost one write, and are told once."""
    kept = Kept()
    positions = kept.positions()
    for number in range(1_000):
        positions.move(ROOM, ANN, number + 1, number + 2)
    positions.flush()
    positions.flush()
    assert kept.writes == 1
    assert [fact.ends for fact in kept.told] == [{ANN: 1_000}]


async def test_a_move_is_written_by_itself_soon() -> None:
    """Nobody has to flush."""
    kept = Kept()
    kept.positions().move(ROOM, ANN, 1)
    while not kept.rows:  # the timer of 0.1 s
        await asyncio.sleep(0.01)
    assert kept.writes == 1


async def test_a_damaged_row_costs_reading_again() -> None:
    """Nothing else is lost by it."""
    kept = Kept()
    for value in (b"", b"\xc1", b"\x92\x01\x90\x00", b"\x93\x01\x02\x03"):
        kept.rows[b"read:" + ROOM] = value
        assert kept.positions().start(ROOM) == 1


async def test_what_is_passed_without_a_new_end_is_kept_too() -> None:
    """Backfill and gaps move only the start: a restart does not give them again."""
    kept = Kept()
    positions = kept.positions()
    positions.move(ROOM, ANN, 5, 9)
    positions.flush()
    positions.move(ROOM, ANN, 3, 12)
    positions.move_start(ROOM, 13)
    positions.flush()
    assert kept.positions().start(ROOM) == 13
    assert len(kept.told) == 1


async def test_a_room_of_very_many_logs_keeps_those_that_moved_last() -> None:
    """What a row can't hold is left out, the rest of it survives."""
    kept = Kept()
    positions = kept.positions()
    keys = [LogKey(ANN.author, 2**60 + log) for log in range(LOGS_KEPT_MAX + 3_000)]
    for key in keys:
        positions.move(ROOM, key, 2**50)
    positions.move(ROOM, keys[0], 2**51)
    positions.flush()
    ends = kept.positions().ends(ROOM)
    assert len(ends) == LOGS_KEPT_MAX
    assert ends[keys[0]] == 2**51
    assert list(ends)[-2] == keys[-1]
