"""`node`: a headless node says who it is, and stops when told to."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.commands import free_port, running_node


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_node_stops_when_told(home: Path, how: signal.Signals) -> None:
    """One signal ends it with exit code 0 or the signal's, without a traceback, and leaves no socket."""
    with running_node(home) as node:
        code = node.stop(how)
        assert code == 0
        assert "Traceback" not in node.printed
    assert not (home / "control.sock").exists()


def test_a_node_tells_who_comes_and_goes(home: Path) -> None:
    """Presence is a line each."""
    port = free_port()
    with running_node(home, port=port) as node:
        with running_node(home.with_name("other"), peer=port):
            node.wait_for("is here")
        node.wait_for("is gone")
