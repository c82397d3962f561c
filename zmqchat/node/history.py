"""The last messages of a room in timeline order: pages of the timeline, newest first, until enough is found."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from zmqchat.model.faults import Fault
from zmqchat.model.limits import ROWS_PER_PAGE_MAX
from zmqchat.node.message import Message, TimelinePlace
from zmqchat.store.store import MessageStore, TimelineKey, TimelineRow
from zmqchat.wire.batches import HEADER, peek_header, unpack_batch
from zmqchat.wire.events import is_readable

if TYPE_CHECKING:
    from zmqchat.node.room import Room

PAGE_BYTES = 512 * 1024
_ANY_BRANCH = b"\xff" * 8


async def load_history(room: Room, store: MessageStore, last: int, before: Message | None) -> list[Message]:
    """The `last` readable messages that stand before a message (None: the end), oldest first."""
    place = None if before is None else await _place_of(room, store, before)
    at = None if place is None else TimelineKey(place[0], place[1][:8], place[2], place[3], _ANY_BRANCH)
    found: list[Message] = []
    while rows := await _page(store, room, at):
        for row in reversed(rows):
            found += _messages(room, row, place)
            if len(found) >= last:
                return found[:last][::-1]
        at = rows[0].at
    return found[::-1]


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
        header = HEADER.unpack(peek_header(raw))
        return header[8], message.author_id, message.id.log, message.id_number
    return None


def _messages(room: Room, row: TimelineRow, before: TimelinePlace | None) -> list[Message]:
    """The readable messages of a batch, newest first, without what does not stand before the place."""
    parts = unpack_batch(row.raw)
    if isinstance(parts, Fault):
        return []
    events = parts[1]
    messages = []
    for index in range(len(events) - 1, -1, -1):
        number = row.at.first + index
        place = (row.at.sealed_at, row.key.author, row.key.log, number)
        if (before is None or place < before) and is_readable(events[index]):
            message = Message(room, row.key, number, events[index], None, live=False, backfill=False)
            message.timeline_place = place
            messages.append(message)
    return messages
