"""What only the twin has: failures set by hand, and restarts without a disk."""

from __future__ import annotations

import pytest

from tests.support.stores import ROOM, Outcomes, batch, put, writes_of
from zmqchat.model.errors import NodeClosed
from zmqchat.protocol.effects import PutRow
from zmqchat.store.memory import MemoryStore


def test_a_full_or_broken_twin_keeps_nothing() -> None:
    """Outcomes are as the real store's, and later writes work again."""
    outcomes = Outcomes()
    store = MemoryStore(outcomes)
    store.full = True
    assert put(store, outcomes, 0, writes_of(batch(0, 1), 1)).full
    store.full, store.broken = False, "the disk fails"
    assert put(store, outcomes, 1, writes_of(batch(0, 1), 1)).detail == "the disk fails"
    store.broken = ""
    assert store.next_arrival(ROOM) == 1
    assert put(store, outcomes, 2, writes_of(batch(0, 1), 1)).ok
    assert store.next_arrival(ROOM) == 2


def test_a_restart_keeps_the_rows_and_tells_what_was_said() -> None:
    """The simulator restarts a node as it likes: crashed, moved, after a power loss."""
    outcomes = Outcomes()
    store = MemoryStore(outcomes, store_id=b"i" * 16)
    put(store, outcomes, 0, (PutRow("meta", b"key", b"value"),))
    later = store.reopened(outcomes, clean=False, same_boot=False, moved=True)
    assert later.info == (b"i" * 16, 2, False, False, False, True, ())
    assert later.get("meta", b"key") == b"value"
    with pytest.raises(NodeClosed):
        store.get("meta", b"key")
    with pytest.raises(NodeClosed):
        store.submit(1, ())
