"""The real transport: three bound sockets, and a DEALER and a SUB for each peer that we dial.

All sockets live on the event loop's thread. A peer's frames are known by ZAP's user id, its CURVE key in
hexadecimal, looked up in the table of admitted peers for every frame; what comes from anybody else is
dropped unread and its connection cut.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket as tcp
from collections import Counter
from collections.abc import Callable
from typing import Any

import zmq

from zmqchat.model.ids import PeerId, RoomId
from zmqchat.net import options
from zmqchat.net.binding import bind_all
from zmqchat.net.dialled import Dialled
from zmqchat.net.inbound import Inbound
from zmqchat.net.transport import CurveKey, Failed, Listen, Ports, Sink, TransportStats
from zmqchat.net.zap import Zap
from zmqchat.protocol import effects
from zmqchat.protocol.effects import Effect
from zmqchat.protocol.facts import (
    DialFailed,
    DirectClosed,
    DirectOpened,
    DoorAnswered,
    FeedClosed,
    FeedOpened,
    FeedReceived,
    FrameReceived,
    LinkBlocked,
)

BATCH_TOPIC = b"\1"
"""The type byte of feed topics that carry batches."""

TERM_TIMEOUT_S = 1.5


def topic_of(room: RoomId) -> bytes:
    """The feed topic of a room's batches: always 17 bytes, so that none is a prefix of another."""
    return BATCH_TOPIC + room


