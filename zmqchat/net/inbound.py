"""The three bound sockets, and the peers that connect to them.

A connection is known by ZAP's user id; its file descriptor is remembered from its first frame, so that a
session's end can cut it (libzmq has no call for that, libzmq#2319), after a look whether the descriptor
still belongs to the same address.
"""

from __future__ import annotations

import contextlib
import os
import socket as tcp
from collections import Counter
from dataclasses import dataclass, field

import zmq
from zmq.utils.monitor import parse_monitor_message

from zmqchat.model.ids import PeerId, RoomId
from zmqchat.model.limits import FEED_TOPICS_PER_PEER_MAX
from zmqchat.net import options
from zmqchat.net.reading import Reader
from zmqchat.net.transport import Sink
from zmqchat.protocol.facts import (
    DoorCaller,
    DoorKnocked,
    FrameReceived,
    InboundClosed,
    LinkBlocked,
    PeerAbused,
    PeerSubscribed,
)

_SUBSCRIBE = 1
_ROUTING_BYTES = 5
"""libzmq's own routing ids: 5 bytes, the first 0. Others were chosen by the client and are dropped."""


@dataclass(slots=True)
class _Session:
    """An admitted peer's connections to us.

    descriptors  file descriptor to the remote address that it had when it was first seen
    """

    routing: bytes | None = None
    direct_descriptor: int = -1
    descriptors: dict[int, object] = field(default_factory=dict)
    topics: set[bytes] = field(default_factory=set)


