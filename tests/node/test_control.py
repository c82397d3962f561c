"""The control server: what a command may do with a running node, and what it may not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.control_clients import Client, Fields, connect
from tests.support.fakenode import FakeNode
from zmqchat.model.limits import CONTROL_CLIENTS_MAX, CONTROL_LINE_BYTES_MAX, CONTROL_REQUESTS_MAX
from zmqchat.node import control
from zmqchat.node.control import ControlServer, peer_uid
from zmqchat.node.control_address import TOKEN_FILE, read_loopback_address
from zmqchat.node.home import control_path


@pytest.fixture
async def node(tmp_path: Path) -> FakeNode:
    """A started node in memory."""
    node = FakeNode(tmp_path)
    await node.start()
    return node


@pytest.fixture
async def server(node: FakeNode) -> AsyncIterator[ControlServer]:
    """Its control server."""
    server = ControlServer(node.as_node(), node.home, {"mesh": "school", "discovery": True})
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(server: ControlServer, node: FakeNode) -> AsyncIterator[Client]:
    """A client of it."""
    client = await connect(node.home)
    yield client
    await client.close()


async def test_status_tells_how_the_node_was_started(client: Client) -> None:
    """A command sees name, id, what disagrees with its options, and what to do where nobody was found."""
    answer = (await client.ask("status"))["done"]
    assert answer["name"] == "ann"
    assert answer["settings"] == {"mesh": "school", "discovery": True}
    assert answer["nobody_found"].startswith("nobody found")


async def test_an_unknown_request_is_refused_and_the_next_one_served(client: Client) -> None:
    """A newer command gets an error that says so, on a connection that goes on."""
    refused = await client.ask("teleport")
    assert refused["error"]["kind"] == "UsageError"
    assert (await client.ask("whoami"))["done"]["name"] == "ann"


async def test_errors_keep_their_class_and_are_one_line(client: Client) -> None:
    """A wrong room name is told with the class that the library would have raised."""
    error = (await client.ask("join", room="\n"))["error"]
    assert error["kind"] == "BadRoomName"
    assert "\n" not in error["text"]


@pytest.mark.parametrize(
    "fields", [{}, {"room": 5}, {"room": "lobby", "last": -1}, {"room": "lobby", "last": True}, {"room": None}]
)
async def test_wrong_fields_are_refused(client: Client, fields: Fields) -> None:
    """A missing or wrongly typed field is the caller's error, never the node's."""
    assert (await client.ask("tail", **fields))["error"]["kind"] == "UsageError"


async def test_peers_rooms_members_and_doctor_are_listed(client: Client, node: FakeNode) -> None:
    """Each list gives an item an entry and then its end."""
    await client.say({"id": "1", "op": "rooms"})
    assert (await client.hear())["item"]["room"]["room"] == "lobby"
    assert (await client.hear())["done"] == {}
    await client.say({"id": "1", "op": "members", "room": "lobby"})
    assert (await client.hear())["item"]["member"]["name"] == "ann"
    assert (await client.hear())["done"] == {}
    assert (await client.ask("peers", all=True))["done"] == {}
    assert (await client.ask("doctor", peer="bob"))["done"]["report"]["peer"] == "bob"
    assert (await client.ask("add_peer", address="10.0.0.2:42100"))["done"] == {}
    assert node.added == ["10.0.0.2:42100"]
    assert (await client.ask("linger", timeout=1))["done"] == {"held": False}
    assert (await client.ask("leave", room="lobby"))["done"] == {"room": "lobby", "was_in": True}
    assert node.rooms == []


async def test_a_line_that_is_no_json_object_ends_the_connection_with_a_word(client: Client, node: FakeNode) -> None:
    """Invalid JSON is answered by one error line and a cut; the node serves others."""
    client.writer.write(b"{nonsense\n")
    assert (await client.hear())["error"]["kind"] == "UsageError"
    assert await client.hear() == {}
    other = await connect(node.home)
    assert "done" in await other.ask("status")
    await other.close()


async def test_nested_json_is_no_way_to_break_the_node(client: Client) -> None:
    """100,000 brackets are answered like any other nonsense."""
    client.writer.write(b"[" * 100_000 + b"\n")
    assert (await client.hear())["error"]["kind"] == "UsageError"


async def test_an_overlong_line_ends_the_connection_with_a_word(client: Client, node: FakeNode) -> None:
    """More than 1 MiB without a newline is cut, whatever it was to become."""
    client.writer.write(b"x" * (CONTROL_LINE_BYTES_MAX + 1024))
    assert (await client.hear())["error"]["kind"] == "UsageError"
    other = await connect(node.home)
    assert "done" in await other.ask("status")
    await other.close()


async def test_a_thousand_connections_leave_32(server: ControlServer, node: FakeNode, client: Client) -> None:
    """Beyond the limit each is told so and cut, and the first go on."""
    assert "done" in await client.ask("status")
    kept, refused = [client], 0
    for _ in range(200):
        other = await connect(node.home)
        answer = await other.ask("status")
        if "done" in answer:
            kept.append(other)
        else:
            refused += 1
            await other.close()
    assert len(kept) == CONTROL_CLIENTS_MAX == server.clients
    assert refused == 200 - CONTROL_CLIENTS_MAX + 1
    assert "done" in await client.ask("status")
    for other in kept[1:]:
        await other.close()


async def test_one_client_has_a_bounded_number_of_requests(client: Client) -> None:
    """The seventeenth that does not end is refused; an id in use is refused too."""
    for number in range(CONTROL_REQUESTS_MAX):
        await client.say({"id": f"tail-{number}", "op": "tail", "room": "lobby", "follow": True})
        assert (await client.hear())["item"] == {"caught_up": True}
    assert (await client.ask("status"))["error"]["kind"] == "UsageError"
    await client.say({"op": "cancel", "id": "tail-0"})
    await client.say({"id": "tail-1", "op": "status"})
    assert (await client.hear())["error"]["kind"] == "UsageError"
    assert "done" in await client.ask("status")


async def test_another_user_is_refused(node: FakeNode, server: ControlServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who connects under another uid gets nothing."""
    monkeypatch.setattr(control, "peer_uid", lambda _connection: 424242)
    client = await connect(node.home)
    with contextlib.suppress(OSError):
        assert await client.ask("status") == {}
    await client.close()


