"""`room.messages()`: a cursor over what arrived, from anywhere in the past into the live end.

How it works. The position is an arrival number. Rows come from the room's tail where it reaches back far
enough, else page by page from the store; at the end the cursor waits for the tail to grow. Nothing is
queued for it, so a slow reader misses nothing and costs nothing; and it moves on only when it gives
something, so cancelling it while it waits loses nothing. With `after="read"` each log is read
from its own read position, and asking for the next message moves it past the one before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from zmqchat.model.errors import NodeClosed
from zmqchat.model.faults import Fault
from zmqchat.model.ids import LogKey, PeerId
from zmqchat.model.limits import ROWS_PER_PAGE_MAX
from zmqchat.node.message import Block, Gap, Message
from zmqchat.node.tail import Row
from zmqchat.wire.batches import unpack_batch
from zmqchat.wire.events import is_readable

if TYPE_CHECKING:
    from zmqchat.node.room import Room

PAGE_BYTES = 1024 * 1024
"""Bytes of rows read from the store at a time: several batches, and bounded memory a cursor."""


class Messages(AsyncIterator["Message | Gap"]):
    """An asynchronous iterator of messages and gaps; `blocks()` gives them by the batch."""

    def __init__(self, room: Room, start: int, *, moves_read_position: bool, skip_read: bool) -> None:
        self._room = room
        self._next_number = start
        self._moves = moves_read_position
        self._skips = dict(room.read_ends()) if skip_read else {}
        self._late_read = room.late_read() if skip_read else []
        self._rows: deque[Row] = deque()
        self._block: Block | None = None
        self._index = 0
        self._read: tuple[LogKey, int, int] | None = None
        self._passed: int | None = None

    def __aiter__(self) -> Messages:
        return self

    async def __anext__(self) -> Message | Gap:
        self._move()
        while self._block is None or self._index >= len(self._block):
            item = await self._next_item()
            if isinstance(item, Gap):
                self._passed = item.position + 1
                return item
            self._block, self._index = item, 0
        message = self._block[self._index]
        self._index += 1
        self._read = (self._block.key, message.id_number + 1, self._block.position(self._index - 1) + 1)
        return message

    def blocks(self) -> Blocks:
        """Non-empty sequences of messages as they arrived, without the gaps; for programs in a hurry."""
        return Blocks(self)

    async def next_block(self) -> Sequence[Message]:
        """What `blocks` gives next: the rest of a block that was begun, else a whole one."""
        self._move()
        item: Block | Gap | None = self._block
        index, self._block, self._index = self._index, None, 0
        while not isinstance(item, Block) or index >= len(item):
            item, index = await self._next_item(), 0
        self._read = (item.key, item.end_number, item.position(len(item) - 1) + 1)
        return item[index:] if index else item

    async def count_rest(self, me: PeerId) -> int:
        """Count what others said from here up to the present end, and stand there."""
        end = self._room.tail.next_number
        count = 0
        while self._rows or self._next_number < end:
            if not self._rows:
                await self._fetch()
                continue
            row = self._rows.popleft()
            item = self._open(row)
            self._next_number = row.end_number
            if isinstance(item, Block) and item.key.author != me:
                count += len(item)
        return count

    def _move(self) -> None:
        """The application asks for more, so it has handled what it got before."""
        if self._read is not None:
            if self._moves:
                self._room.mark_read(*self._read)
            self._read = None
        if self._passed is not None:
            if self._moves:
                self._room.pass_arrivals(self._passed)
            self._passed = None

    async def _next_item(self) -> Block | Gap:
        while True:
            while self._rows:
                row = self._rows.popleft()
                item = self._open(row)
                self._next_number = row.end_number
                if item is not None:
                    return item
            await self._fetch()

    async def _fetch(self) -> None:
        tail = self._room.tail
        while self._next_number >= tail.next_number:
            if self._room.closed:
                raise NodeClosed("the node is stopped")
            await tail.changed()
        rows = tail.rows_from(self._next_number, ROWS_PER_PAGE_MAX)
        if rows is None:
            rows = await self._room.load_rows(self._next_number, ROWS_PER_PAGE_MAX, PAGE_BYTES)
        if rows:
            self._rows.extend(rows)
        else:
            self._next_number = tail.next_number

    def _open(self, row: Row) -> Block | Gap | None:
        """What a row gives this cursor, None where nothing in it is to be read."""
        arrival = row.arrival
        if row.raw is None:
            author = self._room.author_at(arrival.key.author, None)
            return Gap(self._room, author, arrival.first, arrival.end, arrival.number)
        parts = unpack_batch(row.raw)
        if isinstance(parts, Fault):
            return None
        events = parts[1]
        batch_first = arrival.batch_end - len(events)
        offset = arrival.number - arrival.first
        # What fills an old gap stands below the read end of its log without having been read.
        read_end = 0 if arrival.backfill else self._skips.get(arrival.key, 0)
        first = max(arrival.first, self._next_number - offset, read_end)
        numbers = [n for n in range(first, arrival.end) if is_readable(events[n - batch_first])]
        if arrival.backfill and self._late_read:
            numbers = [n for n in numbers if not self._is_late_read(n + offset)]
        if not numbers:
            return None
        return Block(
            self._room,
            arrival.key,
            [events[n - batch_first] for n in numbers],
            numbers,
            offset,
            live=arrival.live,
            backfill=arrival.backfill,
        )

    def _is_late_read(self, number: int) -> bool:
        return any(first <= number < end for first, end in self._late_read)


class Blocks(AsyncIterator[Sequence[Message]]):
    """The messages of a cursor by the batch; may be cancelled while it waits, and asked again."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages

    async def __anext__(self) -> Sequence[Message]:
        return await self._messages.next_block()
