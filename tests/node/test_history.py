"""History is one order on every node, page after page, though stores sort the branches of a fork differently."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import cast

import pytest

from tests.support.authors import Author
from tests.support.fakelink import lobby
from zmqchat.history.batch import Batch
from zmqchat.model.ids import LogKey
from zmqchat.node import history
from zmqchat.node.history import load_history
from zmqchat.node.message import Message
from zmqchat.node.room import Room
from zmqchat.protocol.effects import PutBatch
from zmqchat.store.memory import MemoryStore

EVE = Author()


def forked() -> list[Batch]:
    """One batch, three that follow it in one moment, and one of another log after them."""
    first = EVE.batch(["first"])
    ties = [EVE.batch([f"{name}0", f"{name}1"], after=first, sealed_at=EVE.ticks + 1_000) for name in "abc"]
    moment = max(batch.sealed_at for batch in ties)
    ties = [EVE.batch([], after=first, sealed_at=moment, events=batch.events) for batch in ties]
    return [first, *ties, EVE.batch(["last"], log=2, sealed_at=moment + 1)]


BATCHES = forked()


async def test_branches_that_tie_stand_alike_wherever_they_are_stored() -> None:
    """Three branches sealed in one moment: every way of storing them gives one history."""
    orders = {tuple(texts(await pages(stored(BATCHES, branches)))) for branches in itertools.permutations(b"abc")}
    assert len(orders) == 1
    assert sorted(orders.pop()) == ["a0", "a1", "b0", "b1", "c0", "c1", "first", "last"]


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("last", [1, 2, 3, 50])
async def test_pages_neither_skip_nor_repeat_what_ties(monkeypatch: pytest.MonkeyPatch, rows: int, last: int) -> None:
    """However many rows and messages a page has, pages in a row are the whole history."""
    whole = texts(await pages(stored(BATCHES, b"abc")))
    monkeypatch.setattr(history, "ROWS_PER_PAGE_MAX", rows)
    assert texts(await pages(stored(BATCHES, b"bca"), last)) == whole


async def test_a_message_of_a_cursor_is_found_in_its_branch() -> None:
    """One that does not know its place is looked up: what stands before it is the same."""
    store = stored(BATCHES, b"abc")
    for message in await pages(store):
        expected = texts(await page(store, 50, message))
        message.timeline_place = None
        assert texts(await page(store, 50, message)) == expected


def stored(batches: list[Batch], branches: tuple[int, ...] | bytes) -> MemoryStore:
    """A store that holds the ties under these branches."""
    store = MemoryStore(lambda outcomes: None)
    names = [0, *branches, 0]
    for batch, name in zip(batches, names, strict=True):
        key = LogKey(batch.author, batch.log, bytes([name]) * 8)
        store.submit(1, [PutBatch(batch.room, key, batch.first, batch.end, batch.sealed_at, batch.raw)])
    return store


async def page(store: MemoryStore, last: int, before: Message | None) -> list[Message]:
    """One page."""
    room = cast("Room", SimpleNamespace(id=lobby(), node_digest=EVE.crypto.event_digest))
    return await load_history(room, store, EVE.crypto, last, before)


async def pages(store: MemoryStore, last: int = 50) -> list[Message]:
    """All messages, page by page, oldest first."""
    found: list[Message] = []
    while messages := await page(store, last, found[0] if found else None):
        found = messages + found
    return found


def texts(messages: list[Message]) -> list[str]:
    """What they say."""
    return [message.text or "" for message in messages]
