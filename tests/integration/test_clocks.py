"""Wall clocks that are wrong by a year."""

from __future__ import annotations

from pathlib import Path

from tests.support.mesh_processes import processes, same_timeline
from tests.support.nodes import MESH

YEAR_S = 365 * 86_400.0


def test_a_peer_a_year_ahead_moves_nobody_else(home: Path) -> None:
    """What it says is stored and at one place of the timeline everywhere; what others say stays before it."""
    with processes(home) as mesh:
        ann = mesh.start("ann")
        bob = mesh.process()
        bob.ask("clock", ahead_s=YEAR_S)
        bob.ask(
            "begin", name="bob", home=str(home / "bob"), listen="127.0.0.1", peers=[ann.address], scale=0.1, mesh=MESH
        )
        bob.ask("linked", count=1)
        bob.ask("send", text="from next year", until="delivered", timeout=10)
        ann.ask("send", text="from this year", until="delivered", timeout=10)
        cid = mesh.start("cid", ann)
        cid.ask("seen", text="from this year")
        cid.ask("send", text="also this year", until="held", timeout=10)
        timeline = same_timeline(ann, bob, cid, count=3)
        assert [text for _id, _log, text in timeline] == ["from this year", "also this year", "from next year"]


def test_our_own_clock_put_right_begins_a_log_and_goes_on(home: Path) -> None:
    """While running and after a restart: sends go on, a peer takes them all, nothing is lost."""
    with processes(home) as mesh:
        bob = mesh.start("bob")
        ann = mesh.start("ann", bob)
        ann.ask("send", text="before", until="held", timeout=10)
        ann.ask("clock", ahead_s=YEAR_S)
        ann.ask("send", text="a year ahead", until="held", timeout=10)
        ann.ask("clock", ahead_s=0.0)
        ann.ask("send", text="put right", until="held", timeout=10)
        ann.close()
        ann = mesh.start("ann", bob)
        ann.ask("send", text="after a restart", until="held", timeout=10)
        timeline = same_timeline(ann, bob, count=4)
        assert [text for _id, _log, text in timeline] == ["before", "put right", "after a restart", "a year ahead"]
        assert len({log for _id, log, _text in timeline}) == 2


def test_a_restart_after_the_clock_was_put_right(home: Path) -> None:
    """The store holds sends of next year; the next run draws a new log and goes on from now."""
    with processes(home) as mesh:
        bob = mesh.start("bob")
        ann = mesh.start("ann", bob)
        ann.ask("clock", ahead_s=YEAR_S)
        ann.ask("send", text="a year ahead", until="held", timeout=10)
        ann.close()
        ann = mesh.start("ann", bob)
        ann.ask("send", text="now", until="held", timeout=10)
        assert [text for _id, _log, text in same_timeline(ann, bob, count=2)] == ["now", "a year ahead"]
