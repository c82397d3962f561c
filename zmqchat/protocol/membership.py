"""Membership: which rooms we are in, who else is, what they are called, and how far they have read.

How it works. Joining an open room, a name and a read position are events in one's own log there, so every
replica folds the same list (history/members). This machine writes ours and folds all:

    JoinRoom   row, topics, RoomJoined; then member(join) and profile are posted
    LeaveRoom  member(leave) is posted; when it is durable and sent: row, topics, RoomLeft, and `parting`
    Rename     row; profile is posted where one was said before
    ReadUpTo   at most one read marker a room and read_marker_s, with the newest ends

The fold of a batch goes into the same commit as the batch: a crash leaves no batch whose member events
were not counted. What was kept for others before we joined is folded with its arrival numbers. Before a text of
ours `publishing` asks for prefaces, so that join and profile stand before it even where an earlier attempt to store
them failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zmqchat.history.clock import hlc_of, wall_ms_of
from zmqchat.history.members import Member, NameBook
from zmqchat.model.config import Config
from zmqchat.model.events import Event, Kind, MemberAction
from zmqchat.model.ids import PEER_ID_BYTES, ROOM_ID_BYTES, LogKey, PeerId, RoomId
from zmqchat.model.limits import ROOMS_MAX, SUMMARY_ENTRIES_MAX
from zmqchat.protocol.data_effects import MemberChanged
from zmqchat.protocol.data_facts import (
    BatchesStored,
    CommitWanted,
    CustodyBegun,
    CustodyEnded,
    OwnGivenUp,
    PartingEnded,
    ReadTold,
    RoomJoined,
    RoomLeft,
)
from zmqchat.protocol.effects import Effect, Notice, SetTimer, SetTopics
from zmqchat.protocol.facts import Fact, Instant, JoinRoom, LeaveRoom, NodeStarted, ReadUpTo, Rename, TimerFired
from zmqchat.protocol.ledger import Group, Ledger
from zmqchat.protocol.machine import Machine
from zmqchat.protocol.publishing import Publishing
from zmqchat.wire.batches import unpack_batch
from zmqchat.wire.events import decode_event, event_kind, read_marker_body

MEMBERS_TABLE = "members"
ROOMS_TABLE = "rooms"
META_TABLE = "meta"
NAME_ROW = b"name"
"""The key in table `meta`."""

MARKER_ENTRIES_MAX = SUMMARY_ENTRIES_MAX // 16
"""Logs in one read marker: about 13 KiB; the rest goes with the next one."""

_FOLDED = frozenset({int(Kind.MEMBER), int(Kind.PROFILE), int(Kind.READ_MARKER)})
_TEXT = int(Kind.TEXT)


@dataclass(slots=True)
class _Marker:
    """How far we have read in a room: what was told, what is to be told, and when something last was."""

    told: dict[LogKey, int] = field(default_factory=dict)
    pending: dict[LogKey, int] = field(default_factory=dict)
    told_s: float = float("-inf")
    timer: bool = False


class Membership(Machine):
    """The machine of rooms and members, and a source of `committing`; emits RoomJoined, RoomLeft and ReadTold."""

    timer = "membership"

    def __init__(self, me: PeerId, name: str, config: Config, ledger: Ledger, publishing: Publishing) -> None:
        super().__init__()
        self._me = me
        self._config = config
        self._ledger = ledger
        self._publishing = publishing
        self._name = name
        self._books: dict[RoomId, NameBook] = {}
        self._said: dict[RoomId, tuple[bool, str | None]] = {}
        self._leaving: dict[RoomId, int] = {}
        self._markers: dict[RoomId, _Marker] = {}
        self._rows: dict[tuple[str, bytes], bytes | None] = {}
        self._rows_under_way: dict[tuple[str, bytes], bytes | None] = {}
        self._before: dict[tuple[RoomId, PeerId], Member] = {}
        self._read: list[Effect | Fact] = []
        self._started_at = 0
        publishing.prefaces = self._due_events
        self.facts = {
            NodeStarted: self._started,
            JoinRoom: self._join,
            LeaveRoom: self._leave,
            Rename: self._rename,
            ReadUpTo: self._read_up_to,
            BatchesStored: self._stored,
            OwnGivenUp: self._given_up,
            CustodyBegun: self._custody_changed,
            CustodyEnded: self._custody_changed,
            PartingEnded: self._parting_ended,
            TimerFired: self._timer_fired,
        }

    def restore(
        self, members: Iterable[tuple[bytes, bytes]], taken_up: Mapping[RoomId, NameBook] | None = None
    ) -> None:
        """Take up the rows of table `members`; damaged ones are left out.

        taken_up   of rooms whose rows others have taken up before: of these `members` has what differs
        """
        for room, same in (taken_up or {}).items():
            self._books[room] = same.copy()
        for key, row in members:
            member = Member.unpack(row)
            if len(key) == ROOM_ID_BYTES + PEER_ID_BYTES and member is not None:
                self.book(RoomId(key[:ROOM_ID_BYTES])).put(PeerId(key[ROOM_ID_BYTES:]), member)

    @property
    def name(self) -> str:
        """Our nickname."""
        return self._name

    def book(self, room: RoomId) -> NameBook:
        """Who is and was in the room, and what they were called when."""
        book = self._books.get(room)
        if book is None:
            book = self._books[room] = NameBook()
        return book

    def left_ms(self, room: RoomId) -> int:
        """When we said last that we join or leave the room, by our wall clock; 0 for never."""
        return wall_ms_of(self.book(room)[self._me].at)

    def is_in(self, room: RoomId) -> bool:
        """Whether we are in the room and mean to stay; from the order to leave on not, stored or not."""
        return self._ledger.is_joined(room) and room not in self._leaving

    def may_join(self, room: RoomId) -> bool:
        """Whether we are in the room or in fewer than a node can be in; a room that we are about to leave counts."""
        return self._ledger.is_joined(room) or len(self._ledger.joined_rooms()) < ROOMS_MAX

    @property
    def is_leaving(self) -> bool:
        """Whether there is a room whose end is not durable yet."""
        return bool(self._leaving)

    # Rooms and names ---------------------------------------------------------------------------

    def _started(self, _fact: NodeStarted, at: Instant) -> None:
        self._started_at = hlc_of(at.wall_ms)
        self.outbox.append(self._topics())
        self.outbox += [RoomJoined(room=room) for room in self._ledger.joined_rooms()]

    def _topics(self) -> SetTopics:
        return SetTopics(rooms=frozenset(self._ledger.shared_rooms()))

    def _custody_changed(self, fact: CustodyBegun | CustodyEnded, _at: Instant) -> None:
        self._rooms_changed(fact.room)

    def _parting_ended(self, fact: PartingEnded, _at: Instant) -> None:
        self._write(ROOMS_TABLE, fact.room, self._ledger.rooms[fact.room].row())

    def _join(self, fact: JoinRoom, at: Instant) -> None:
        self._leaving.pop(fact.room, None)
        entry = self._ledger.room(fact.room)
        if not entry.joined:
            if not self.may_join(fact.room):
                self.outbox.append(Notice(text=f"{ROOMS_MAX} rooms are the most that a node can be in: leave some"))
                return
            entry.joined, entry.latest_first, entry.parting = True, fact.latest_first, False
            entry.name = fact.name
            was_kept, entry.kept, entry.keeping = entry.kept, False, False
            self._rooms_changed(fact.room)
            self.outbox.append(RoomJoined(room=fact.room))
            if was_kept:
                self.outbox.append(CustodyEnded(room=fact.room))
        elif fact.latest_first and not entry.latest_first:
            # A plain join says nothing of it: every command joins the room that it names.
            entry.latest_first = True
            self._write(ROOMS_TABLE, fact.room, entry.row())
        for kind, body in self._due_events(fact.room):
            self._publishing.post(fact.room, kind, (body,), at, after=())

    def _rooms_changed(self, room: RoomId) -> None:
        self._ledger.rooms_changed()
        self._write(ROOMS_TABLE, room, self._ledger.rooms[room].row())
        self.outbox.append(self._topics())

    def _leave(self, fact: LeaveRoom, at: Instant) -> None:
        if self._ledger.is_joined(fact.room) and fact.room not in self._leaving:
            (said,) = self._publishing.post(fact.room, Kind.MEMBER, ([int(MemberAction.LEAVE)],), at, after=())
            self._leaving[fact.room] = said.number
            self._said[fact.room] = (False, self._state_in(fact.room)[1])
            self.outbox.append(CommitWanted())

    def _stored(self, fact: BatchesStored, _at: Instant) -> None:
        for stored in fact.batches:
            number = self._leaving.get(stored.batch.room)
            if stored.peer is None and number is not None and number < stored.batch.end:
                self._left(stored.batch.room)

    def _given_up(self, fact: OwnGivenUp, _at: Instant) -> None:
        if fact.room in self._leaving and not self._publishing.is_pending(fact.room):
            self._left(fact.room)

    def _left(self, room: RoomId) -> None:
        del self._leaving[room]
        self._markers.pop(room, None)
        entry = self._ledger.rooms[room]
        entry.joined, entry.parting = False, True
        self._rooms_changed(room)
        self.outbox.append(RoomLeft(room=room))

    def _rename(self, fact: Rename, at: Instant) -> None:
        if fact.name == self._name:
            return
        self._name = fact.name
        self._write(META_TABLE, NAME_ROW, fact.name.encode())
        for room in self._ledger.joined_rooms():
            if self._state_in(room)[1] is not None:
                for kind, body in self._due_events(room):
                    self._publishing.post(room, kind, (body,), at, after=())

    def _state_in(self, room: RoomId) -> tuple[bool, str | None]:
        """Whether we are in the room and by which name, by what we have said there or are about to."""
        said = self._said.get(room)
        if said is not None and self._publishing.is_pending(room):
            return said
        self._said.pop(room, None)
        own = self.book(room)[self._me]
        return own.is_in, own.name

    def _due_events(self, room: RoomId) -> Sequence[tuple[int, object]]:
        """What has to stand before our next text in this room; whoever asks posts it at once."""
        is_in, name = self._state_in(room)
        due: list[tuple[int, object]] = []
        if not is_in and room not in self._leaving:
            due.append((Kind.MEMBER, [int(MemberAction.JOIN)]))
        if name != self._name:
            due.append((Kind.PROFILE, [self._name]))
        if due:
            self._said[room] = (room not in self._leaving, self._name)
        return due

    def _write(self, table: str, key: bytes, value: bytes | None) -> None:
        self._rows[(table, key)] = value
        self.outbox.append(CommitWanted())

    # Read positions ----------------------------------------------------------------------------

    def _read_up_to(self, fact: ReadUpTo, at: Instant) -> None:
        if not self._ledger.is_joined(fact.room):
            return
        marker = self._markers.setdefault(fact.room, _Marker())
        for key, end in fact.ends.items():
            if key.author != self._me and end > max(marker.told.get(key, 0), marker.pending.get(key, 0)):
                marker.pending[key] = end
        self._tell_read(fact.room, marker, at)

    def _tell_read(self, room: RoomId, marker: _Marker, at: Instant) -> None:
        if not marker.pending or marker.timer:
            return
        due_s = marker.told_s + self._config.read_marker_s
        if at.now_s < due_s:
            marker.timer = True
            self.outbox.append(SetTimer(name=(self.timer, room), at_s=due_s))
            return
        ends = dict(list(marker.pending.items())[:MARKER_ENTRIES_MAX])
        marker.pending = {key: end for key, end in marker.pending.items() if key not in ends}
        marker.told.update(ends)
        marker.told_s = at.now_s
        self._publishing.post(room, Kind.READ_MARKER, (read_marker_body(ends.items()),), at, after=())
        self.outbox.append(CommitWanted())
        self._tell_read(room, marker, at)

    def _timer_fired(self, fact: TimerFired, at: Instant) -> None:
        room = fact.name[1]
        marker = self._markers.get(room)  # type: ignore[call-overload]  # our own timers carry a RoomId
        if marker is not None:
            marker.timer = False
            self._tell_read(room, marker, at)  # type: ignore[arg-type]  # see above

    # Folding -----------------------------------------------------------------------------------

    def contribute(self, group: Group, _at: Instant) -> None:
        """Fold the group's member events, and write what changed with it."""
        self._rows_under_way, self._rows = self._rows, {}
        for (table, key), value in self._rows_under_way.items():
            group.put_row(table, key, value)
        for stored in group.stored:
            batch = stored.batch
            if self._ledger.is_joined(batch.room):
                self._fold_all(batch.room, batch.author, batch.events)
        new = {id(stored.batch.raw) for stored in group.stored}
        for deliver in group.delivers:
            raw, arrival = deliver.raw, deliver.arrival
            if raw is not None and id(raw) not in new and isinstance(parts := unpack_batch(raw), tuple):
                self._fold_all(arrival.room, arrival.key.author, parts[1])
        for room, author in self._before:
            group.put_row(MEMBERS_TABLE, room + author, self.book(room)[author].pack())

    def _fold_all(self, room: RoomId, author: PeerId, events: Sequence[bytes]) -> None:
        for raw in _bookkeeping(events):
            event = decode_event(raw)
            if isinstance(event, Event):
                self._fold(room, author, event)

    def _fold(self, room: RoomId, author: PeerId, event: Event) -> None:
        body: Any = event.body  # decode_event has checked it by its kind
        book = self.book(room)
        before = book[author]
        if event.kind == Kind.READ_MARKER:
            for end in body:
                if end.author == self._me:
                    self._read.append(ReadTold(peer=author, room=room, log=end.log, end=end.end))
            return
        value = body[0]
        if event.kind == Kind.MEMBER:
            changed = book.note_action(author, value, event.hlc)
        else:
            changed = book.note_name(author, value, event.hlc)
        if changed:
            self._before.setdefault((room, author), before)

    def committed(self, group: Group, _at: Instant) -> list[Effect | Fact]:
        """The fold is durable: faces hear of what changed."""
        live = {
            (deliver.arrival.room, deliver.arrival.key.author) for deliver in group.delivers if deliver.arrival.live
        }
        # News too is what was said since we run and came by another way: who joined before it met us.
        batches = (stored.batch for stored in group.stored)
        live |= {(batch.room, batch.author) for batch in batches if batch.sealed_at > self._started_at}
        out: list[Effect | Fact] = []
        for (room, author), before in self._before.items():
            after = self.book(room)[author]
            if (after.is_in, after.name) != (before.is_in, before.name):
                out.append(
                    MemberChanged(
                        room=room,
                        peer=author,
                        joined=after.is_in,
                        was_in=before.is_in,
                        name=after.name,
                        live=(room, author) in live,
                    )
                )
        out += self._read
        self._clear()
        return out

    def failed(self, _group: Group, _full: bool, _detail: str, _at: Instant) -> list[Effect | Fact]:
        """The fold is as it was; rows wait for the next commit; a room is left without a word if need be."""
        for (room, author), before in self._before.items():
            self.book(room).put(author, before)
        self._rows = {**self._rows_under_way, **self._rows}
        self._clear()
        for room in [room for room in self._leaving if not self._publishing.is_pending(room)]:
            self._left(room)
        # Rows alone don't ask for another try: a full disk would be tried without end.
        out = [item for item in self.outbox if not isinstance(item, CommitWanted)]
        self.outbox = []
        return out

    def _clear(self) -> None:
        self._before = {}
        self._rows_under_way = {}
        self._read = []


def _bookkeeping(events: Sequence[bytes]) -> list[bytes]:
    """The events that are folded; a batch of texts in our own encoder's form costs 0.1 µs an event."""
    try:
        odd = [raw for raw in events if raw[28] != _TEXT or raw[19] != 0xCF or raw[0] != 0x95]
    except IndexError:
        odd = list(events)
    return [raw for raw in odd if event_kind(raw) in _FOLDED]