class Inbound:
    """Door, direct and feed; bound by `binding`."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], keys: options.Keys, sink: Sink, counters: Counter[str]
    ) -> None:
        self._sink = sink
        self._counters = counters
        self._sessions: dict[PeerId, _Session] = {}
        self._by_user: dict[str, PeerId] = {}
        self.door = options.make_socket(
            context, zmq.ROUTER, bytes_max=options.DOOR_BYTES_MAX, hwm=options.DOOR_HWM
        )
        self.door.setsockopt(zmq.AFFINITY, options.DOOR_THREAD)
        options.serve_curve(self.door, keys.door_secret, options.DOOR_DOMAIN)
        self.direct = options.make_socket(
            context, zmq.ROUTER, bytes_max=options.DIRECT_BYTES_MAX, hwm=options.LINK_HWM
        )
        self.feed = options.make_socket(
            context, zmq.XPUB, bytes_max=options.FEED_IN_BYTES_MAX, hwm=options.LINK_HWM
        )
        self.feed.setsockopt(zmq.XPUB_VERBOSER, 1)
        for socket in (self.door, self.direct):
            socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        for socket in (self.direct, self.feed):
            options.serve_curve(socket, keys.secret, options.LINK_DOMAIN)
        self._monitor: zmq.Socket[bytes] = self.direct.get_monitor_socket(int(zmq.EVENT_DISCONNECTED))
        self._readers: list[Reader] = []

    def start_reading(self) -> None:
        """The sockets are bound: read them."""
        self._direct_reader = Reader(self.direct, self._receive_direct)
        self._feed_reader = Reader(self.feed, self._receive_feed)
        self._door_reader = Reader(self.door, self._receive_door)
        self._readers = [
            self._direct_reader,
            self._feed_reader,
            self._door_reader,
            Reader(self._monitor, self._receive_event),
        ]

    def close(self, linger_ms: int) -> None:
        """Close all three."""
        for reader in self._readers:
            reader.close()
        self.direct.disable_monitor()
        self._monitor.close(0)
        for socket in (self.direct, self.feed, self.door):
            socket.close(linger_ms)

    @property
    def sessions(self) -> int:
        """Peers that are admitted."""
        return len(self._sessions)

    def admit(self, peer: PeerId, curve_key: bytes) -> None:
        """Frames of this key are this peer's from now on."""
        self._sessions.setdefault(peer, _Session())
        self._by_user[curve_key.hex()] = peer

    def expel(self, peer: PeerId) -> None:
        """Frames of this peer are dropped from now on, its connections are cut."""
        session = self._sessions.pop(peer, None)
        if session is None:
            return
        for user, owner in list(self._by_user.items()):
            if owner == peer:
                del self._by_user[user]
        for descriptor, address in session.descriptors.items():
            cut(descriptor, address)

    # Sending --------------------------------------------------------------------------------------------

    def answer(self, caller: DoorCaller, payload: bytes) -> None:
        """Answer whoever knocked; a caller that left is nobody's loss."""
        with contextlib.suppress(zmq.ZMQError):
            self.door.send_multipart([caller.routing, payload], zmq.NOBLOCK)
        self._door_reader.recheck()

    def send(self, peer: PeerId, payload: bytes) -> None:
        """Send over the link that this peer dialled."""
        session = self._sessions.get(peer)
        if session is None or session.routing is None:
            return
        try:
            self.direct.send_multipart([session.routing, payload], zmq.NOBLOCK)
        except zmq.Again:
            self._counters["blocked"] += 1
            self._sink(LinkBlocked(peer=peer))
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            session.routing = None
            self._sink(InboundClosed(peer=peer))
        self._direct_reader.recheck()

    def publish(self, message: bytes) -> None:
        """Publish on the feed; XPUB drops silently for who is behind."""
        self.feed.send(message, zmq.NOBLOCK)
        self._feed_reader.recheck()

    # Receiving ------------------------------------------------------------------------------------------

    def _receive_door(self, door: zmq.Socket[bytes]) -> bool:
        try:
            parts = door.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        routing = parts[0].bytes
        if len(parts) != 2 or not _is_plain(routing):
            self._counters["door dropped"] += 1
            return True
        key = _user_key(parts[1])
        if key is None:
            self._counters["door dropped"] += 1
            return True
        address = str(_metadata(parts[1], "Peer-Address") or "")
        self._sink(DoorKnocked(caller=DoorCaller(routing, key, _plain_address(address)), payload=parts[1].bytes))
        return True

    def _receive_direct(self, direct: zmq.Socket[bytes]) -> bool:
        try:
            parts = direct.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        frame = parts[-1]
        peer = self._by_user.get(str(_metadata(frame, "User-Id")))
        routing = parts[0].bytes
        if peer is None or len(parts) != 2 or not _is_plain(routing):
            self._counters["direct dropped"] += 1
            descriptor = _descriptor(frame)
            cut(descriptor, _remote(descriptor))
            return True
        session = self._sessions[peer]
        if session.routing != routing:
            session.routing = routing
            session.direct_descriptor = self._remember(session, frame)
        self._sink(FrameReceived(peer=peer, payload=frame.bytes, inbound=True))
        return True

    def _receive_feed(self, feed: zmq.Socket[bytes]) -> bool:
        try:
            parts = feed.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        frame = parts[-1]
        peer = self._by_user.get(str(_metadata(frame, "User-Id")))
        message = frame.bytes
        if peer is None or len(parts) != 1 or len(message) != 1 + options.FEED_TOPIC_BYTES:
            self._counters["feed dropped"] += 1
            return True
        session = self._sessions[peer]
        self._remember(session, frame)
        topic, on = message[1:], message[0] == _SUBSCRIBE
        if on:
            session.topics.add(topic)
        else:
            session.topics.discard(topic)
        if len(session.topics) > FEED_TOPICS_PER_PEER_MAX:
            self._sink(PeerAbused(peer=peer, reason="too many subscriptions"))
            return True
        self._sink(PeerSubscribed(peer=peer, room=RoomId(topic[1:]), on=on))
        return True

    def _receive_event(self, monitor: zmq.Socket[bytes]) -> bool:
        try:
            event = parse_monitor_message(monitor.recv_multipart(zmq.NOBLOCK))
        except zmq.Again:
            return False
        for peer, session in list(self._sessions.items()):
            if session.direct_descriptor == event["value"]:
                session.direct_descriptor = -1
                session.descriptors.pop(event["value"], None)
                if session.routing is not None:
                    session.routing = None
                    self._sink(InboundClosed(peer=peer))
        return True

    def _remember(self, session: _Session, frame: zmq.Frame) -> int:
        descriptor = _descriptor(frame)
        if descriptor >= 0:
            session.descriptors[descriptor] = _remote(descriptor)
        return descriptor


def cut(descriptor: int, address: object) -> None:
    """Shut a connection of a bound socket, if its descriptor still belongs to the same remote address."""
    if descriptor < 0 or address is None or _remote(descriptor) != address:
        return
    with contextlib.suppress(OSError), tcp.socket(fileno=os.dup(descriptor)) as connection:
        connection.shutdown(tcp.SHUT_RDWR)


def _remote(descriptor: int) -> object:
    try:
        with tcp.socket(fileno=os.dup(descriptor)) as connection:
            name: object = connection.getpeername()
            return name
    except OSError:
        return None


def _descriptor(frame: zmq.Frame) -> int:
    try:
        return int(frame.get(zmq.SRCFD))
    except zmq.ZMQError:
        return -1


def _metadata(frame: zmq.Frame, name: str) -> object:
    """A metadata property of a frame, None where there is none."""
    try:
        value: object = frame.get(name)
    except zmq.ZMQError:
        return None
    return value


def _user_key(frame: zmq.Frame) -> bytes | None:
    try:
        return bytes.fromhex(str(_metadata(frame, "User-Id")))
    except ValueError:
        return None


def _is_plain(routing: bytes) -> bool:
    return len(routing) == _ROUTING_BYTES and routing[0] == 0


def _plain_address(address: str) -> str:
    """An IPv4 address that came mapped into IPv6, as IPv4."""
    return address.removeprefix("::ffff:") if "." in address else address
