"""A room as programs use it: send, read on, look back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING

from zmqchat.model.arguments import check_source, seconds_checked, text_checked, whole_number_checked
from zmqchat.model.errors import BadCursor, CursorLost, DeliveryTimeout, MessageTooLarge, NotStored, UsageError
from zmqchat.model.events import Kind
from zmqchat.model.ids import LogKey, MessageId, PeerId, RoomId
from zmqchat.model.limits import CONTENT_TYPE_BYTES_MAX, EVENT_BYTES_MAX
from zmqchat.node.bulk import Sends
from zmqchat.node.cursor import Messages
from zmqchat.node.history import load_history
from zmqchat.node.message import Message, event_at
from zmqchat.node.sending import UNTIL, Posting, Sent
from zmqchat.node.sendqueue import SendQueue
from zmqchat.node.tail import Row, Tail
from zmqchat.node.values import Member, Peer, Receipts
from zmqchat.protocol.publishing import check_text
from zmqchat.wire.events import check_app_value

if TYPE_CHECKING:
    from zmqchat.node.core import Core

UNREAD_ARRIVALS_MAX = 1_000
"""Counting reads at most four pages of the store."""


class Room:
    """One room of a node; `node.join(name)` gives it. Its methods run on the node's event loop."""

    def __init__(self, core: Core, room: RoomId, name: str, tail: Tail) -> None:
        self._core = core
        self.id = room
        self.name = name
        self.tail = tail
        self._queue = SendQueue(core, room)

    # Sending -------------------------------------------------------------------------------------

    def post(self, text: str) -> Posting:
        """Accept a text and return at once; awaiting the result gives its Sent once it is durable here.

        Raises BadText, MessageTooLarge, or NotStored where too much waits for the disk already or the room was left.
        """
        return Posting(self, self._core.post(self.id, Kind.TEXT, [text])[0])

    def post_many(self, texts: Sequence[str]) -> list[MessageId]:
        """Accept many texts at once; their ids, in order. Raises as `post` does, and then accepts none."""
        check_source("texts", texts)
        return self._core.post(self.id, Kind.TEXT, texts)

    async def send(self, text: str, until: str = "stored", timeout: float | None = None, *, copies: int = 1) -> Sent:
        """Send a text and wait until it is `stored` here, `held` by `copies` others, `delivered` or `read`.

        timeout in seconds, None for as long as it takes; counted from when it is durable here.
        Raises BadText, MessageTooLarge, StoreFull, NotStored (the room was left), or DeliveryTimeout (it stays sent).
        """
        if until != "stored" or timeout is not None or copies != 1:
            _check_wait(until, timeout, copies)
        check_text(text)
        if not self._queue.is_open:
            await self.wait_for_room()
        message = await self._queue.add(text)
        if until == "stored":
            return Sent(self, message)
        return await self.wait(message, until, timeout, copies=copies)

    def send_all(
        self,
        source: Iterable[str] | AsyncIterable[str],
        until: str = "stored",
        timeout: float | None = None,
        *,
        copies: int = 1,
    ) -> Sends:
        """Send every text of an iterable through a bounded window; `async for` gives each Sent in order.

        A plain iterable runs on the event loop: give an asynchronous one where the next text may take long. An error
        of the source, or a text that can't be sent, is raised once all before it are given. Waiting for the next may
        be cancelled and repeated; each text that was taken from the source is sent.
        """
        _check_wait(until, timeout, copies)
        check_source("the source", source)
        self._core.check_open()
        return Sends(self, source, until, timeout, copies)

    async def send_app(
        self,
        content_type: str,
        value: object,
        until: str = "stored",
        timeout: float | None = None,
        *,
        copies: int = 1,
    ) -> Sent:
        """Send an application's own payload: any MessagePack value under a content type.

        Raises UsageError for what can't be packed, MessageTooLarge over 65 KiB.
        """
        _check_wait(until, timeout, copies)
        if (
            not text_checked("content_type", content_type)
            or len(content_type.encode(errors="replace")) > CONTENT_TYPE_BYTES_MAX
        ):
            raise UsageError(f"a content type has 1 to {CONTENT_TYPE_BYTES_MAX} bytes")
        try:
            body = check_app_value(content_type, value)
        except OverflowError as error:
            raise MessageTooLarge(EVENT_BYTES_MAX + 1, EVENT_BYTES_MAX) from error
        except ValueError as error:
            raise UsageError(str(error)) from error
        await self.wait_for_room()
        message = self._core.post(self.id, Kind.APP, [body])[0]
        return await self.wait(message, until, timeout, copies=copies)

    async def stored(self, message: MessageId) -> Sent:
        """Wait until this own message is durable here. Raises NotStored or StoreFull where it was given up."""
        marks = self._core.marks
        self._core.check_open()
        if message.author != self._core.me:
            raise UsageError("only this node's own messages can be waited for")
        if not marks.is_known(self.id, message):
            await self._look_up(message)
        elif not marks.is_stored(self.id, message):
            await marks.wait(self.id, message)
        return Sent(self, message)

    async def _look_up(self, message: MessageId) -> None:
        """The same for a message of an earlier run, or one whose number was given up: its digest tells."""
        core = self._core
        while core.is_pending(self.id) and not core.marks.is_stored(self.id, message):
            await core.outcome()
            core.check_open()
        for raw in await asyncio.wrap_future(core.store.read(lambda: core.store.find_batch(self.id, message))):
            event = event_at(raw, message.number)
            if event is not None and core.crypto.event_digest(event)[:8] == message.digest8:
                return
        raise core.marks.why_given_up(self.id, message) or NotStored(
            "this message is not in the store: it was never sent here, or given up; send it again"
        )

    async def wait(
        self,
        message: MessageId | Posting | Sent,
        until: str = "delivered",
        timeout: float | None = None,
        *,
        copies: int = 1,
    ) -> Sent:
        """Wait until one of this node's own messages has got there; as `send`, for a message posted before.

        message  its id, or what `post` or `send` gave
        """
        _check_wait(until, timeout, copies)
        if isinstance(message, Posting | Sent):
            message = message.id
        if not isinstance(message, MessageId):
            raise UsageError(f"message must be a message's id, or what `post` or `send` gave, not {message!r}")
        sent = await self.stored(message)
        if until == "stored" or self.has_reached(message, until, copies):
            return sent
        changed = self._core.receipt_waiters.wait(self.id, lambda: self.has_reached(message, until, copies))
        try:
            await asyncio.wait_for(changed, timeout)
        except asyncio.TimeoutError:  # the builtin TimeoutError only from Python 3.11 on
            raise self.late(message, until, timeout or 0.0) from None
        return sent

    def late(self, message: MessageId, until: str, timeout_s: float) -> DeliveryTimeout:
        """The error for an own message that has not got there within timeout_s: who has it, and who has not."""
        receipts = self.receipts_of(message)
        has = receipts.read if until == "read" else receipts.delivered
        ids = {peer.id for peer in has}
        pending = [peer for peer in (*receipts.delivered, *receipts.pending) if peer.id not in ids]
        return DeliveryTimeout(message, until, timeout_s, has, pending)

    def receipts_changed(self) -> asyncio.Future[None]:
        """Done when others have more of this node's own messages, or some became durable; NodeClosed at the end."""
        return self._core.receipt_waiters.wait(self.id, lambda: True)

    @property
    def failures(self) -> int:
        """How often own messages of this room were given up in this run."""
        return self._core.marks.failures(self.id)

    def was_given_up_since(self, message: MessageId, failures: int) -> bool:
        """Whether an own message was given up after `failures` was so many."""
        return self._core.marks.was_given_up_since(self.id, message, failures)

    def reached_below(self, message: MessageId, end: int, until: str, copies: int) -> int:
        """Of own messages posted with numbers from this one to `end`: below which all are where `until` wants them."""
        return self._core.reached_below(self.id, message, end, until, copies)

    def has_reached(self, message: MessageId, until: str, copies: int = 1) -> bool:
        """Whether an own message is where `until` wants it now."""
        if until == "stored":
            marks = self._core.marks
            return marks.is_stored(self.id, message) and marks.is_known(self.id, message)
        return self._core.has_reached(self.id, message, until, copies)

    def receipts_of(self, message: MessageId) -> Receipts:
        """Who has one of this node's own messages."""
        return self._core.receipts_of(self.id, message)

    def check_open(self) -> None:
        """Raise NodeClosed after the node's end, WrongProcess in a forked child."""
        self._core.check_open()

    def start_task(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        """A task that ends with the node at the latest."""
        return self._core.start_task(work, name)

    async def wait_for_room(self) -> None:
        """Wait while too much of this room waits for the disk."""
        await self._core.wait_for_room(self.id)

    # Reading -------------------------------------------------------------------------------------

    def messages(self, after: str | None = "read") -> Messages:
        """A cursor over what arrives: `async for message in room.messages(...)`.

        after   None: only what arrives from now on; "read": from this home's read position, which it
                moves; "start": everything; or the `.cursor` of a message or gap
        Raises BadCursor, or CursorLost for a cursor of another store.
        """
        self._core.check_open()
        if after is None:
            return Messages(self, self.tail.next_number, moves_read_position=False, skip_read=False)
        if after == "start":
            return Messages(self, 1, moves_read_position=False, skip_read=False)
        if after == "read":
            start = self._core.read_positions.start(self.id)
            return Messages(self, start, moves_read_position=True, skip_read=True)
        return Messages(self, self._parse_cursor(after), moves_read_position=False, skip_read=False)

    async def history(self, last: int = 50, *, before: Message | None = None) -> list[Message]:
        """The last messages in timeline order, oldest first; the same order on every node.

        before  a message of an earlier page: the page that ends before it
        """
        self._core.check_open()
        if before is not None and not isinstance(before, Message):
            raise UsageError(f"before must be a message, not {before!r}")
        if whole_number_checked("last", last) <= 0:
            return []
        return await load_history(self, self._core.store, self._core.crypto, last, before)

    def mark_read(self, key: LogKey, end: int, arrival_end: int | None = None) -> None:
        """This home has read a log below `end` (a cursor: and all arrivals below that); others are told soon."""
        self._core.on_loop(self._core.read_positions.move, self.id, key, end, arrival_end)

    def mark_late_read(self, number: int) -> None:
        """What filled an old gap as this arrival is read here; the end of its log says nothing of it."""
        self._core.on_loop(self._core.read_positions.move_late, self.id, number)

    def late_read(self) -> list[tuple[int, int]]:
        """The ranges of such arrivals that are read here."""
        return self._core.read_positions.late(self.id)

    def pass_arrivals(self, arrival_end: int) -> None:
        """This home has seen all arrivals below this number, gaps among them."""
        self._core.read_positions.move_start(self.id, arrival_end)

    def read_ends(self) -> dict[LogKey, int]:
        """How far each log is read here."""
        return self._core.read_positions.ends(self.id)

    @property
    def members(self) -> list[Member]:
        """Who is in the room, this node included."""
        return self._core.members(self.id)

    async def count_unread(self) -> int:
        """How many messages of others among the newest 1,000 arrivals are not read here."""
        self._core.check_open()
        start = max(self._core.read_positions.start(self.id), self.tail.next_number - UNREAD_ARRIVALS_MAX)
        return await Messages(self, start, moves_read_position=False, skip_read=True).count_rest(self._core.me)

    # For cursors and messages --------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether the node is stopped."""
        return self._core.closed

    async def load_rows(self, number: int, rows_max: int, bytes_max: int) -> list[Row]:
        """Rows of the store from this arrival number on."""
        store, room = self._core.store, self.id
        rows = await asyncio.wrap_future(store.read(lambda: store.load_arrivals(room, number, rows_max, bytes_max)))
        return [Row(row.arrival, row.raw) for row in rows]

    def node_digest(self, raw: bytes) -> bytes:
        """The digest of a packed event."""
        return self._core.crypto.event_digest(raw)

    def author_at(self, author: PeerId, hlc: int | None) -> Peer:
        """An author under the name of that time; None for the present name."""
        return self._core.author_at(self.id, author, hlc)

    def peers(self) -> list[Peer]:
        """Peers in touch that are in this room: they may hold what is missing."""
        return self._core.peers_in(self.id)

    def cursor_text(self, number: int) -> str:
        """The cursor that resumes at this arrival number."""
        return f"{self._core.store.info.store_id.hex()}-{number}"

    def _parse_cursor(self, text: str) -> int:
        if not isinstance(text, str):
            raise BadCursor(str(text))
        store, dash, number = text.partition("-")
        if not dash or not number.isascii() or not number.isdigit() or len(number) > 19 or len(store) != 32:
            raise BadCursor(text)
        if store != self._core.store.info.store_id.hex() or int(number) > self.tail.next_number:
            raise CursorLost("this cursor belongs to another store: start from 'read' or 'start'")
        return max(1, int(number))

    def __repr__(self) -> str:
        return f"<Room {self.name!r}>"


def _check_wait(until: str, timeout: float | None, copies: int) -> None:
    if until not in UNTIL:
        raise UsageError(f"until must be one of {', '.join(UNTIL)}, not {until!r}")
    seconds_checked("timeout", timeout)
    if whole_number_checked("copies", copies) < 1:
        raise UsageError("copies counts other nodes: at least 1")