class ZmqTransport:
    """Sockets of one node; one context, closed by `stop`."""

    def __init__(self, *, curve_key: CurveKey, door_public: bytes, door_secret: bytes, failed: Failed) -> None:
        self._curve_key = curve_key
        self._door_keys = (door_public, door_secret)
        self._failed = failed
        self._doors: dict[int, Dialled] = {}
        self._directs: dict[PeerId, Dialled] = {}
        self._feeds: dict[PeerId, Dialled] = {}
        self._topics: frozenset[RoomId] = frozenset()
        self._resolving: set[asyncio.Task[None]] = set()
        self.counters: Counter[str] = Counter()
        self._stopped = False
        self._appliers: dict[type[Effect], Callable[[Any], None]] = {
            effects.DialDoor: self._dial_door,
            effects.SendDoor: self._send_door,
            effects.CloseDoor: self._close_door,
            effects.AnswerDoor: self._answer_door,
            effects.Admit: self._admit,
            effects.Expel: self._expel,
            effects.OpenDirect: self._open_direct,
            effects.CloseDirect: self._close_direct,
            effects.OpenFeed: self._open_feed,
            effects.SetTopics: self._set_topics,
            effects.Send: self._send,
            effects.PublishFeed: self._publish,
        }

    async def start(
        self,
        curve_secret: bytes,
        curve_public: bytes,
        listen: tuple[str | None, int | None],
        preferred_ports: tuple[int, int, int] | None,
        sink: Sink,
    ) -> Ports:
        """Bind and be ready for effects; raises NetworkError or PortInUse with nothing left open."""
        self._sink = sink
        self._keys = options.Keys(curve_public, curve_secret, *self._door_keys, self._curve_key)
        loop = asyncio.get_running_loop()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=2)
        self._context.setsockopt(zmq.MAX_SOCKETS, 4096)
        self._zap = Zap(self._context, lambda error: loop.call_soon_threadsafe(self._failed, f"the authenticator died: {error}"))
        self._zap.start()
        self._inbound = Inbound(self._context, self._keys, sink, self.counters)
        try:
            return bind_all(self._inbound, Listen(*listen), Ports(*preferred_ports) if preferred_ports else None)
        except BaseException:
            await self.stop(0)
            raise

    def apply(self, effect: Effect) -> None:
        """Carry out one network effect."""
        if not self._stopped:
            self._appliers[type(effect)](effect)

    async def stop(self, flush_s: float) -> None:
        """Send what is queued for at most this long, then close everything."""
        if self._stopped:
            return
        self._stopped = True
        linger_ms = int(flush_s * 1000)
        for task in self._resolving:
            task.cancel()
        for dialled in (*self._doors.values(), *self._directs.values(), *self._feeds.values()):
            dialled.close(linger_ms)
        self._inbound.close(linger_ms)
        self._zap.stop()
        loop = asyncio.get_running_loop()
        term = loop.run_in_executor(None, self._context.term)
        await asyncio.wait({asyncio.ensure_future(term)}, timeout=TERM_TIMEOUT_S + flush_s)

    def stats(self) -> TransportStats:
        """Counters and sizes as they are now."""
        dials = len(self._doors) + len(self._directs) + len(self._feeds)
        return TransportStats(
            counters={**self.counters, "denied": self._zap.denied}, sessions=self._inbound.sessions, dials=dials
        )

    @property
    def handshake_addresses(self) -> tuple[str, ...]:
        """The last addresses whose connections shook hands with one of our sockets, the newest last."""
        return ()

    # The door ----------------------------------------------------------------------------------------

    def _dial_door(self, effect: effects.DialDoor) -> None:
        endpoint = effect.endpoint
        if _is_address(endpoint.host):
            self._connect_door(effect, endpoint.host)
            return
        task = asyncio.get_running_loop().create_task(self._resolve(effect), name=f"resolve {endpoint.host[:40]}")
        self._resolving.add(task)
        task.add_done_callback(self._resolving.discard)

    async def _resolve(self, effect: effects.DialDoor) -> None:
        """A name is looked up off the loop; its first address is dialled, another one at the next try."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                effect.endpoint.host, effect.endpoint.door, type=tcp.SOCK_STREAM
            )
        except (OSError, UnicodeError) as error:
            self._sink(DialFailed(dial=effect.dial, reason=f"no such host: {error}"))
            return
        hosts = sorted({str(entry[4][0]) for entry in found}, key=lambda host: (":" in host, host))
        if hosts:
            self._connect_door(effect, hosts[effect.dial % len(hosts)] if effect.dial % 3 == 0 else hosts[0])

    def _connect_door(self, effect: effects.DialDoor, host: str) -> None:
        number = effect.dial
        socket = self._client(zmq.DEALER, options.DOOR_BYTES_MAX, options.DOOR_HWM, self._keys.door_public)
        socket.setsockopt(zmq.AFFINITY, options.DOOR_THREAD)

        def receive(door: zmq.Socket[bytes]) -> bool:
            payload = _receive_one(door)
            if payload is None:
                return False
            self._sink(DoorAnswered(dial=number, payload=payload))
            return number in self._doors

        def opened() -> None:
            self._doors[number].send(effect.payload)

        def closed(reason: str) -> None:
            if self._doors.pop(number, None) is not None:
                self._sink(DialFailed(dial=number, reason=reason))

        self._doors[number] = Dialled(socket, receive, opened, closed)
        self._connect(self._doors[number], host, effect.endpoint.door, closed)

    def _send_door(self, effect: effects.SendDoor) -> None:
        door = self._doors.get(effect.dial)
        if door is not None:
            door.send(effect.payload)

    def _close_door(self, effect: effects.CloseDoor) -> None:
        door = self._doors.pop(effect.dial, None)
        if door is not None:
            door.close()

    def _answer_door(self, effect: effects.AnswerDoor) -> None:
        self._inbound.answer(effect.caller, effect.payload)

    # Sessions ------------------------------------------------------------------------------------------

    def _admit(self, effect: effects.Admit) -> None:
        key = self._keys.curve_key(effect.peer)
        if key is not None:
            self._zap.allow(key)
            self._inbound.admit(effect.peer, key)

    def _expel(self, effect: effects.Expel) -> None:
        key = self._keys.curve_key(effect.peer)
        if key is not None:
            self._zap.forbid(key)
        for table in (self._directs, self._feeds):
            dialled = table.pop(effect.peer, None)
            if dialled is not None:
                dialled.close()
        self._inbound.expel(effect.peer)

    # Links ---------------------------------------------------------------------------------------------

    def _open_direct(self, effect: effects.OpenDirect) -> None:
        peer = effect.peer
        self._close_direct(effects.CloseDirect(peer=peer))
        key = self._keys.curve_key(peer)
        if key is None:
            return
        socket = self._client(zmq.DEALER, options.DIRECT_BYTES_MAX, options.LINK_HWM, key)
        socket.setsockopt(zmq.IMMEDIATE, 1)

        def receive(direct: zmq.Socket[bytes]) -> bool:
            payload = _receive_one(direct)
            if payload is None:
                return False
            self._sink(FrameReceived(peer=peer, payload=payload, inbound=False))
            return True

        def closed(reason: str) -> None:
            if self._directs.pop(peer, None) is not None:
                self._sink(DirectClosed(peer=peer, reason=reason))

        dialled = Dialled(socket, receive, lambda: self._sink(DirectOpened(peer=peer)), closed)
        self._directs[peer] = dialled
        self._connect(dialled, effect.endpoint.host, effect.endpoint.direct, closed)

    def _close_direct(self, effect: effects.CloseDirect) -> None:
        dialled = self._directs.pop(effect.peer, None)
        if dialled is not None:
            dialled.close()

    def _open_feed(self, effect: effects.OpenFeed) -> None:
        peer = effect.peer
        old = self._feeds.pop(peer, None)
        if old is not None:
            old.close()
        key = self._keys.curve_key(peer)
        if key is None:
            return
        socket = self._client(zmq.SUB, options.FEED_BYTES_MAX, options.LINK_HWM, key)
        for room in self._topics:
            socket.setsockopt(zmq.SUBSCRIBE, topic_of(room))

        def receive(feed: zmq.Socket[bytes]) -> bool:
            message = _receive_one(feed)
            if message is None:
                return False
            if len(message) > options.FEED_TOPIC_BYTES:
                room, payload = RoomId(message[1 : options.FEED_TOPIC_BYTES]), message[options.FEED_TOPIC_BYTES :]
                self._sink(FeedReceived(peer=peer, room=room, payload=payload))
            return True

        def closed(reason: str) -> None:
            if self._feeds.pop(peer, None) is not None:
                self._sink(FeedClosed(peer=peer, reason=reason))

        dialled = Dialled(socket, receive, lambda: self._sink(FeedOpened(peer=peer)), closed)
        self._feeds[peer] = dialled
        self._connect(dialled, effect.endpoint.host, effect.endpoint.feed, closed)

    def _set_topics(self, effect: effects.SetTopics) -> None:
        added, removed = effect.rooms - self._topics, self._topics - effect.rooms
        self._topics = effect.rooms
        for dialled in self._feeds.values():
            for room in sorted(added):
                dialled.socket.setsockopt(zmq.SUBSCRIBE, topic_of(room))
            for room in sorted(removed):
                dialled.socket.setsockopt(zmq.UNSUBSCRIBE, topic_of(room))

    def _send(self, effect: effects.Send) -> None:
        if effect.outbound:
            dialled = self._directs.get(effect.peer)
            if dialled is None or not dialled.is_open:
                return
            if not dialled.send(effect.payload):
                self.counters["blocked"] += 1
                self._sink(LinkBlocked(peer=effect.peer))
        else:
            self._inbound.send(effect.peer, effect.payload)

    def _publish(self, effect: effects.PublishFeed) -> None:
        self._inbound.publish(topic_of(effect.room) + effect.payload)

    # Dialling ------------------------------------------------------------------------------------------

    def _client(self, kind: int, bytes_max: int, hwm: int, server: bytes) -> zmq.Socket[bytes]:
        socket = options.make_socket(self._context, kind, bytes_max=bytes_max, hwm=hwm)
        options.dial_curve(socket, self._keys.public, self._keys.secret, server)
        return socket

    def _connect(self, dialled: Dialled, host: str, port: int, closed: Callable[[str], None]) -> None:
        try:
            dialled.connect(host, port)
        except zmq.ZMQError as error:
            dialled.close()
            asyncio.get_running_loop().call_soon(closed, f"can't dial {host[:80]}: {error}")


def _receive_one(socket: zmq.Socket[bytes]) -> bytes | None:
    """The next message of a socket whose messages have one part; more parts are joined away."""
    try:
        parts = socket.recv_multipart(zmq.NOBLOCK)
    except zmq.Again:
        return None
    return parts[-1]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