def test_the_other_end_of_a_socket_is_known() -> None:
    """Our own uid is read from a Unix socket pair."""
    import os

    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_uid(ours) == os.geteuid()
    assert peer_uid(None) is None


async def test_the_socket_is_private_and_leaves_with_the_node(node: FakeNode, tmp_path: Path) -> None:
    """It is 0600, takes the place of a stale one, and is gone after the stop."""
    path = control_path(tmp_path)
    path.write_text("left over")
    server = ControlServer(node.as_node(), tmp_path, {})
    await server.start()
    assert path.stat().st_mode & 0o777 == 0o600
    await server.stop()
    assert not path.exists()


async def test_a_home_with_a_long_path_is_reached_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that no Unix socket can have is served by a hashed name in a folder of this user's own."""
    runtime = tmp_path / "run"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    home = tmp_path / ("h" * 120)
    home.mkdir()
    node = FakeNode(home)
    server = ControlServer(node.as_node(), home, {})
    await server.start()
    client = await connect(home)
    assert (await client.ask("whoami"))["done"]["home"] == str(home)
    await client.close()
    await server.stop()


async def test_without_unix_sockets_a_token_opens_a_loopback_port(
    node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Port and token are in a 0600 file; a wrong token gets nothing."""
    monkeypatch.setattr(control, "HAS_UNIX_SOCKETS", False)
    server = ControlServer(node.as_node(), tmp_path, {})
    await server.start()
    assert (tmp_path / TOKEN_FILE).stat().st_mode & 0o777 == 0o600
    address = read_loopback_address(tmp_path)
    assert address is not None
    for token, answer in ((address.token, "done"), ("wrong", None), ("\ud800", None)):
        client = Client(*await asyncio.open_connection("127.0.0.1", address.port))
        await client.say({"token": token})
        with contextlib.suppress(OSError):
            assert (answer in await client.ask("whoami")) == (answer is not None)
        await client.close()
    await server.stop()
    assert read_loopback_address(tmp_path) is None


async def test_a_stop_ends_all_that_is_under_way(node: FakeNode, server: ControlServer, client: Client) -> None:
    """Clients that wait are cut, and no task is left behind."""
    await client.say({"id": "1", "op": "tail", "room": "lobby", "follow": True})
    await client.hear()
    await server.stop()
    assert await client.hear() == {}
    assert server.clients == 0
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("zmqchat control")]


@pytest.mark.parametrize("turns", range(6))
async def test_a_stop_while_a_client_arrives_leaves_nothing(node: FakeNode, server: ControlServer, turns: int) -> None:
    """However far the loop has got with the connection: the client sees its end, and nobody serves it."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(control_path(node.home)))
        for _ in range(turns):
            await asyncio.sleep(0)
        await server.stop()
        assert server.clients == 0
        client.settimeout(5)
        with contextlib.suppress(OSError):
            assert await asyncio.to_thread(client.recv, 1) == b""
