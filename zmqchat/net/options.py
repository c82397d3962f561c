"""Sockets and their options: every socket of a node is made here, with all of its guards set.

Options are set before bind or connect, since libzmq reads most of them when a connection is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

import zmq

from zmqchat.model.limits import (
    DOOR_FRAME_BYTES_MAX,
    FEED_SEND_BYTES_MAX,
    FEED_TOPICS_PER_PEER_MAX,
    FRAME_BYTES_MAX,
    LINK_RECEIVE_BYTES_MAX,
    LINK_SEND_BYTES_MAX,
)

CURVE_OVERHEAD_BYTES: Final = 33
"""What CURVE adds to a frame: command name 8, nonce 8, authenticator 16, flags 1."""

MAXMSGSIZE_MIN: Final = 512
"""The limit holds for the handshake too: below about 300 no CURVE client gets in."""

TOPIC_BYTES: Final = 17
"""A feed topic: a type byte and the room id."""

SUBSCRIPTIONS_WAITING_MAX: Final = 2 * FEED_TOPICS_PER_PEER_MAX
"""A SUB's subscriptions are messages to libzmq, which drops those above the mark without a word."""

CONNECT_TIMEOUT_MS: Final = 3_000
HANDSHAKE_MS: Final = 5_000
KEEPALIVE_IDLE_S: Final = 5
KEEPALIVE_EVERY_S: Final = 3
KEEPALIVE_TRIES: Final = 3
UNACKNOWLEDGED_MS: Final = 15_000
"""When the kernel gives up a connection whose other end is silent. ZMTP's heartbeats stay off: libzmq 4.3.5 aborts the
process where one is due on a connection that was reset while its frames waited to be read (`!_io_error` in its
stream_engine_base.cpp)."""

BACKLOG: Final = 256

MESH_THREAD: Final = 1
"""Affinity mask of the I/O thread for direct and feed."""

DOOR_THREAD: Final = 2
"""Affinity mask of the I/O thread for the door alone: a storm of handshakes there costs the mesh nothing."""


class CurvePair(NamedTuple):
    """A CURVE key pair, 32 raw bytes each; shows only the public half."""

    public: bytes
    secret: bytes

    def __repr__(self) -> str:
        return f"CurvePair(public={self.public.hex()[:8]}…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleOptions:
    """The numbers of one of the three services, for the side that listens and for the side that dials.

    listener_type, dialler_type      socket types
    received_bytes_max               largest payload that the listener takes
    answered_bytes_max               largest payload that the dialler takes
    send_frames_max, receive_frames_max   high-water marks, a connection
    affinity                         mask of I/O threads
    """

    listener_type: int
    dialler_type: int
    received_bytes_max: int
    answered_bytes_max: int
    send_frames_max: int
    receive_frames_max: int
    affinity: int


class Role(Enum):
    """The three services of a node; the value is the ZAP domain."""

    DOOR = "door"
    DIRECT = "direct"
    FEED = "feed"

    @property
    def options(self) -> RoleOptions:
        """The numbers of this service."""
        return _OPTIONS[self]


_OPTIONS: Final = {
    Role.DOOR: RoleOptions(
        listener_type=zmq.ROUTER,
        dialler_type=zmq.DEALER,
        received_bytes_max=DOOR_FRAME_BYTES_MAX,
        answered_bytes_max=DOOR_FRAME_BYTES_MAX,
        send_frames_max=8,
        receive_frames_max=8,
        affinity=DOOR_THREAD,
    ),
    Role.DIRECT: RoleOptions(
        listener_type=zmq.ROUTER,
        dialler_type=zmq.DEALER,
        received_bytes_max=FRAME_BYTES_MAX,
        answered_bytes_max=FRAME_BYTES_MAX,
        send_frames_max=LINK_SEND_BYTES_MAX // FRAME_BYTES_MAX,
        receive_frames_max=LINK_RECEIVE_BYTES_MAX // FRAME_BYTES_MAX,
        affinity=MESH_THREAD,
    ),
    Role.FEED: RoleOptions(
        listener_type=zmq.XPUB,
        dialler_type=zmq.SUB,
        received_bytes_max=MAXMSGSIZE_MIN - CURVE_OVERHEAD_BYTES,
        answered_bytes_max=TOPIC_BYTES + FRAME_BYTES_MAX,
        send_frames_max=FEED_SEND_BYTES_MAX // FRAME_BYTES_MAX,
        receive_frames_max=LINK_RECEIVE_BYTES_MAX // FRAME_BYTES_MAX,
        affinity=MESH_THREAD,
    ),
}


def make_context() -> zmq.Context[zmq.Socket[bytes]]:
    """One context a node: ZAP is one handler a context."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.set(zmq.IO_THREADS, 2)
    context.set(zmq.MAX_SOCKETS, 4_096)
    return context


def make_listener(context: zmq.Context[zmq.Socket[bytes]], role: Role, secret: bytes) -> zmq.Socket[bytes]:
    """A socket to bind: CURVE server, ZAP enforced, nothing kept for whoever is not there."""
    options = role.options
    socket = context.socket(options.listener_type)
    _set_shared(socket, options, options.received_bytes_max)
    socket.set(zmq.CURVE_SERVER, 1)
    socket.set(zmq.CURVE_SECRETKEY, secret)
    socket.set(zmq.ZAP_DOMAIN, role.value.encode())
    socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)
    socket.set(zmq.BACKLOG, BACKLOG)
    if options.listener_type == zmq.ROUTER:
        socket.set(zmq.ROUTER_MANDATORY, 1)
    else:
        socket.set(zmq.XPUB_VERBOSER, 1)
    return socket


def make_dialler(
    context: zmq.Context[zmq.Socket[bytes]], role: Role, own: CurvePair, server_key: bytes
) -> zmq.Socket[bytes]:
    """A socket to connect once: it never connects again by itself and queues nothing before it is connected."""
    options = role.options
    socket = context.socket(options.dialler_type)
    _set_shared(socket, options, options.answered_bytes_max)
    if options.dialler_type == zmq.SUB:
        socket.set(zmq.SNDHWM, SUBSCRIPTIONS_WAITING_MAX)
    socket.set(zmq.CURVE_PUBLICKEY, own.public)
    socket.set(zmq.CURVE_SECRETKEY, own.secret)
    socket.set(zmq.CURVE_SERVERKEY, server_key)
    socket.set(zmq.RECONNECT_IVL, -1)
    socket.set(zmq.IMMEDIATE, 1)
    socket.set(zmq.CONNECT_TIMEOUT, CONNECT_TIMEOUT_MS)
    return socket


def _set_shared(socket: zmq.Socket[bytes], options: RoleOptions, payload_bytes_max: int) -> None:
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.IPV6, 1)
    socket.set(zmq.SNDHWM, options.send_frames_max)
    socket.set(zmq.RCVHWM, options.receive_frames_max)
    socket.set(zmq.MAXMSGSIZE, max(MAXMSGSIZE_MIN, payload_bytes_max + CURVE_OVERHEAD_BYTES))
    socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    socket.set(zmq.TCP_KEEPALIVE, 1)
    socket.set(zmq.TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S)
    socket.set(zmq.TCP_KEEPALIVE_INTVL, KEEPALIVE_EVERY_S)
    socket.set(zmq.TCP_KEEPALIVE_CNT, KEEPALIVE_TRIES)
    socket.set(zmq.TCP_MAXRT, UNACKNOWLEDGED_MS)
    socket.set(zmq.AFFINITY, options.affinity)
