"""Own events: their ids at once, batches that grow while a commit runs, and what becomes of a failed one."""

from __future__ import annotations

import pytest

from tests.support.authors import Author, Stranger
from tests.support.fakelink import FakeNet, FakeNode, lobby
from zmqchat.history.batch import Batch, BatchHeader, open_batch, peek
from zmqchat.history.frontier import Load, Outcome, Placement
from zmqchat.history.ranges import Link
from zmqchat.model.errors import BadText, MessageTooLarge, NotStored, UsageError
from zmqchat.model.events import Event, Head, Kind
from zmqchat.model.faults import Fault
from zmqchat.model.ids import LogKey
from zmqchat.model.limits import (
    BATCH_BYTES_MAX,
    BATCH_EVENTS_MAX,
    LOGS_PER_AUTHOR_MAX,
    PENDING_BYTES_MAX,
    TEXT_BYTES_MAX,
)
from zmqchat.protocol.data_effects import OwnFailed, OwnStored
from zmqchat.protocol.effects import Notice
from zmqchat.protocol.ledger import Group
from zmqchat.protocol.publishing import check_text
from zmqchat.wire.events import decode_event


@pytest.fixture
def net() -> FakeNet:
    """A network of nobody."""
    return FakeNet()


@pytest.fixture
def ann(net: FakeNet) -> FakeNode:
    """A node in the lobby, all quiet."""
    node = net.node("ann")
    node.join()
    net.run(0.1)
    node.told.clear()
    return node


def own_batches(node: FakeNode) -> list[BatchHeader]:
    """The headers of a node's own batches, in order."""
    key = LogKey(node.peer, node.data.ledger.own_log)
    rows = sorted(node.store.batches.get((lobby(), key), {}).items())
    headers = [peek(row.raw) for _end, row in rows]
    return [header for header in headers if isinstance(header, BatchHeader)]


def test_ids_are_known_at_once_and_name_what_is_stored(net: FakeNet, ann: FakeNode) -> None:
    """The id that `post` gives is where the event is found later, with its digest."""
    first, second = ann.say("one", "two")
    assert (first.author, second.number) == (ann.peer, first.number + 1)
    net.run(0.1)
    (row,) = [row for rows in ann.store.batches.values() for row in rows.values() if row.end == second.number + 1]
    batch = open_batch(row.raw, ann.crypto)
    assert not isinstance(batch, Fault)
    assert batch.event_digest8(second.number - batch.first) == second.digest8


def test_what_waits_for_a_commit_becomes_one_batch(net: FakeNet, ann: FakeNode) -> None:
    """One own batch when one event waits, one for all that came while it was committed."""
    ann.store.delay_s = 1.0
    for index in range(50):
        ann.say(f"{index}")
    net.run(5.0)
    sizes = [header.end - header.first for header in own_batches(ann)]
    assert sizes == [2, 1, 49]
    assert ann.texts() == [f"{index}" for index in range(50)]
    sealed = [header.sealed_at for header in own_batches(ann)]
    assert sealed == sorted(set(sealed))


def test_batches_stay_within_their_bounds(net: FakeNet, ann: FakeNode) -> None:
    """A stream is cut by count and by bytes; nothing is lost at the seams."""
    ann.say(*("x" for _ in range(BATCH_EVENTS_MAX + 500)))
    ann.say(*("y" * 60_000 for _ in range(9)))
    net.run(1.0)
    rows = [row for rows in ann.store.batches.values() for row in rows.values()]
    assert len(ann.texts()) == BATCH_EVENTS_MAX + 509
    assert max(len(row.raw) for row in rows) <= BATCH_BYTES_MAX
    assert max(row.end - row.first for row in rows) == BATCH_EVENTS_MAX


def test_outcome_is_told_in_ranges_of_numbers(net: FakeNet, ann: FakeNode) -> None:
    """Futures are resolved in bulk: one effect a batch, not one an event."""
    ids = ann.say(*("x" for _ in range(100)))
    net.run(0.1)
    (stored,) = ann.of(OwnStored)
    assert (stored.first, stored.end) == (ids[0].number, ids[-1].number + 1)
    assert (stored.room, stored.log) == (lobby(), ids[0].log)


