"""The last messages of a room in timeline order: pages of the timeline, newest first, until enough is found.

The store sorts what ties, branches of a forked log sealed in one moment, by the branch under which this node
happened to store them. `history.order` sorts these few again, so that the order is the same on every node.
"""

from __future__ import annotations

import asyncio
from itertools import groupby, takewhile
from typing import TYPE_CHECKING

from zmqchat.history.batch import Batch, open_stored
from zmqchat.history.crypto import Crypto
from zmqchat.history.order import in_timeline_order
from zmqchat.model.faults import Fault
from zmqchat.model.limits import ROWS_PER_PAGE_MAX
from zmqchat.node.message import Message, TimelinePlace, event_at
from zmqchat.store.store import MessageStore, TimelineKey, TimelineRow
from zmqchat.wire.batches import HEADER, peek_header, unpack_batch
from zmqchat.wire.events import is_readable

if TYPE_CHECKING:
    from zmqchat.node.room import Room

PAGE_BYTES = 512 * 1024
_ANY_BRANCH = b"\xff" * 8


async def load_history(
    room: Room, store: MessageStore, crypto: Crypto, last: int, before: Message | None
) -> list[Message]:
    """The `last` readable messages that stand before a message (None: the end), oldest first."""
    place = None if before is None else await _place_of(room, store, before)
    at = None if place is None else TimelineKey(*place, _ANY_BRANCH)
    found: list[Message] = []
    waiting: list[TimelineRow] = []  # the oldest of a page: what ties with it may be in the next one
    while True:
        page = await _page(store, room, at)
        runs = [list(run) for _, run in groupby(page + waiting, _place)]
        waiting = runs.pop(0) if page else []
        for run in reversed(runs):
            messages = _messages(room, run, crypto)
            if before is not None and _place(run[0]) == place:
                messages = _those_before(messages, before)
            found += reversed(messages)
            if len(found) >= last:
                return found[:last][::-1]
        if not page:
            return found[::-1]
        at = page[0].at


async def _page(store: MessageStore, room: Room, before: TimelineKey | None) -> list[TimelineRow]:
    return await asyncio.wrap_future(
        store.read(lambda: store.load_timeline(room.id, before, ROWS_PER_PAGE_MAX, PAGE_BYTES))
    )


async def _place_of(room: Room, store: MessageStore, message: Message) -> TimelinePlace | None:
    """Where a message stands; one that came from a cursor is looked up in the store."""
    if message.timeline_place is not None:
        return message.timeline_place
    batches = await asyncio.wrap_future(store.read(lambda: store.find_batch(room.id, message.id)))
    for raw in batches:
        event = event_at(raw, message.id_number)
        if event is not None and room.node_digest(event)[:8] == message.id.digest8:
            header = HEADER.unpack(peek_header(raw))
            return header[8], message.author_id[:8], message.id.log, header[5]
    return None


def _place(row: TimelineRow) -> TimelinePlace:
    return row.at.sealed_at, row.at.author8, row.at.log, row.at.first


def _messages(room: Room, run: list[TimelineRow], crypto: Crypto) -> list[Message]:
    """The readable messages of batches that tie, oldest first; mostly it is one batch."""
    if len(run) > 1:
        opened = {batch.digest: (batch, row) for row in run if isinstance(batch := open_stored(row.raw, crypto), Batch)}
        run = [opened[batch.digest][1] for batch in in_timeline_order(batch for batch, _row in opened.values())]
    return [message for row in run for message in _messages_of(room, row)]


def _messages_of(room: Room, row: TimelineRow) -> list[Message]:
    parts = unpack_batch(row.raw)
    if isinstance(parts, Fault):
        return []
    messages = []
    for number, event in enumerate(parts[1], row.at.first):
        message = Message(room, row.key, number, event, None, live=False, backfill=False)
        if is_readable(event):
            message.timeline_place = _place(row)
            messages.append(message)
    return messages


def _those_before(messages: list[Message], before: Message) -> list[Message]:
    """What stands before a message among those of its batch and of what ties with it."""

    def is_other(message: Message) -> bool:
        return message.id_number != before.id_number or message.id != before.id

    return list(takewhile(is_other, messages))
