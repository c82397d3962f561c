"""How far a node is that catches up is told on a terminal."""

from __future__ import annotations

import asyncio
import queue
import threading
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.nodes import running
from zmqchat.cli.catching_up import CatchUpWatch
from zmqchat.cli.client import ControlClient, connect
from zmqchat.cli.session import Session
from zmqchat.node.node import Node


class _Node:
    """A session, and its connection, that misses less each time it is asked."""

    def __init__(self, missing: list[int]) -> None:
        self._missing = missing

    def connect(self) -> _Node:
        return self

    def ask(self, _operation: str) -> dict[str, Any]:
        return {"missing": self._missing.pop(0) if self._missing else 0}


@pytest.fixture
def _on_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)


@pytest.mark.usefixtures("_on_terminal")
def test_what_takes_longer_than_a_look_is_told_and_its_end_too() -> None:
    """What is still missing at the second look is told once in a while, then that all is here."""
    told: queue.Queue[str] = queue.Queue()
    with CatchUpWatch(cast("Session", _Node([20_000, 12_345, 5_000])), told.put, 0.001):
        assert told.get(timeout=10) == "catching up: 12,345 messages to come"
        assert told.get(timeout=10) == "caught up"


class _RealSession:
    """A session on a running node, as far as the watch needs one."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.client: ControlClient | None = None

    def connect(self) -> ControlClient:
        self.client = connect(self._home)
        assert self.client is not None
        return self.client


def _hold_back(node: Node, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let the node give nothing of its store until this event is set: else all may be there between two looks."""
    store, go_on = node._core().core.store, threading.Event()
    load_range = store.load_range

    def held_back(*arguments: Any, **options: Any) -> tuple[bytes, ...]:
        go_on.wait(30)
        return load_range(*arguments, **options)

    monkeypatch.setattr(store, "load_range", held_back)
    return go_on


@pytest.mark.usefixtures("_on_terminal")
async def test_a_real_node_tells_how_far_it_is(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newcomer to thousands of messages says how many are to come, fewer than there are, and when all are here."""
    told: queue.Queue[str] = queue.Queue()
    async with running(home, "bob") as bob:
        room = await bob.join("lobby")
        async for _sent in room.send_all(f"text {number}" for number in range(20_000)):
            pass
        async with running(home, "ann") as ann:
            session = _RealSession(ann.home)
            go_on = _hold_back(bob, monkeypatch)
            try:
                with CatchUpWatch(cast("Session", session), told.put, 0.005):
                    ann.add_peer(bob.address)
                    lines = [await asyncio.to_thread(told.get, timeout=30)]
                    go_on.set()
                    while lines[-1] != "caught up":
                        lines.append(await asyncio.to_thread(told.get, timeout=30))
            finally:
                go_on.set()
                if session.client is not None:
                    session.client.close()
            count, of_what = lines[0].removeprefix("catching up: ").split(maxsplit=1)
            assert of_what == "messages to come"
            assert 0 < int(count.replace(",", "")) <= 20_010
            assert len(await (await ann.join("lobby")).history(30_000)) == 20_000


@pytest.mark.usefixtures("_on_terminal")
def test_what_is_quick_is_not_told() -> None:
    """A handful of messages is here by the next look."""
    told: queue.Queue[str] = queue.Queue()
    node = _Node([3, 0, 3, 0, 20_000, 9])
    with CatchUpWatch(cast("Session", node), told.put, 0.001):
        assert told.get(timeout=10) == "catching up: 9 messages to come"
