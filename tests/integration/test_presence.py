"""Presence at real time: pinged after 2 s, dead after 6 s, offline after 30 s; gone at once with a BYE."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.mesh_processes import MeshProcess, processes

SLACK_S = 2.5
"""What a busy machine may add."""


def peers_of(node: MeshProcess) -> int:
    """How many peers are in touch."""
    return len(node.ask("peers")["peers"])


@pytest.mark.slow
def test_a_silent_peer_is_pinged_dead_and_offline_in_their_time(home: Path) -> None:
    """SIGSTOP: no link after 6 s of silence, told to be offline after 30 s, not before; back once it goes on."""
    with processes(home) as mesh:
        ann = mesh.start("ann", scale=1.0)
        bob = mesh.start("bob", ann, scale=1.0)
        for node in (ann, bob):
            node.ask("linked", count=1)
        asked = ann.tell("went", peer=bob.id)
        bob.pause()
        stopped_s = time.monotonic()
        while peers_of(ann) == 1:
            assert time.monotonic() - stopped_s < 8 + SLACK_S
            time.sleep(0.1)
        dead_s = time.monotonic() - stopped_s
        assert 4.0 - 0.5 < dead_s < 6.0 + SLACK_S, dead_s
        offline_s = ann.answer(asked, 60)["at_s"] - stopped_s
        assert 26.0 < offline_s < 30.0 + 6.0 + SLACK_S, offline_s
        print(f"link dead after {dead_s:.1f} s, offline after {offline_s:.1f} s")
        bob.resume()
        resumed_s = time.monotonic()
        ann.ask("linked", count=1)
        assert time.monotonic() - resumed_s < 5.0


@pytest.mark.slow
def test_a_killed_peer_is_offline_in_time(home: Path) -> None:
    """SIGKILL closes the connection: no link at once, offline after 30 s."""
    with processes(home) as mesh:
        ann = mesh.start("ann", scale=1.0)
        bob = mesh.start("bob", ann, scale=1.0)
        ann.ask("linked", count=1)
        asked = ann.tell("went", peer=bob.id)
        bob.kill()
        killed_s = time.monotonic()
        while peers_of(ann) == 1:
            assert time.monotonic() - killed_s < SLACK_S
            time.sleep(0.02)
        offline_s = ann.answer(asked, 60)["at_s"] - killed_s
        assert 29.0 < offline_s < 30.0 + SLACK_S, offline_s


@pytest.mark.slow
def test_an_idle_link_stays(home: Path) -> None:
    """Nothing said for longer than a link may be silent: pings keep it."""
    with processes(home) as mesh:
        ann = mesh.start("ann", scale=1.0)
        bob = mesh.start("bob", ann, scale=1.0)
        ann.ask("linked", count=1)
        asked = ann.tell("went", peer=bob.id)
        ends_s = time.monotonic() + 10
        while time.monotonic() < ends_s:
            assert peers_of(ann) == 1
            time.sleep(0.2)
        with pytest.raises(AssertionError, match="no answer"):
            ann.answer(asked, 0.1)
