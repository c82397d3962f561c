"""What a node's rooms share: the machines, the store, who waits for what. `Node` builds it, rooms ask it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Sequence

from zmqchat.crypto.signing import IdentityCrypto
from zmqchat.model.addresses import format_address
from zmqchat.model.errors import NodeClosed, NotStored, TooManyRooms, WrongProcess
from zmqchat.model.ids import MessageId, PeerId, RoomId, peer_short
from zmqchat.model.text import clean_name
from zmqchat.node import forks
from zmqchat.node.readposition import ReadPositions
from zmqchat.node.room import Room
from zmqchat.node.runner import Runner
from zmqchat.node.sending import ReceiptWaiters, StoredMarks
from zmqchat.node.tail import HotBytes, Row, Tail
from zmqchat.node.values import Member, Peer, Receipts
from zmqchat.protocol.assembly import Machines
from zmqchat.protocol.data_effects import OwnFailed, OwnStored, ReceiptsChanged
from zmqchat.protocol.effects import Deliver, PutRow
from zmqchat.store.store import MessageStore

TASKS_END_S = 0.2
"""How long a stop waits for a source that does not heed its cancellation."""


class Core:
    """The inside of a running node."""

    def __init__(
        self,
        me: PeerId,
        machines: Machines,
        runner: Runner,
        store: MessageStore,
        crypto: IdentityCrypto,
        home: str,
        name: str,
    ) -> None:
        self.me = me
        self.name = name
        self.machines = machines
        self.data = machines.data
        self.runner = runner
        self.store = store
        self.crypto = crypto
        self.closed = False
        self._accepts = True
        self.marks = StoredMarks()
        self.receipt_waiters = ReceiptWaiters()
        self.read_positions = ReadPositions(self.write_rows, runner.feed)
        self.rooms: dict[RoomId, Room] = {}
        self._hot = HotBytes()
        self._home = home
        self._loop = asyncio.get_running_loop()
        self._last_posted: dict[RoomId, MessageId] = {}
        self.generation = forks.generation()
        self._tasks: set[asyncio.Task[None]] = set()
        self._room_waiters: list[asyncio.Future[None]] = []

    def check_open(self) -> None:
        """Raise NodeClosed after the end, WrongProcess in a forked child."""
        if forks.generation() != self.generation:
            raise WrongProcess("this node belongs to the parent process: make a Node of its own here")
        if self.closed:
            raise NodeClosed("the node is stopped")

    # What the machines tell ------------------------------------------------------------------------

    def deliver(self, effect: Deliver) -> None:
        """A row became deliverable: cursors of its room go on."""
        room = self.rooms.get(effect.arrival.room)
        if room is not None:
            room.tail.append(Row(effect.arrival, effect.raw))

    def own_stored(self, effect: OwnStored) -> None:
        """Own messages are durable."""
        self.marks.stored(effect)
        self._wake_room_waiters()
        self.receipt_waiters.changed(effect.room)

    def own_failed(self, effect: OwnFailed) -> None:
        """Own messages were given up."""
        self.marks.failed(effect, self._home)
        self._wake_room_waiters()

    def receipts_changed(self, effect: ReceiptsChanged) -> None:
        """Others have more of our messages."""
        self.receipt_waiters.changed(effect.room)

    def accept_no_more(self) -> None:
        """The node is about to stop: what was accepted is made durable, nothing is added to it."""
        self._accepts = False
        self._wake_room_waiters()

    def close(self) -> None:
        """Nobody waits any longer."""
        self.closed = True
        error = NodeClosed("the node is stopped")
        self.marks.fail_all(error)
        self.receipt_waiters.fail_all(error)
        self._wake_room_waiters()
        for room in self.rooms.values():
            room.tail.wake()
        for task in self._tasks:
            task.cancel()

    def on_loop(self, function: Callable[..., None], *arguments: object) -> None:
        """Call this on the node's loop: at once there, soon from another thread (`zmqchat.sync`)."""
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            function(*arguments)
        else:
            self.check_open()
            self._loop.call_soon_threadsafe(function, *arguments)

    def start_task(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        """A task that ends with the node at the latest."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def tasks_ended(self) -> None:
        """Wait a little for the tasks that `close` cancelled."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=TASKS_END_S)

    # Sending -----------------------------------------------------------------------------------------

    def post(self, room: RoomId, kind: int, bodies: Sequence[object]) -> list[MessageId]:
        """Accept events of ours; their ids at once."""
        self._check_accepts()
        if not self.data.membership.is_in(room):
            raise NotStored(f"this node is not in the room {self.rooms[room].name!r}: join it again to send there")
        if not self.data.publishing.has_room(room):
            raise NotStored("too much waits for the disk in this room: await `send` or `wait_for_room` first")
        messages = self.data.publishing.post(room, kind, bodies, self.runner.now())
        self.runner.settle_soon()
        if messages:
            self.marks.posted(room, messages)
            self._last_posted[room] = messages[-1]
        return messages

    def is_pending(self, room: RoomId) -> bool:
        """Whether anything of ours in the room is not durable yet."""
        return self.data.publishing.is_pending(room)

    def outcome(self) -> asyncio.Future[None]:
        """Done when something of ours has become durable or was given up, or the node stops."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._room_waiters.append(waiter)
        return waiter

    def last_posted(self) -> list[tuple[RoomId, MessageId]]:
        """The newest message of each room that this run has sent to."""
        return list(self._last_posted.items())

    def _check_accepts(self) -> None:
        self.check_open()
        if not self._accepts:
            raise NodeClosed("the node is being stopped")

    def may_send(self, room: RoomId) -> bool:
        """Whether the room takes more at once; else `wait_for_room` waits for that, or says why never."""
        return (
            self._accepts
            and not self.closed
            and self.data.publishing.has_room(room)
            and not self.data.own_log.is_in_doubt
        )

    async def wait_for_room(self, room: RoomId) -> None:
        """Wait while too much of the room waits for the disk, or for peers to tell of our own log."""
        self._check_accepts()
        while not self.data.publishing.has_room(room):
            await self.outcome()
            self._check_accepts()
        if (doubt_s := self.data.own_log.doubt_s(self.runner.now())) > 0:
            await asyncio.sleep(min(doubt_s, 0.05))
            await self.wait_for_room(room)

    def _wake_room_waiters(self) -> None:
        waiters, self._room_waiters = self._room_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def has_reached(self, room: RoomId, message: MessageId, until: str, copies: int) -> bool:
        """Whether an own message is held, delivered or read."""
        state = self.data.receipts.state(room, message.log, message.number)
        if until == "held":
            return len(state.held) >= copies
        if until == "delivered":
            return not state.pending and bool(state.delivered)
        live = {*state.delivered, *state.pending}
        return bool(state.read) and live <= set(state.read)

    def reached_below(self, room: RoomId, message: MessageId, end: int, until: str, copies: int) -> int:
        """Of own messages with numbers from this one to `end`: below which all are where `until` wants them."""
        stored, receipts = self.marks.stored_below(room, message), self.data.receipts
        if until == "held":
            return min(stored, receipts.held_below(room, message.log, copies, message.number))
        if until == "delivered":
            return min(stored, receipts.delivered_below(room, message.log, message.number, end))
        if until == "read":
            return min(stored, receipts.read_below(room, message.log, message.number, end))
        return stored

    def receipts_of(self, room: RoomId, message: MessageId) -> Receipts:
        """Who has an own message, as peers."""
        state = self.data.receipts.state(room, message.log, message.number)
        inside = tuple(peer for peer in state.held if not self.data.is_outside(room, peer))
        return Receipts(
            tuple(self.peer(peer, room) for peer in inside),
            tuple(self.peer(peer, room) for peer in state.pending),
            tuple(self.peer(peer, room) for peer in state.read),
            tuple(self.peer(peer, room) for peer in state.held if peer not in inside),
        )

    async def linger(self, timeout_s: float) -> bool:
        """Wait until another node holds all that this run has sent; False after timeout_s."""
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        for room, message in self.last_posted():
            is_held = functools.partial(self.has_reached, room, message, "held", 1)
            if is_held():
                continue
            left_s = deadline_s - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(self.receipt_waiters.wait(room, is_held), max(0.0, left_s))
            except asyncio.TimeoutError:
                return False
        return True

    # People --------------------------------------------------------------------------------------------

    def author_at(self, room: RoomId, author: PeerId, hlc: int | None) -> Peer:
        """An author under the name of that time."""
        member = self.data.membership.book(room)[author]
        name = member.name if hlc is None else member.name_at(hlc)
        return Peer(author, clean_name(name or "", peer_short(author)), author == self.me or self.is_online(author))

    def is_online(self, peer: PeerId) -> bool:
        """Whether a peer is in touch."""
        return self.machines.presence.is_online(peer)

    def peer(self, peer: PeerId, room: RoomId | None = None) -> Peer:
        """A peer as it is known now; its name as `name_of` gives it."""
        target = self.machines.peers.book.of(peer)
        link = self.machines.peers.links.get(peer)
        endpoint = link.endpoint if link is not None else target.endpoints[0] if target and target.endpoints else None
        linked = self.machines.peers.is_linked(peer)
        return Peer(
            id=peer,
            name=self.name_of(peer, room),
            online=self.is_online(peer),
            address=None if endpoint is None else format_address(endpoint.host, endpoint.door),
            found_by=None if target is None else target.found_by,
            rtt_s=self.machines.presence.rtt_s(peer) if linked else None,
            clock_difference_s=self.machines.presence.clock_difference_s(peer),
            last_error="" if target is None else target.last_error,
        )

    def name_of(self, peer: PeerId, room: RoomId | None = None) -> str:
        """A peer's present name: the newest that it told in this room or one of ours; its short id where there is none.

        A rename is told in the rooms that the peer is in then, so one that it had left keeps an older name.
        """
        rooms = self.data.ledger.joined_rooms() if room is None else [room, *self.data.ledger.joined_rooms()]
        known = (self.data.membership.book(place)[peer].names for place in rooms)
        newest = max((names[-1] for names in known if names), default=None)
        return clean_name("" if newest is None else newest.name, peer_short(peer))

    def members(self, room: RoomId) -> list[Member]:
        """Who is in a room."""
        return [
            Member(peer, self.name_of(peer, room), peer == self.me or self.is_online(peer))
            for peer in self.data.membership.book(room).members()
        ]

    def peers_in(self, room: RoomId) -> list[Peer]:
        """Linked peers that are in a room."""
        return [self.peer(peer, room) for peer in self.data.interests.members_in(room)]

    def open_room(self, room: RoomId, name: str) -> Room:
        """The room's object, made at the first call."""
        known = self.rooms.get(room)
        if known is None:
            next_number = self.data.ledger.room(room).next_arrival
            known = self.rooms[room] = Room(self, room, name, Tail(next_number, self._hot))
        return known

    async def wait_to_join(self, room: RoomId, name: str) -> None:
        """Wait for rooms that are being left, where one more needs their place. Raises TooManyRooms."""
        membership = self.data.membership
        while not membership.may_join(room):
            if not membership.is_leaving:
                raise TooManyRooms(name, len(self.data.ledger.joined_rooms()))
            await self.outcome()
            self._check_accepts()

    def write_rows(self, rows: tuple[PutRow, ...]) -> None:
        """Keep rows of the small tables; what becomes of them is not waited for."""
        self.store.submit(next(self.machines.tokens), rows)
