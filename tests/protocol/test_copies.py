"""Who of many that ask for the same is served by one holder."""

from __future__ import annotations

from tests.support.authors import Author
from tests.support.fakelink import lobby
from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.protocol.copies import COPIED_ONCE, COPY_S, EXCESS_BYTES, LOGS_MAX, REFUSALS_MAX, Copies

ASKERS = [Author(f"asker {number}").peer for number in range(6)]
MANY = 10_000


def place(log: int = 1) -> tuple[RoomId, LogKey]:
    """A log of an author."""
    return lobby(), LogKey(Author().peer, log)


def served(table: Copies, log: int = 1, now_s: float = 0.0, size: int = MANY) -> list[PeerId]:
    """Who is admitted when all ask once."""
    return [asker for asker in ASKERS if table.admits(place(log), asker, 0, size, now_s)]


def test_what_was_here_before_goes_to_one_asker_at_a_time() -> None:
    """The second has to turn to the first; who has begun may go on, and later the log is anybody's again."""
    table = Copies()
    assert served(table) == ASKERS[:1]
    assert table.admits(place(), ASKERS[0], MANY, 2 * MANY, 1.0)
    assert served(table, now_s=COPY_S + 2.0) == ASKERS[:1]


def test_what_was_fetched_is_spread_to_two_but_for_every_third_log() -> None:
    """So a node sends on less than twice what it fetched."""
    table = Copies()
    for log in range(1, COPIED_ONCE + 1):
        table.fetched(place(log), 0.0)
    assert [len(served(table, log)) for log in range(1, COPIED_ONCE + 1)] == [2, 2, 1]


def test_other_numbers_of_a_log_are_another_copy() -> None:
    """Askers that share a log among several holders are all served."""
    table = Copies()
    for number, asker in enumerate(ASKERS):
        assert table.admits(place(), asker, number * MANY, (number + 1) * MANY, 0.0)


def test_who_is_refused_again_and_again_is_served() -> None:
    """There may be nobody else to ask."""
    table = Copies()
    table.admits(place(), ASKERS[0], 0, MANY, 0.0)
    answers = [table.admits(place(), ASKERS[1], 0, MANY, float(second)) for second in range(REFUSALS_MAX + 1)]
    assert answers == [False] * REFUSALS_MAX + [True]


def test_a_few_lost_messages_are_sent_to_all_until_it_becomes_much() -> None:
    """Nobody waits for them, unless so many ask that this alone is a burden."""
    table = Copies()
    assert served(table, size=1) == ASKERS
    assert table.is_excess(place(), ASKERS[1], 0, 1, 0.0) and not table.is_excess(place(), ASKERS[0], 0, 1, 0.0)
    table.sent_excess(EXCESS_BYTES)
    assert served(table, log=2, size=1) == ASKERS[:1]
    assert served(table, log=3, now_s=10.0, size=1) == ASKERS


def test_logs_remembered_are_bounded() -> None:
    """The log asked for longest ago is forgotten."""
    table = Copies()
    for log in range(LOGS_MAX + 5):
        table.fetched(place(log), 0.0)
    assert len(table) == LOGS_MAX
