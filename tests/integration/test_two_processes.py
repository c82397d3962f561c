"""Two real processes: talking, stopping, starting again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.mesh_processes import processes, same_timeline
from tests.support.nodes import MESH
from zmqchat import HomeInUse
from zmqchat.sync import Node


def test_one_text_is_durable_on_both(home: Path) -> None:
    """Said by one, on the disk of both, there after both have ended."""
    with processes(home) as mesh:
        ann = mesh.start("ann")
        bob = mesh.start("bob", ann)
        bob.ask("linked", count=1)
        sent = ann.ask("send", text="Hello, World!", until="delivered", timeout=10)
        assert sent["delivered"] == ["bob"]
        same_timeline(ann, bob, count=1)
        ann.kill()
        bob.kill()
        for name in ("ann", "bob"):
            with Node(name, home=home / name, mesh=MESH, listen="127.0.0.1", discovery=False) as node:
                assert [str(m.id) for m in node.join("lobby").history()] == [sent["id"]]


def test_a_clean_stop_is_seen_at_once(home: Path) -> None:
    """BYE: gone within moments, not after the 30 s of silence."""
    with processes(home) as mesh:
        ann = mesh.start("ann", scale=1.0)
        bob = mesh.start("bob", ann, scale=1.0)
        ann.ask("linked", count=1)
        asked = ann.tell("went", peer=bob.id)
        assert bob.ask("stop")["took_s"] < 2.0
        ended_s = time.monotonic()
        assert ann.answer(asked)["at_s"] - ended_s < 0.5


def test_a_second_process_on_one_home_is_refused(home: Path) -> None:
    """It says whose it is; the first goes on."""
    with processes(home) as mesh:
        ann = mesh.start("ann")
        with pytest.raises(HomeInUse, match=str(ann.pid)):
            Node("ann", home=home / "ann", listen="127.0.0.1", discovery=False).start()
        ann.ask("send", text="still here")


def test_many_talk_at_once(home: Path) -> None:
    """Three processes streaming to each other end with one timeline that has all that was told stored."""
    with processes(home) as mesh:
        ann = mesh.start("ann")
        bob = mesh.start("bob", ann)
        cid = mesh.start("cid", ann)
        nodes = (ann, bob, cid)
        for node in nodes:
            node.ask("linked", count=2)
        for node in nodes:
            node.ask("stream", prefix=node.id[:4])
        for node in nodes:
            node.wait_stored(300)
        for node in nodes:
            node.ask("stop_stream")
        timeline = {message[0] for message in same_timeline(*nodes)}
        for node in nodes:
            assert set(node.stored) <= timeline
            assert node.ask("seen", text=next(reversed(ann.stored.values())))["twice"] == 0