def test_failed_commit_fails_its_futures_and_rewinds_the_head(net: FakeNet, ann: FakeNode) -> None:
    """The batch, and what waits behind it under numbers that would leave a hole, is given up; sending again works."""
    ann.store.failing = "full"
    ann.store.delay_s = 1.0
    first = ann.say("one")[0]
    ann.say("two")
    net.run(1.5)
    failed = ann.of(OwnFailed)
    assert [(effect.first, effect.end, effect.full) for effect in failed] == [
        (first.number, first.number + 1, True),
        (first.number + 1, first.number + 2, True),
    ]
    assert ann.data.publishing.pending_bytes(lobby()) == 0
    ann.store.failing = None
    (again,) = ann.say("three")
    net.run(2.0)
    assert again.number == first.number and ann.texts() == ["three"]


def test_pending_bytes_bound_a_sender(net: FakeNet, ann: FakeNode) -> None:
    """A caller sees how much waits, and that it is less again after the commit."""
    assert ann.data.publishing.has_room(lobby()) and not ann.data.publishing.is_pending(lobby())
    while ann.data.publishing.has_room(lobby()):
        ann.say(*("x" * 60_000 for _ in range(10)))
    assert ann.data.publishing.pending_bytes(lobby()) >= PENDING_BYTES_MAX
    net.run(1.0)
    assert ann.data.publishing.pending_bytes(lobby()) == 0


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", BadText),
        ("\ud800", BadText),
        ("x" * 70_000 + "\ud800", BadText),
        ("x" * (TEXT_BYTES_MAX + 1), MessageTooLarge),
        ("é" * (TEXT_BYTES_MAX // 2 + 1), MessageTooLarge),
        (7, BadText),
        (b"x", BadText),
    ],
)
def test_bad_texts_raise_before_anything_is_stored(net: FakeNet, ann: FakeNode, text: str, error: type) -> None:
    """Empty, not UTF-8, too long, not even a text: an error of the tree, and no trace."""
    with pytest.raises(error):
        ann.say("good", text)
    net.run(0.1)
    assert not ann.texts() and not ann.data.publishing.is_pending(lobby())


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"x", ("not b'x'", ".decode()", "send_app()")),
        (bytearray(1_000), ("decode()",)),
        (7, ("not 7", "str()")),
        (None, ("not None",)),
        (["a"], ("not ['a']",)),
    ],
)
def test_what_is_no_text_is_refused_with_what_to_do(value: object, words: tuple[str, ...]) -> None:
    """Bytes, numbers and lists: a line that shows what was passed, cut where it is long, and how to make it right."""
    with pytest.raises(BadText) as raised:
        check_text(value)  # type: ignore[arg-type]  # what a program without types may pass
    line = str(raised.value)
    assert all(word in line for word in words)
    assert len(line) < 200 and "\n" not in line


