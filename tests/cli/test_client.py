"""The control client: requests, answers, refusals, and a node that goes away or speaks nonsense."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from zmqchat.cli.client import ControlClient, Disconnected, Refused, connect
from zmqchat.model.errors import DeliveryTimeout, ZmqChatError


@pytest.fixture
def ends() -> Iterator[tuple[ControlClient, socket.socket]]:
    """A client and the node's end of its connection."""
    ours, theirs = socket.socketpair()
    client = ControlClient(ours)
    yield client, theirs
    client.close()
    theirs.close()


def _answers(node: socket.socket, *lines: object) -> None:
    """Answer the next request with these lines."""

    def answer() -> None:
        request = json.loads(node.makefile("rb").readline())
        for line in lines:
            data = line if isinstance(line, bytes) else json.dumps({"id": request["id"], **line}).encode()  # type: ignore[dict-item]  # lines are bytes or dicts
            node.sendall(data + b"\n")

    threading.Thread(target=answer, daemon=True).start()


def test_items_come_before_done(ends: tuple[ControlClient, socket.socket]) -> None:
    """`items` gives the items alone, `ask` what stands in the last answer."""
    client, node = ends
    _answers(node, {"item": {"n": 1}}, {"item": {"n": 2}}, {"done": {}})
    assert list(client.items("rooms")) == [{"n": 1}, {"n": 2}]
    _answers(node, {"done": {"held": True}})
    assert client.ask("linger") == {"held": True}


def test_a_refusal_keeps_its_class(ends: tuple[ControlClient, socket.socket]) -> None:
    """What the node raised there is known here by its class; an unknown one is the root."""
    client, node = ends
    _answers(node, {"error": {"kind": "DeliveryTimeout", "text": "late"}})
    with pytest.raises(Refused, match="late") as raised:
        client.ask("wait")
    assert raised.value.original is DeliveryTimeout
    assert Refused("os", "x").original is ZmqChatError


@pytest.mark.parametrize("line", [b"not json", b"[1]", b"\xff", b"{"])
def test_nonsense_is_a_broken_connection(line: bytes, ends: tuple[ControlClient, socket.socket]) -> None:
    """A socket that speaks something else is no node."""
    client, node = ends
    _answers(node, line)
    with pytest.raises(Disconnected, match="does not speak"):
        client.ask("status")


def test_a_node_that_goes_away_is_told(ends: tuple[ControlClient, socket.socket]) -> None:
    """Reading and writing both say that it is gone."""
    client, node = ends
    node.close()
    with pytest.raises(Disconnected, match="is gone"):
        client.ask("status")


def test_an_error_without_id_ends_the_connection(ends: tuple[ControlClient, socket.socket]) -> None:
    """Too many clients: the node says so before it cuts."""
    client, node = ends
    _answers(node, b'{"error": {"kind": "ControlError", "text": "32 commands use this node"}}')
    with pytest.raises(Refused, match="32 commands"):
        client.ask("status")


def test_no_node_is_no_error(home: Path) -> None:
    """Where nobody listens there is no client."""
    assert connect(home) is None
