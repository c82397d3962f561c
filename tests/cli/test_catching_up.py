"""How far a node is that catches up is told on a terminal."""

from __future__ import annotations

import queue
from typing import Any, cast

import pytest

from zmqchat.cli.catching_up import CatchUpWatch
from zmqchat.cli.session import Session


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


@pytest.mark.usefixtures("_on_terminal")
def test_what_is_quick_is_not_told() -> None:
    """A handful of messages is here by the next look."""
    told: queue.Queue[str] = queue.Queue()
    node = _Node([3, 0, 3, 0, 20_000, 9])
    with CatchUpWatch(cast("Session", node), told.put, 0.001):
        assert told.get(timeout=10) == "catching up: 9 messages to come"
