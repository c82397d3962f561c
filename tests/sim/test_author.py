"""Made-up members: the same each time, and what they write is a log as any other."""

from __future__ import annotations

import itertools

from zmqchat.history.batch import NO_DIGEST, Batch, open_batch
from zmqchat.history.clock import hlc_of, wall_ms_of
from zmqchat.model.events import Event
from zmqchat.model.ids import LogKey, is_peer_id
from zmqchat.sim.author import WALL_START_MS, Author, lobby, peer_of
from zmqchat.wire.events import body_text, decode_event


def _texts(batch: Batch) -> list[str | None]:
    events = [decode_event(raw) for raw in batch.events]
    return [body_text(event) if isinstance(event, Event) else None for event in events]


def test_a_name_is_one_valid_id_for_good() -> None:
    """And another name is another one."""
    assert peer_of("ann") == peer_of("ann") != peer_of("ben")
    assert all(is_peer_id(peer_of(str(number))) for number in range(100))
    assert lobby() == lobby("lobby") != lobby("kitchen")


def test_the_same_author_writes_the_same_bytes() -> None:
    """Nothing is of chance, so that runs can be compared."""
    assert [batch.raw for batch in Author("ann").chain(3)] == [batch.raw for batch in Author("ann").chain(3)]
    assert Author("ann").batch().raw != Author("ben").batch().raw


def test_a_chain_is_a_log_that_whoever_receives_it_accepts() -> None:
    """Each batch is signed, follows the one before, and is later than it."""
    author = Author("ann")
    chain = author.chain(4, log=7)
    assert chain[0].previous == NO_DIGEST
    for batch in chain:
        opened = open_batch(batch.raw, Author("ben").crypto)
        assert isinstance(opened, Batch)
        assert LogKey(opened.author, opened.log) == author.key(7)
        assert opened.room == lobby()
    for one, other in itertools.pairwise(chain):
        assert (other.first, other.previous) == (one.end, one.digest)
        assert other.sealed_at > one.sealed_at
    assert [_texts(batch) for batch in chain] == [["0"], ["1"], ["2"], ["3"]]
    assert abs(wall_ms_of(chain[-1].sealed_at) - WALL_START_MS) < 1_000


def test_a_batch_may_be_anything_that_a_test_wants() -> None:
    """Several texts, another place, predecessor, clock and room; events never are later than their batch."""
    author = Author("ann")
    early = hlc_of(WALL_START_MS - 1_000)
    batch = author.batch(("a", "b"), first=5, previous=bytes(32), sealed_at=early, room=lobby("kitchen"))
    assert (batch.first, batch.end, batch.previous, batch.sealed_at) == (5, 7, bytes(32), early)
    assert batch.room == lobby("kitchen")
    assert _texts(batch) == ["a", "b"]
    for raw in batch.events:
        event = decode_event(raw)
        assert isinstance(event, Event) and event.hlc <= early
    assert author.batch(first=3).previous != NO_DIGEST
    assert author.batch(events=batch.events).events == batch.events
