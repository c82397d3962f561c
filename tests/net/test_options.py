"""Every guard is set on every socket, before it is bound or connected."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import zmq

from tests.support.transports import new_pair
from zmqchat.model.limits import FEED_TOPICS_PER_PEER_MAX, FRAME_BYTES_MAX, LINK_RECEIVE_BYTES_MAX
from zmqchat.net.options import (
    CURVE_OVERHEAD_BYTES,
    TOPIC_BYTES,
    CurvePair,
    Role,
    make_context,
    make_dialler,
    make_listener,
)


class Sockets:
    """Sockets of both sides, in one context."""

    def __init__(self) -> None:
        self.context = make_context()
        self._pair = CurvePair(*new_pair())
        self._made: list[zmq.Socket[bytes]] = []

    def listener(self, role: Role) -> zmq.Socket[bytes]:
        """The side that binds."""
        self._made.append(make_listener(self.context, role, self._pair.secret))
        return self._made[-1]

    def dialler(self, role: Role) -> zmq.Socket[bytes]:
        """The side that connects."""
        self._made.append(make_dialler(self.context, role, self._pair, self._pair.public))
        return self._made[-1]


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    """Sockets that are closed at the end."""
    made = Sockets()
    yield made
    made.context.destroy(0)


def number(socket: zmq.Socket[bytes], option: int) -> int:
    """An option that is a number."""
    value = socket.get(option)
    assert isinstance(value, int)
    return value


@pytest.mark.parametrize("role", list(Role))
def test_both_sides_share_their_guards(sockets: Sockets, role: Role) -> None:
    """No linger, IPv6, no heartbeats of libzmq, which may abort, and bounds on handshake, frame size and queues."""
    for socket in (sockets.listener(role), sockets.dialler(role)):
        assert number(socket, zmq.LINGER) == 0
        assert number(socket, zmq.IPV6) == 1
        assert number(socket, zmq.HANDSHAKE_IVL) == 5_000
        assert number(socket, zmq.HEARTBEAT_IVL) == 0
        assert number(socket, zmq.TCP_KEEPALIVE) == 1
        assert number(socket, zmq.MECHANISM) == zmq.CURVE
        assert 512 <= number(socket, zmq.MAXMSGSIZE) <= FRAME_BYTES_MAX + CURVE_OVERHEAD_BYTES + TOPIC_BYTES
        assert 0 < number(socket, zmq.RCVHWM) * min(FRAME_BYTES_MAX, 4_000) <= LINK_RECEIVE_BYTES_MAX
        assert number(socket, zmq.SNDHWM) > 0


@pytest.mark.parametrize("role", list(Role))
def test_listeners_enforce_zap(sockets: Sockets, role: Role) -> None:
    """A listener has a ZAP domain, and insists on an answer for it."""
    listener = sockets.listener(role)
    assert listener.get(zmq.ZAP_DOMAIN) == role.value.encode()
    assert number(listener, zmq.ZAP_ENFORCE_DOMAIN) == 1
    assert number(listener, zmq.CURVE_SERVER) == 1


@pytest.mark.parametrize("role", list(Role))
def test_diallers_never_reconnect_nor_queue(sockets: Sockets, role: Role) -> None:
    """A dialler connects once, and holds nothing for a peer that is not there."""
    dialler = sockets.dialler(role)
    assert number(dialler, zmq.RECONNECT_IVL) == -1
    assert number(dialler, zmq.IMMEDIATE) == 1
    assert number(dialler, zmq.CURVE_SERVER) == 0


def test_door_has_a_thread_of_its_own(sockets: Sockets) -> None:
    """A storm of handshakes at the door runs on another I/O thread than the links."""
    masks = {role: number(sockets.listener(role), zmq.AFFINITY) for role in Role}
    assert masks[Role.DIRECT] == masks[Role.FEED]
    assert masks[Role.DOOR] & masks[Role.DIRECT] == 0
    assert sockets.context.get(zmq.IO_THREADS) == 2


def test_sub_can_say_all_of_its_topics(sockets: Sockets) -> None:
    """Subscriptions are under the send mark of a SUB, which drops silently."""
    assert number(sockets.dialler(Role.FEED), zmq.SNDHWM) > FEED_TOPICS_PER_PEER_MAX


def test_secret_is_not_shown() -> None:
    """Printing a pair shows the public half only."""
    public, secret = new_pair()
    shown = repr(CurvePair(public, secret))
    assert public.hex()[:8] in shown
    assert secret.hex()[:8] not in shown
