"""Waiting for one's own messages, without a node."""

from __future__ import annotations

import asyncio

import pytest

from zmqchat.model.errors import NodeClosed, NotStored, StoreFull
from zmqchat.model.ids import MessageId, PeerId, RoomId
from zmqchat.node.sending import GIVEN_UP_RANGES_MAX, ReceiptWaiters, StoredMarks
from zmqchat.protocol.data_effects import OwnFailed, OwnStored

ROOM = RoomId(bytes(16))
OTHER = RoomId(b"o" * 16)


def message(number: int, log: int = 7) -> MessageId:
    """An own message."""
    return MessageId(PeerId(b"a" * 32), log, number, number.to_bytes(8, "big"))


def messages(first: int, end: int, said: str = "") -> list[MessageId]:
    """Own messages that follow each other; the same numbers may say something else."""
    return [
        message(number)._replace(digest8=(said + str(number)).encode().rjust(8)[-8:]) if said else message(number)
        for number in range(first, end)
    ]


def stored(first: int, end: int) -> OwnStored:
    """These are durable."""
    return OwnStored(room=ROOM, log=7, first=first, end=end)


def failed(first: int, end: int, *, full: bool = False) -> OwnFailed:
    """These were given up."""
    return OwnFailed(room=ROOM, log=7, first=first, end=end, full=full, detail="the disk hangs")


@pytest.fixture
def marks() -> StoredMarks:
    """Twenty messages were posted."""
    made = StoredMarks()
    made.posted(ROOM, [message(number) for number in range(10, 30)])
    return made


async def test_an_outcome_resolves_all_below_its_end(marks: StoredMarks) -> None:
    """In whatever order they were waited for."""
    futures = {number: marks.wait(ROOM, message(number)) for number in (12, 10, 15, 11)}
    marks.stored(stored(10, 13))
    assert [number for number, future in futures.items() if future.done()] == [12, 10, 11]
    assert marks.is_stored(ROOM, message(12))
    assert not marks.is_stored(ROOM, message(13))
    assert not marks.is_stored(OTHER, message(12))
    marks.stored(stored(13, 20))
    assert futures[15].done()


async def test_a_failure_raises_for_its_numbers_only(marks: StoredMarks) -> None:
    """NotStored with the reason, StoreFull for a full disk; others go on waiting."""
    first, second, third = (marks.wait(ROOM, message(number)) for number in (10, 12, 20))
    marks.failed(failed(12, 15), "/home")
    marks.failed(failed(20, 25, full=True), "/home")
    assert not first.done()
    with pytest.raises(NotStored, match="the disk hangs"):
        await second
    with pytest.raises(StoreFull, match="/home"):
        await third


async def test_a_number_that_was_given_up_tells_nothing(marks: StoredMarks) -> None:
    """It names another message later: the store must be asked."""
    marks.failed(failed(12, 15), "/home")
    assert [number for number in range(9, 31) if marks.is_known(ROOM, message(number))] == [
        10, 11, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29,
    ]  # fmt: skip
    marks.stored(stored(10, 20))
    assert marks.stored_below(ROOM, message(10)) == 12
    assert marks.stored_below(ROOM, message(13)) == 0
    assert marks.stored_below(ROOM, message(16)) == 20
    assert isinstance(marks.why_given_up(ROOM, message(13)), NotStored)
    assert marks.why_given_up(OTHER, message(13)) is None


async def test_what_was_posted_anew_is_durable_by_its_number(marks: StoredMarks) -> None:
    """Without a look into the store; the ones that were given up are not taken for them."""
    marks.failed(failed(12, 30), "/home")
    again = messages(12, 20, "again")
    marks.posted(ROOM, again)
    marks.stored(stored(10, 20))
    assert marks.stored_below(ROOM, again[0]) == 20
    assert marks.stored_below(ROOM, message(12)) == 0


