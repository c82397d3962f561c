"""The simulated network: direct links and feeds between processes, as the real transport gives them.

How it works. A connection is two ways, each in order as TCP is, between a dialler and a listener. An end that
is closed sends and hears nothing more; what it sent before still arrives, and then the other end learns that
it is closed. What can't pass (`conditions`) waits in the connection: it arrives after the network is mended,
unless the kernels have given the connection up by then (BREAK_S), which both ends are told. A node whose line in
is thin gets its frames one after the other; what waits for it is lost with the connection, as with LINGER 0.

    dial --reached, process there, admitted--> open at both ends --close--> closed at one --arrives--> closed
      |-- nobody listens: "refused"   not admitted: "denied"   no way, no answer: "timeout" after CONNECT_S
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Final

from zmqchat.model.ids import PeerId, RoomId
from zmqchat.model.limits import FEED_TOPICS_PER_PEER_MAX
from zmqchat.protocol.effects import OpenDirect, OpenFeed, Send
from zmqchat.protocol.facts import (
    DirectClosed,
    DirectOpened,
    FeedClosed,
    FeedOpened,
    FeedReceived,
    FrameReceived,
    InboundClosed,
    LinkBlocked,
    PeerSubscribed,
)
from zmqchat.sim.conditions import Conditions
from zmqchat.sim.doors import Doors
from zmqchat.sim.routes import HANDSHAKE_LATENCIES, HEADER_BYTES, Routes
from zmqchat.wire.frames import Page, type_byte

if TYPE_CHECKING:
    from zmqchat.sim.process import Process
    from zmqchat.sim.schedule import Schedule

BREAK_S: Final = (10.0, 15.0)
"""When the kernels give up a connection over which nothing passes, (least, most)."""

QUEUE_FRAMES_MAX: Final = 1_000
"""Frames of one way of a connection that have not arrived: further ones are dropped, as at the high-water mark."""

_PAGE: Final = bytes([type_byte(Page)])


class Way:
    """One direction of a connection.

    free_at_s  when the last frame on it arrives: none overtakes it
    held       what can't pass at the moment, in order
    """

    __slots__ = ("free_at_s", "held", "under_way")

    def __init__(self) -> None:
        self.free_at_s = 0.0
        self.under_way = 0
        self.held: list[tuple[RoomId | None, bytes]] = []


_Arrival = tuple["Connection", bool, Way, "RoomId | None", bytes]
"""A frame at the end of its way: the connection, whether it goes forth, the way, the room of a feed, the payload."""


class Connection:
    """A DEALER or SUB of `dialler` at the ROUTER or XPUB of `listener`.

    known         a frame has come over it, so the listener knows whose it is
    rooms         what a SUB has subscribed to, as the listener knows it
    """

    __slots__ = ("back", "dialler", "dialler_open", "forth", "is_feed", "known", "latency_s", "listener",
                 "listener_open", "rooms")  # fmt: skip

    def __init__(self, dialler: Process, listener: Process, is_feed: bool, latency_s: float) -> None:
        self.dialler = dialler
        self.listener = listener
        self.is_feed = is_feed
        self.latency_s = latency_s
        self.dialler_open = True
        self.listener_open = True
        self.known = False
        self.rooms: dict[RoomId, None] = {}
        self.forth = Way()
        self.back = Way()


class Network:
    """All connections; processes call it with the effects of their machines.

    tap   told of each frame that comes to a node by a direct link; None where nobody wants to know
    """

    def __init__(self, schedule: Schedule, conditions: Conditions, rng: Random) -> None:
        self.conditions = conditions
        self.routes = Routes(conditions, rng)
        self.doors = Doors(schedule, self.routes)
        self._schedule = schedule
        self._rng = rng
        self._numbers = itertools.count(1)
        self.sent_history_bytes: dict[int, int] = {}  # by node, in pages
        self._uplink_free_s: dict[int, float] = {}
        self._lines_in: dict[int, deque[_Arrival]] = {}
        self.tap: Callable[[int, bytes], None] | None = None

    def gone(self, process: Process, *, silent: bool) -> None:
        """The process is no more; silent where its machine is off, so that nobody hears of it."""
        self.routes.gone(process, silent=silent)
        self.doors.gone(process)
        for connection in [*process.directs.values(), *process.feeds.values(), *process.accepted]:
            if not silent:
                self.close(connection, process)
            else:
                self._shut_end(connection, process)
                self._schedule.after(self._break_s(), self._give_up, connection)

    # Opening connections -----------------------------------------------------------------------------

    def open_direct(self, dialler: Process, effect: OpenDirect) -> None:
        """Dial a peer's direct socket, in place of an older dial."""
        self.close(dialler.directs.pop(effect.peer, None), dialler)
        attempt = dialler.dialling_directs[effect.peer] = next(self._numbers)
        self._dial(dialler, effect, effect.endpoint.direct, attempt, self._direct_shaken)

    def _direct_shaken(
        self, dialler: Process, listener: Process | None, peer: PeerId, attempt: int, reason: str
    ) -> None:
        if dialler.dialling_directs.get(peer) != attempt:
            return
        del dialler.dialling_directs[peer]
        failure = self._shaken(dialler, listener, peer, reason)
        if failure or listener is None:
            dialler.feed(DirectClosed(peer=peer, reason=failure))
            return
        dialler.directs[peer] = self._connect(dialler, listener, is_feed=False)
        dialler.feed(DirectOpened(peer=peer))

    def open_feed(self, dialler: Process, effect: OpenFeed) -> None:
        """Dial a peer's feed, in place of an older dial."""
        self.close(dialler.feeds.pop(effect.peer, None), dialler)
        attempt = dialler.dialling_feeds[effect.peer] = next(self._numbers)
        self._dial(dialler, effect, effect.endpoint.feed, attempt, self._feed_shaken)

    def _feed_shaken(self, dialler: Process, listener: Process | None, peer: PeerId, attempt: int, reason: str) -> None:
        if dialler.dialling_feeds.get(peer) != attempt:
            return
        del dialler.dialling_feeds[peer]
        failure = self._shaken(dialler, listener, peer, reason)
        if failure or listener is None:
            dialler.feed(FeedClosed(peer=peer, reason=failure))
            return
        connection = dialler.feeds[peer] = self._connect(dialler, listener, is_feed=True)
        listener.subscribers[connection] = None
        dialler.feed(FeedOpened(peer=peer))
        self.subscribe(connection, frozenset(), dialler.topics)

    def _dial(
        self,
        dialler: Process,
        effect: OpenDirect | OpenFeed,
        port: int,
        attempt: int,
        shaken: Callable[[Process, Process | None, PeerId, int, str], None],
    ) -> None:
        """Let the handshake end, well or not, after the time that it takes."""
        listener, reason = self.routes.reach(dialler, effect.endpoint, port)
        delay_s = self.routes.failure_s(reason)
        if listener is not None:
            delay_s = self.routes.delay_s(dialler, listener, 0, HANDSHAKE_LATENCIES)
        self._schedule.after(delay_s, shaken, dialler, listener, effect.peer, attempt, reason)

    def _connect(self, dialler: Process, listener: Process, *, is_feed: bool) -> Connection:
        latency_s = self.conditions.draw_latency_s(dialler.number, listener.number)
        connection = Connection(dialler, listener, is_feed, latency_s)
        listener.accepted[connection] = None
        return connection

    def _shaken(self, dialler: Process, listener: Process | None, peer: PeerId, reason: str) -> str:
        """Why a dial comes to nothing; "" where it is let in."""
        if listener is None:
            return reason
        if not listener.alive:
            return "refused"
        if not self.routes.both_pass(dialler.number, listener.number):
            return "timeout"
        return "" if listener.peer == peer and dialler.peer in listener.admitted else "denied"

    # Frames ------------------------------------------------------------------------------------------

    def send(self, sender: Process, effect: Send) -> None:
        """Over our DEALER, or back over the peer's; dropped where there is none."""
        connection = (sender.directs if effect.outbound else sender.inbound).get(effect.peer)
        if connection is not None and not self._put(connection, effect.outbound, None, effect.payload):
            self._schedule.after(0.0, sender.feed, LinkBlocked(peer=effect.peer))

    def publish(self, sender: Process, room: RoomId, payload: bytes) -> None:
        """To all who subscribed to the room."""
        rng = self._rng
        for connection in sender.subscribers:
            if room in connection.rooms:
                quality = self.conditions.between(sender.number, connection.dialler.number)
                if quality.feed_loss and rng.random() < quality.feed_loss:
                    continue
                self._put(connection, False, room, payload)
                if quality.feed_double and rng.random() < quality.feed_double:
                    self._put(connection, False, room, payload)

    def subscribe(self, connection: Connection, before: frozenset[RoomId], after: frozenset[RoomId]) -> None:
        """A SUB's topics have changed: the feed's owner is told."""
        for room in sorted(before - after):
            self._put(connection, True, room, b"\0")
        for room in sorted(after - before)[:FEED_TOPICS_PER_PEER_MAX]:
            self._put(connection, True, room, b"\1")

    def _put(self, connection: Connection, forth: bool, room: RoomId | None, payload: bytes) -> bool:
        """Whether the frame was taken: False at the high-water mark."""
        way = connection.forth if forth else connection.back
        if way.under_way >= QUEUE_FRAMES_MAX:
            return False
        way.under_way += 1
        dialler, listener = connection.dialler.number, connection.listener.number
        sender, receiver = (dialler, listener) if forth else (listener, dialler)
        if payload[:1] == _PAGE:
            self.sent_history_bytes[sender] = self.sent_history_bytes.get(sender, 0) + len(payload)
        if way.held or not self.conditions.passes(sender, receiver):
            way.held.append((room, payload))
        else:
            self._carry(connection, forth, way, sender, receiver, room, payload)
        return True

    def _carry(
        self,
        connection: Connection,
        forth: bool,
        way: Way,
        sender: int,
        receiver: int,
        room: RoomId | None,
        payload: bytes,
    ) -> None:
        conditions, now_s = self.conditions, self._schedule.now_s
        size_bytes = len(payload) + HEADER_BYTES
        start_s = now_s
        if conditions.is_shaped and (sending_s := conditions.send_s(sender, size_bytes)):
            start_s = max(now_s, self._uplink_free_s.get(sender, 0.0)) + sending_s
            self._uplink_free_s[sender] = start_s
        delay_s = conditions.delay_s(conditions.between(sender, receiver), connection.latency_s, size_bytes)
        way.free_at_s = max(way.free_at_s, start_s + delay_s)
        is_thin = receiver in conditions.inward_bytes_s or bool(self._lines_in.get(receiver))
        comes = self._queue_in if is_thin else self._arrive
        self._schedule.at(way.free_at_s, comes, connection, forth, way, room, payload)

    def _queue_in(self, connection: Connection, forth: bool, way: Way, room: RoomId | None, payload: bytes) -> None:
        """A frame waits for the line into its receiver."""
        receiver = (connection.listener if forth else connection.dialler).number
        line = self._lines_in.setdefault(receiver, deque())
        line.append((connection, forth, way, room, payload))
        if len(line) == 1:
            self._take_in(receiver, line)

    def _take_in(self, receiver: int, line: deque[_Arrival]) -> None:
        while line:
            connection, forth, way, _room, payload = line[0]
            if connection.dialler_open if forth else connection.listener_open:
                takes_s = self.conditions.receive_s(receiver, len(payload) + HEADER_BYTES)
                self._schedule.after(takes_s, self._taken_in, receiver, line)
                return
            way.under_way -= 1
            line.popleft()

    def _taken_in(self, receiver: int, line: deque[_Arrival]) -> None:
        self._arrive(*line.popleft())
        self._take_in(receiver, line)

    def backlog_s(self) -> float:
        """How long the slowest line out still needs for what it was given."""
        return max(0.0, max(self._uplink_free_s.values(), default=0.0) - self._schedule.now_s)

    def _arrive(self, connection: Connection, forth: bool, way: Way, room: RoomId | None, payload: bytes) -> None:
        way.under_way -= 1
        listener, dialler = connection.listener, connection.dialler
        if forth:
            if not connection.listener_open:
                return
            if connection.is_feed:
                self._subscribed(connection, room, payload)
            elif dialler.peer not in listener.admitted:
                self.close(connection, listener)
            else:
                connection.known = True
                listener.inbound[dialler.peer] = connection
                if self.tap is not None:
                    self.tap(listener.number, payload)
                listener.feed(FrameReceived(peer=dialler.peer, payload=payload, inbound=True))
        elif connection.dialler_open:
            if room is None:
                if self.tap is not None:
                    self.tap(dialler.number, payload)
                dialler.feed(FrameReceived(peer=listener.peer, payload=payload, inbound=False))
            else:
                dialler.feed(FeedReceived(peer=listener.peer, room=room, payload=payload))

    def _subscribed(self, connection: Connection, room: RoomId | None, payload: bytes) -> None:
        assert room is not None
        is_on = payload == b"\1"
        if is_on:
            connection.rooms[room] = None
        else:
            connection.rooms.pop(room, None)
        connection.listener.feed(PeerSubscribed(peer=connection.dialler.peer, room=room, on=is_on))

    # Closing -----------------------------------------------------------------------------------------

    def close(self, connection: Connection | None, by: Process) -> None:
        """One end closes a connection; the other learns of it after what was sent before."""
        if connection is None or not self._shut_end(connection, by):
            return
        is_dialler = by is connection.dialler
        other = connection.listener if is_dialler else connection.dialler
        if self.conditions.passes(by.number, other.number):
            way = connection.forth if is_dialler else connection.back
            at_s = max(way.free_at_s, self._schedule.now_s + connection.latency_s)
            self._schedule.at(at_s, self._end_seen, connection, other)
        else:
            self._schedule.after(self._break_s(), self._end_seen, connection, other)

    def _shut_end(self, connection: Connection, end: Process) -> bool:
        """Close one end without a word; whether it was open."""
        if end is connection.dialler:
            was_open, connection.dialler_open = connection.dialler_open, False
        else:
            was_open, connection.listener_open = connection.listener_open, False
            end.accepted.pop(connection, None)
            end.subscribers.pop(connection, None)
        return was_open

    def _end_seen(self, connection: Connection, end: Process) -> None:
        """An end learns that the connection is no more."""
        if not self._shut_end(connection, end):
            return
        if end is connection.dialler:
            peer = connection.listener.peer
            if connection.is_feed and end.feeds.get(peer) is connection:
                del end.feeds[peer]
                end.feed(FeedClosed(peer=peer, reason="lost"))
            elif end.directs.get(peer) is connection:
                del end.directs[peer]
                end.feed(DirectClosed(peer=peer, reason="lost"))
            return
        peer = connection.dialler.peer
        if connection.is_feed:
            for room in sorted(connection.rooms):
                end.feed(PeerSubscribed(peer=peer, room=room, on=False))
        elif end.inbound.get(peer) is connection:
            del end.inbound[peer]
            end.feed(InboundClosed(peer=peer))

    def _give_up(self, connection: Connection) -> None:
        self._end_seen(connection, connection.dialler)
        self._end_seen(connection, connection.listener)

    # When the conditions change --------------------------------------------------------------------------

    def changed(self) -> None:
        """Partitions or cuts have come or gone: what waits goes on, what hears nothing is given up in a while."""
        for connection in [each for process in self.routes.processes() for each in process.accepted]:
            dialler, listener = connection.dialler.number, connection.listener.number
            if not self.routes.both_pass(dialler, listener):
                self._schedule.after(self._break_s(), self._give_up_if_cut, connection)
                continue
            if connection.forth.held or connection.back.held:
                wait_s = 0.2 + 0.8 * self._rng.random()
                self._schedule.after(wait_s, self._flow_again, connection)

    def _flow_again(self, connection: Connection) -> None:
        for forth, way in ((True, connection.forth), (False, connection.back)):
            dialler, listener = connection.dialler.number, connection.listener.number
            sender, receiver = (dialler, listener) if forth else (listener, dialler)
            if self.conditions.passes(sender, receiver):
                held, way.held = way.held, []
                for room, payload in held:
                    self._carry(connection, forth, way, sender, receiver, room, payload)

    def _give_up_if_cut(self, connection: Connection) -> None:
        if not self.routes.both_pass(connection.dialler.number, connection.listener.number):
            self._give_up(connection)

    def _break_s(self) -> float:
        return BREAK_S[0] + (BREAK_S[1] - BREAK_S[0]) * self._rng.random()
