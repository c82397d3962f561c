"""Socket options: what every socket gets, and why.

CURVE adds 33 bytes to a message, and MAXMSGSIZE counts them and the handshake's own commands: nothing
below 512 lets a CURVE client in. The high-water mark is a byte budget over the largest frame, so that a
peer that never reads holds a bounded amount of memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import zmq

from zmqchat.model.ids import PeerId
from zmqchat.model.limits import DOOR_FRAME_BYTES_MAX, FRAME_BYTES_MAX, MIB

CURVE_OVERHEAD_BYTES: Final = 33
FEED_TOPIC_BYTES: Final = 17
LINK_QUEUE_BYTES: Final = 64 * MIB
"""Memory that libzmq may hold for one connection and direction."""

LINK_HWM: Final = LINK_QUEUE_BYTES // FRAME_BYTES_MAX
DOOR_HWM: Final = 64
FEED_IN_BYTES_MAX: Final = 512
"""What a subscriber may send us: subscriptions of 18 bytes; the handshake needs 512."""

HANDSHAKE_MS: Final = 5_000
HEARTBEAT_MS: Final = 3_000
HEARTBEAT_TIMEOUT_MS: Final = 9_000
DOOR_DOMAIN: Final = b"door"
LINK_DOMAIN: Final = b"link"
MESH_THREAD: Final = 1
DOOR_THREAD: Final = 2
"""I/O thread masks: a storm of handshakes at the door costs the mesh nothing."""


class Keys(NamedTuple):
    """The CURVE keys that the sockets use, 32 raw bytes each, and how to find a peer's."""

    public: bytes
    secret: bytes
    door_public: bytes
    door_secret: bytes
    curve_key: Callable[[PeerId], bytes | None]


def make_socket(context: zmq.Context[zmq.Socket[bytes]], kind: int, *, bytes_max: int, hwm: int) -> zmq.Socket[bytes]:
    """A socket with the options that all share; none of them may be left out."""
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.IPV6, 1)
    socket.setsockopt(zmq.MAXMSGSIZE, bytes_max + CURVE_OVERHEAD_BYTES)
    socket.setsockopt(zmq.SNDHWM, hwm)
    socket.setsockopt(zmq.RCVHWM, hwm)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
    socket.setsockopt(zmq.RECONNECT_IVL, -1)
    socket.setsockopt(zmq.AFFINITY, MESH_THREAD)
    return socket


def serve_curve(socket: zmq.Socket[bytes], secret: bytes, domain: bytes) -> None:
    """The server side of CURVE, with ZAP that fails closed."""
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_SECRETKEY, secret)
    socket.setsockopt(zmq.ZAP_DOMAIN, domain)
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)


def dial_curve(socket: zmq.Socket[bytes], public: bytes, secret: bytes, server: bytes) -> None:
    """The client side of CURVE: our own key, and the key that must answer."""
    socket.setsockopt(zmq.CURVE_PUBLICKEY, public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, secret)
    socket.setsockopt(zmq.CURVE_SERVERKEY, server)


DOOR_BYTES_MAX: Final = DOOR_FRAME_BYTES_MAX
DIRECT_BYTES_MAX: Final = FRAME_BYTES_MAX
FEED_BYTES_MAX: Final = FRAME_BYTES_MAX + FEED_TOPIC_BYTES
