"""What a reader sees in stored batches."""

from __future__ import annotations

from random import Random

import pytest

from zmqchat.history.batch import open_stored
from zmqchat.model.events import Kind
from zmqchat.model.ids import MessageId
from zmqchat.sim import texts as module
from zmqchat.sim.author import Author
from zmqchat.sim.texts import Texts
from zmqchat.wire.events import encode_event


def test_each_text_is_told_with_its_number_and_its_id() -> None:
    """As the author's `send` gave it."""
    author = Author("ann")
    batch = author.batch(("one", "two"), first=4)
    assert [tuple(said) for said in Texts().of(batch.raw)] == [
        (4 + index, MessageId(author.peer, 1, 4 + index, batch.event_digest8(index)), text)
        for index, text in enumerate(("one", "two"))
    ]


def test_what_is_no_text_is_left_out_and_keeps_its_number() -> None:
    """A reaction between two texts."""
    author = Author("ann")
    parts = ((Kind.TEXT, "one"), (Kind.REACTION, [bytes(56), "+1"]), (Kind.TEXT, "two"))
    events = [encode_event(bytes(16), author.ticks, kind, body) for kind, body in parts]
    batch = author.batch(events=events)
    assert [(said.number, said.text) for said in Texts().of(batch.raw)] == [(0, "one"), (2, "two")]
    only = author.batch(events=events[1:2])
    assert Texts().of(only.raw) == ()
    assert Texts().in_order([only.raw]) == []


def test_a_room_is_in_the_order_of_the_timeline_whatever_the_order_of_the_batches() -> None:
    """By when they were sealed."""
    ann, ben = Author("ann"), Author("ben")
    batches = []
    for turn in range(6):
        author, other = (ann, ben) if turn % 2 else (ben, ann)
        author.ticks = max(author.ticks, other.ticks)
        batches.append(author.batch((f"text {turn}",), first=turn))
    for seed in range(5):
        raws = [batch.raw for batch in batches]
        Random(seed).shuffle(raws)
        assert [said.text for said in Texts().in_order(raws)] == [f"text {turn}" for turn in range(6)]


def test_a_batch_is_unpacked_once_for_all_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand nodes read the same; and what is kept for them has a bound."""
    opened = []

    def counting(raw: bytes, crypto: object) -> object:
        opened.append(raw)
        return open_stored(raw, crypto)  # type: ignore[arg-type]  # as it came

    monkeypatch.setattr(module, "open_stored", counting)
    monkeypatch.setattr(module, "BATCHES_KEPT_MAX", 2)
    texts, raws = Texts(), [batch.raw for batch in Author("ann").chain(3)]
    for _ in range(5):
        assert texts.of(raws[0])[0].text == "0"
    assert opened == raws[:1]
    for raw in (*raws[1:], raws[0]):
        texts.of(raw)
    assert opened == [*raws, raws[0]]