def test_largest_text_is_sent(net: FakeNet, ann: FakeNode) -> None:
    """64 KiB of UTF-8 are a message, in one-byte and in two-byte characters."""
    texts = ["x" * TEXT_BYTES_MAX, "é" * (TEXT_BYTES_MAX // 2)]
    for text in texts:
        check_text(text)
    ann.say(*texts)
    net.run(0.1)
    assert ann.texts() == texts


def test_other_bodies_are_checked_by_size_and_form(ann: FakeNode) -> None:
    """An app value that is too large or can't be packed raises at the caller."""
    with pytest.raises(MessageTooLarge):
        ann.post(Kind.APP, [["data", b"x" * 70_000]])
    with pytest.raises(UsageError):
        ann.post(Kind.APP, [["data", object()]])
    assert ann.post(Kind.TEXT, []) == []


def test_posting_in_a_room_that_one_is_not_in_raises(ann: FakeNode) -> None:
    """Nothing is accepted for a room before it was joined."""
    with pytest.raises(NotStored):
        ann.say("hello", room="elsewhere")


def test_first_answer_names_what_was_seen(net: FakeNet, ann: FakeNode) -> None:
    """`after` names up to four heads of others that came since our last event, once, unless the caller says."""
    eve = Stranger(net, ann)
    others = [Author(f"author {index}") for index in range(6)]
    for other in others:
        eve.push(other.batch())
    net.run(0.1)
    ann.say("one")
    ann.data.publishing.post(lobby(), Kind.TEXT, ["two"], ann.instant(), after=[Head(eve.peer, 1, 7)])
    ann.say("three")
    net.run(0.1)
    events = []
    for deliver in ann.delivers:
        if deliver.raw is not None and deliver.arrival.key.author == ann.peer:
            batch = open_batch(deliver.raw, ann.crypto)
            assert not isinstance(batch, Fault)
            events += [event for event in map(decode_event, batch.events) if isinstance(event, Event)]
    after = [event.after for event in events if event.kind == Kind.TEXT]
    assert [head.author for head in after[0]] == [other.peer for other in others[-4:]]
    assert after[1] == (Head(eve.peer, 1, 7),) and after[2] == ()


def test_commit_of_a_large_backlog_takes_several_batches(net: FakeNet, ann: FakeNode) -> None:
    """A program that streams is not held up by one sync of the disk a batch, and a failure fails all of them."""
    ann.store.delay_s = 1.0
    ann.say(*("x" for _ in range(10 * BATCH_EVENTS_MAX)))
    commits = ann.store.commits
    net.run(10.0)
    assert ann.store.commits - commits <= 4
    assert len(ann.texts()) == 10 * BATCH_EVENTS_MAX


def fill_logs(net: FakeNet, node: FakeNode) -> None:
    """Let every log of the node's author be in use, and the node write under a further one."""
    eve, twin = Stranger(net, node), Author(node.name)
    for log in range(1, LOGS_PER_AUTHOR_MAX):
        eve.push(twin.batch(log=log))
    net.run(1.0)
    node.data.own_log._draw("moved")
    node.told.clear()


def test_one_log_of_ours_too_many_is_refused_and_its_author_told(net: FakeNet, ann: FakeNode) -> None:
    """The 257th log of our own fails each post with the reason, tells it once, and stops nothing else."""
    fill_logs(net, ann)
    posted = ann.say("more")
    net.run(0.1)
    posted += ann.say("and more")
    net.run(0.1)
    failed = ann.of(OwnFailed)
    assert [(effect.log, effect.full) for effect in failed] == [(said.log, False) for said in posted]
    assert all(effect.first <= said.number < effect.end for effect, said in zip(failed, posted, strict=True))
    assert f"{LOGS_PER_AUTHOR_MAX} logs" in failed[0].detail
    (notice,) = ann.of(Notice)
    assert "lobby" in notice.text and not ann.data.publishing.is_pending(lobby())
    ann.join("other")
    ann.say("here", room="other")
    net.run(0.1)
    assert ann.texts("other") == ["here"]


def test_room_is_left_without_a_word_where_none_can_be_said(net: FakeNet, ann: FakeNode) -> None:
    """The goodbye finds no place in the log: the room is left all the same."""
    fill_logs(net, ann)
    ann.leave()
    net.run(0.1)
    assert not ann.data.ledger.is_joined(lobby()) and lobby() not in ann.topics


def test_what_was_sealed_before_a_refusal_is_kept(net: FakeNet, ann: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch without a place gives up itself and what waits behind it, and counts as pending no more."""
    place, outcomes = Group.place, [Outcome.PLACED, Outcome.FULL]

    def refusing(group: Group, batch: Batch, loaded: dict[Load, list[Link]]) -> Placement:
        key = LogKey(batch.author, batch.log)
        return place(group, batch, loaded) if outcomes.pop(0) is Outcome.PLACED else Placement(Outcome.FULL, key, key)

    monkeypatch.setattr(Group, "place", refusing)
    ids = ann.say(*("x" for _ in range(BATCH_EVENTS_MAX + 5)))
    net.run(0.1)
    (stored,), (failed,) = ann.of(OwnStored), ann.of(OwnFailed)
    assert (stored.end, failed.first, failed.end) == (failed.first, ids[BATCH_EVENTS_MAX].number, ids[-1].number + 1)
    assert not ann.data.publishing.is_pending(lobby()) and ann.data.publishing.pending_bytes(lobby()) == 0
    monkeypatch.undo()
    (again,) = ann.say("again")
    net.run(0.1)
    assert again.number == failed.first and ann.texts()[-1] == "again"
