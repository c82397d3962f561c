"""Who may connect: CURVE and ZAP fail closed, and the allow-list answers anything."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import zmq

from tests.support.transports import DOOR_PAIR, World, a_world, new_pair
from zmqchat.model.limits import DOOR_FRAMES_PER_S_MAX
from zmqchat.net import options
from zmqchat.net.options import CurvePair, Role, make_context, make_dialler, make_listener
from zmqchat.net.zap import AllowList, ZapHandler
from zmqchat.net.zmq_transport import ZmqTransport
from zmqchat.protocol.effects import DialDoor
from zmqchat.protocol.facts import DialFailed

KEY = b"k" * 32


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Real transports that wait a second for a handshake."""
    monkeypatch.setattr(options, "HANDSHAKE_MS", 1_000)
    async with a_world("zmq") as made:
        yield made


def request(domain: bytes, key: bytes = KEY, version: bytes = b"1.0", mechanism: bytes = b"CURVE") -> list[bytes]:
    """A request as libzmq makes it."""
    return [version, b"7", domain, b"::ffff:10.0.0.1", b"", mechanism, key]


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("handler", ["never started", "stopped"])
def test_without_a_handler_nobody_gets_in(monkeypatch: pytest.MonkeyPatch, role: Role, handler: str) -> None:
    """Where ZAP is dead or was never up, no client gets through its handshake, which may first run out."""
    monkeypatch.setattr(options, "HANDSHAKE_MS", 1_000)
    context = make_context()
    allow_list = AllowList()
    server, client = new_pair(), new_pair()
    allow_list.allow(client[0], 1)
    zap = ZapHandler(context, allow_list, lambda _reason: None)
    if handler == "stopped":
        assert zap.start()
    zap.stop()
    listener = make_listener(context, role, server[1])
    port = listener.bind_to_random_port("tcp://127.0.0.1")
    dialler = make_dialler(context, role, CurvePair(*client), server[0])
    monitor = dialler.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
    dialler.connect(f"tcp://127.0.0.1:{port}")
    try:
        assert monitor.poll(20_000)
        assert int.from_bytes(monitor.recv_multipart()[0][:2], "little") == zmq.EVENT_DISCONNECTED
    finally:
        dialler.disable_monitor()
        context.destroy(0)


async def test_dead_handler_stops_the_node_and_shuts_the_door(world: World) -> None:
    """When the handler fails the node is told once, and nobody gets in any more."""
    node, guest = await world.start(), await world.start()
    assert isinstance(node.transport, ZmqTransport)

    def fail(*_: object) -> list[bytes]:
        raise RuntimeError("planted")

    node.transport._allow_list.answer = fail  # type: ignore[method-assign,assignment]  # nothing on the wire makes it fail
    guest.apply(DialDoor(dial=1, endpoint=node.endpoint, payload=b"hello"))
    await guest.get(DialFailed)
    await node.until(lambda: bool(node.failures))
    assert "planted" in node.failures[0]
    guest.apply(DialDoor(dial=2, endpoint=node.endpoint, payload=b"hello"))
    await guest.get(DialFailed, 2)
    assert not node.facts
    assert len(node.failures) == 1


def test_allow_list_knows_sessions_and_numbers_connections() -> None:
    """Direct and feed admit the listed keys only; each connection has a user id of its own."""
    allow_list = AllowList()
    assert allow_list.answer(request(b"direct"), 0.0)[2] == b"400"
    allow_list.allow(KEY, 0x1F)
    users = [allow_list.answer(request(domain), 0.0)[4] for domain in (b"direct", b"feed")]
    assert users == [b"1f.1", b"1f.2"]
    allow_list.deny(KEY)
    allow_list.deny(KEY)
    assert allow_list.answer(request(b"feed"), 0.0)[2] == b"400"
    assert allow_list.counters == {"direct_denied": 1, "feed_denied": 1}
    assert list(allow_list.addresses) == ["10.0.0.1", "10.0.0.1"]


def test_door_admits_any_key_at_its_rate() -> None:
    """A stranger's user id is its key in hex; over the rate he is denied, a second later not."""
    allow_list = AllowList()
    answers = [allow_list.answer(request(b"door"), 5.0) for _ in range(3 * DOOR_FRAMES_PER_S_MAX)]
    assert answers[0][2:5] == [b"200", b"OK", KEY.hex().encode()]
    assert sum(answer[2] == b"200" for answer in answers) == 2 * DOOR_FRAMES_PER_S_MAX
    assert allow_list.answer(request(b"door"), 6.0)[2] == b"200"


@pytest.mark.parametrize(
    ("frames", "status"),
    [
        ([], b"500"),
        ([b"1.0"], b"500"),
        ([b"1.0", b"7"], b"400"),
        (request(b"door", version=b"2.0"), b"500"),
        (request(b"door", mechanism=b"NULL"), b"400"),
        (request(b"door")[:-1], b"400"),
        ([*request(b"door"), b"more"], b"400"),
        (request(b"\xff\xfe"), b"400"),
    ],
)
def test_every_request_is_answered(frames: list[bytes], status: bytes) -> None:
    """Unknown versions, mechanisms, domains and counts of frames are refused, never left open."""
    answer = AllowList().answer(frames, 0.0)
    assert answer[2] == status
    assert len(answer) == 6


def test_door_key_is_the_same_for_all() -> None:
    """The test's door pair is a pair of 32 bytes, as the transport takes it."""
    assert [len(part) for part in DOOR_PAIR] == [32, 32]
