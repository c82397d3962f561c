"""Who of many that ask for the same is served by one holder."""

from __future__ import annotations

from tests.support.authors import Author
from tests.support.fakelink import lobby
from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.protocol.copies import COPY_S, EXCESS_BYTES, LOGS_MAX, REFUSALS_MAX, Answer, Copies

ASKERS = [Author(f"asker {number}").peer for number in range(6)]
MANY = 10_000


def place(log: int = 1) -> tuple[RoomId, LogKey]:
    """A log of an author."""
    return lobby(), LogKey(Author().peer, log)


def is_served(table: Copies, asker: PeerId, log: int = 1, first: int = 0, end: int = MANY, now_s: float = 0.0) -> bool:
    """Whether this asker is admitted."""
    return table.asked(place(log), asker, first, end, now_s) is not Answer.NOT_NOW


def served(table: Copies, log: int = 1, now_s: float = 0.0, size: int = MANY) -> list[PeerId]:
    """Who is admitted when all ask once."""
    return [asker for asker in ASKERS if is_served(table, asker, log, 0, size, now_s)]


def test_what_was_here_before_goes_to_one_asker_at_a_time() -> None:
    """The second has to turn to the first; who has begun may go on, and later the log is anybody's again."""
    table = Copies()
    assert served(table) == ASKERS[:1]
    assert is_served(table, ASKERS[0], first=MANY, end=2 * MANY, now_s=1.0)
    assert served(table, now_s=COPY_S + 2.0) == ASKERS[:1]


def test_what_was_fetched_is_spread_to_two() -> None:
    """So a node sends on twice what it fetched, and each round doubles those that have it."""
    table = Copies()
    for log in (1, 2, 3):
        table.fetched(place(log), MANY, 0.0)
    assert [len(served(table, log)) for log in (1, 2, 3)] == [2, 2, 2]


def test_who_sends_what_was_here_before_spreads_what_it_fetched_once() -> None:
    """Between two halves a node sends its own half across and the other half on, and is not to do more than others."""
    table = Copies()
    for log in (1, 2, 3, 4):
        table.fetched(place(log), MANY, 0.0)
    counts = [len(served(table, log)) for log in (11, 1, 12, 13, 2, 3, 4, 14)]
    assert counts == [1, 2, 1, 1, 1, 1, 1, 1]


def test_what_was_fetched_long_ago_allows_no_second_copies() -> None:
    """An allowance that grew for hours would let a node carry the next healing alone."""
    table = Copies()
    table.fetched(place(1), 10 * MANY, 0.0)
    table.fetched(place(2), MANY, COPY_S + 1.0)
    table.fetched(place(3), MANY, COPY_S + 1.0)
    assert [len(served(table, log, COPY_S + 1.0)) for log in (11, 2, 3)] == [1, 2, 1]


def test_other_numbers_of_a_log_are_another_copy() -> None:
    """Askers that share a log among several holders are all served."""
    table = Copies()
    for number, asker in enumerate(ASKERS):
        assert is_served(table, asker, first=number * MANY, end=(number + 1) * MANY)


def test_who_is_refused_again_and_again_is_served() -> None:
    """There may be nobody else to ask; it is in excess, and counts as such."""
    table = Copies()
    assert table.asked(place(), ASKERS[0], 0, MANY, 0.0) is Answer.DUE
    answers = [table.asked(place(), ASKERS[1], 0, MANY, float(second)) for second in range(REFUSALS_MAX + 1)]
    assert answers == [Answer.NOT_NOW] * REFUSALS_MAX + [Answer.EXCESS]


def test_a_few_lost_messages_are_sent_to_all_until_it_becomes_much() -> None:
    """Nobody waits for them, unless so many ask that this alone is a burden."""
    table = Copies()
    answers = [table.asked(place(), asker, 0, 1, 0.0) for asker in ASKERS]
    assert answers == [Answer.DUE] + [Answer.EXCESS] * (len(ASKERS) - 1)
    table.sent_excess(EXCESS_BYTES)
    assert served(table, log=2, size=1) == ASKERS[:1]
    assert served(table, log=3, now_s=10.0, size=1) == ASKERS


def test_logs_remembered_are_bounded() -> None:
    """The log asked for longest ago is forgotten."""
    table = Copies()
    for log in range(LOGS_MAX + 5):
        table.fetched(place(log), 1, 0.0)
    assert len(table) == LOGS_MAX
