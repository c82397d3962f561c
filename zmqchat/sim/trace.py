"""The trace of a run: one line for each fact that goes into a node and each effect that comes out.

    12.345678  node3  > FrameReceived peer=node1 inbound=True | Push node1/a[2,3) 'text 7'
    12.345678  node3  < Store token=9 writes=(node1/a[2,3) 'text 7' arrival 4 node1/a[2,3) frontier node1/a)

Timers that are set, pings and their answers are left out: they are most of what happens and tell the least. What a
filter names is kept: a node by its number, a room by its name, a message by a part of its text or by its id.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zmqchat.history.batch import BatchHeader, peek
from zmqchat.model.ids import MessageId, RoomId, parse_message_id
from zmqchat.protocol.effects import Effect, SetTimer
from zmqchat.protocol.facts import Fact
from zmqchat.sim.describe import Describer, batches_of, frame_of
from zmqchat.sim.world import World
from zmqchat.wire.frames import Ping, Pong


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceFilter:
    """What is kept; None for anything."""

    node: int | None = None
    room: str | None = None
    message: str | None = None


class MessageSearch:
    """Finds the one message that a text or an id means: the first that a batch brings along."""

    def __init__(self, world: World, wanted: str) -> None:
        self._world = world
        self._wanted = wanted
        self.found: MessageId | None = parse_message_id(wanted)

    def look(self, what: Fact | Effect) -> MessageId | None:
        """The message, once anything has carried it."""
        if self.found is None:
            for raw in batches_of(what):
                for said in self._world.texts.of(raw):
                    if self._wanted in said.text:
                        self.found = said.message
                        return self.found
        return self.found


class Trace:
    """A sink that writes lines; it joins a world when that is there, and is silent before."""

    def __init__(self, write: Callable[[str], object], only: TraceFilter | None = None) -> None:
        self._write = write
        self._only = only or TraceFilter()
        self._describer: Describer | None = None
        self._search: MessageSearch | None = None
        self._room: RoomId | None = None
        self._room_name = self._only.room

    def join(self, world: World) -> None:
        """From now on, tell of what happens in this world."""
        self._describer = Describer(world)
        if self._only.message is not None:
            self._search = MessageSearch(world, self._only.message)
        if self._room_name is not None:
            self._room = world.room(self._room_name)

    def at(self, now_s: float, node: int, what: Fact | Effect) -> None:
        """Write a line, if this is among what is wanted."""
        describer = self._describer
        if describer is None or isinstance(what, SetTimer) or not self._is_wanted(describer, node, what):
            return
        way = ">" if isinstance(what, Fact) else "<"
        self._write(f"{now_s:12.6f}  node{node:<3} {way} {describer.line(what)}")

    def _is_wanted(self, describer: Describer, node: int, what: Fact | Effect) -> bool:
        if self._search is not None:
            message = self._search.look(what)
            if message is None or not describer.mentions(what, message):
                return False
        if self._only.node is not None and node != self._only.node:
            return False
        if self._room is not None and not _names_room(what, self._room):
            return False
        return not isinstance(frame_of(what), (Ping, Pong))


def _room_of(raw: bytes) -> RoomId | None:
    header = peek(raw)
    return header.room if isinstance(header, BatchHeader) else None


def _names_room(what: Fact | Effect, room: RoomId) -> bool:
    frame = frame_of(what)
    if room in (getattr(what, "room", None), getattr(frame, "room", None)):
        return True
    arrival = getattr(what, "arrival", None)
    if arrival is not None:
        return bool(arrival.room == room)
    rooms = getattr(frame, "rooms", ())
    writes = [getattr(write, "room", None) for write in getattr(what, "writes", ())]
    return room in rooms or room in writes or any(_room_of(raw) == room for raw in batches_of(what))