async def test_what_was_posted_anew_is_remembered_within_bounds(
    marks: StoredMarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest count as given up again."""
    monkeypatch.setattr("zmqchat.node.sending.POSTED_ANEW_MAX", 5)
    marks.failed(failed(10, 30), "/home")
    again = messages(10, 30, "again")
    marks.posted(ROOM, again)
    assert [one.number for one in again if marks.is_known(ROOM, one)] == [25, 26, 27, 28, 29]
    assert len(marks._anew[(ROOM, 7)]) == 5


async def test_a_failure_is_counted_and_tells_whose_it_was(marks: StoredMarks) -> None:
    """What lies below its numbers, or was posted after it, is not lost."""
    assert marks.failures(ROOM) == 0
    marks.failed(failed(12, 30), "/home")
    assert marks.failures(ROOM) == 1
    assert not marks.was_given_up_since(ROOM, message(11), 0)
    assert marks.was_given_up_since(ROOM, message(12), 0)
    assert not marks.was_given_up_since(ROOM, message(12), 1)
    for _ in range(2 * GIVEN_UP_RANGES_MAX):
        marks.failed(failed(40, 41), "/home")
    assert marks.was_given_up_since(ROOM, message(12), 0)
    assert not marks.was_given_up_since(ROOM, message(12), marks.failures(ROOM) - 1)


async def test_messages_of_earlier_runs_are_not_known(marks: StoredMarks) -> None:
    """Nor those of other logs and rooms."""
    assert not marks.is_known(ROOM, message(5))
    assert not marks.is_known(ROOM, message(12, log=8))
    assert not marks.is_known(OTHER, message(12))


async def test_what_was_given_up_is_remembered_within_bounds(marks: StoredMarks) -> None:
    """Many failures are joined, so that no number is taken for known that is not."""
    marks.posted(ROOM, [message(number) for number in range(10, 100_001)])
    for number in range(20, 20 + 3 * GIVEN_UP_RANGES_MAX, 2):
        marks.failed(failed(number, number + 1), "/home")
    assert len(marks._given_up[(ROOM, 7)]) <= GIVEN_UP_RANGES_MAX
    assert not any(marks.is_known(ROOM, message(n)) for n in range(20, 20 + 3 * GIVEN_UP_RANGES_MAX, 2))
    assert marks.is_known(ROOM, message(19))


async def test_the_end_fails_all_waiters(marks: StoredMarks) -> None:
    """Nobody waits for a stopped node."""
    waiters = ReceiptWaiters()
    waiting = [marks.wait(ROOM, message(10)), waiters.wait(ROOM, lambda: False)]
    marks.fail_all(NodeClosed("stopped"))
    waiters.fail_all(NodeClosed("stopped"))
    for future in waiting:
        with pytest.raises(NodeClosed):
            await future


async def test_receipts_are_looked_at_again_on_each_change() -> None:
    """A waiter is done when its condition holds, and forgotten when it was cancelled."""
    waiters = ReceiptWaiters()
    has: set[str] = set()
    bob, cat = (waiters.wait(ROOM, lambda name=name: name in has) for name in ("bob", "cat"))  # type: ignore[misc]  # mypy can't infer a lambda's defaults
    waiters.changed(ROOM)
    has.add("bob")
    waiters.changed(OTHER)
    assert not bob.done()
    waiters.changed(ROOM)
    assert bob.done()
    assert waiters.rooms() == [ROOM]
    cat.cancel()
    waiters.changed(ROOM)
    assert waiters.rooms() == []


async def test_a_failure_that_nobody_awaits_is_no_unhandled_error(marks: StoredMarks) -> None:
    """A posting may be dropped."""
    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: problems.append(context))
    future = marks.wait(ROOM, message(10))
    marks.failed(failed(10, 11), "/home")
    del future
    await asyncio.sleep(0)
    assert problems == []


async def test_a_number_posted_anew_names_its_new_message(marks: StoredMarks) -> None:
    """After a failure the same numbers go to other messages: those are known, the ones that were lost are not."""
    marks.failed(failed(20, 30), "/home")
    lost = message(20)
    assert not marks.is_known(ROOM, lost)
    again = [MessageId(lost.author, lost.log, number, b"another!") for number in range(20, 30)]
    marks.posted(ROOM, again)
    assert all(marks.is_known(ROOM, one) for one in again)
    assert not marks.is_known(ROOM, lost)
    marks.stored(stored(20, 30))
    assert marks.is_stored(ROOM, again[-1])
