"""Copied homes, restored backups, two live nodes with one identity: both histories stay, both users are told."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.mesh_processes import MeshProcess, processes, same_timeline


def say(node: MeshProcess, *texts: str) -> None:
    """Send texts, each held by another before the next."""
    for text in texts:
        node.ask("send", text=text, until="held", timeout=20)


def texts_of(timeline: list[list[str]]) -> set[str]:
    """What was said."""
    return {text for _id, _log, text in timeline}


def test_a_restored_backup_keeps_both_histories(home: Path) -> None:
    """What was said after the backup comes back from a peer, and what is said from now on has another log."""
    with processes(home) as mesh:
        bob = mesh.start("bob")
        ann = mesh.start("ann", bob)
        say(ann, "one", "two")
        ann.close()
        shutil.copytree(home / "ann", home / "backup")
        ann = mesh.start("ann", bob)
        say(ann, "three", "four")
        ann.close()
        shutil.rmtree(home / "ann")  # its inodes may be given to the restored files
        shutil.copytree(home / "backup", home / "ann")
        ann = mesh.start("ann", bob)
        say(ann, "five")
        timeline = same_timeline(ann, bob, count=5)
        assert texts_of(timeline) == {"one", "two", "three", "four", "five"}
        assert len({log for _id, log, _text in timeline}) == 2


def test_a_snapshot_put_back_in_place_keeps_both_histories(home: Path) -> None:
    """The same file with older bytes, as a virtual machine's snapshot: what nothing here tells, a peer does."""
    with processes(home) as mesh:
        bob = mesh.start("bob")
        ann = mesh.start("ann", bob)
        say(ann, "one", "two")
        ann.close()
        snapshot = (home / "ann" / "store" / "data.mdb").read_bytes()
        ann = mesh.start("ann", bob)
        say(ann, "three", "four")
        ann.close()
        (home / "ann" / "store" / "data.mdb").write_bytes(snapshot)
        ann = mesh.start("ann", bob)
        ann.ask("send", text="at once")
        ann.ask("linked", count=1)
        say(ann, "later")
        timeline = same_timeline(ann, bob, count=6)
        assert texts_of(timeline) == {"one", "two", "three", "four", "at once", "later"}


def test_a_copied_home_used_in_turn_keeps_both_histories(home: Path) -> None:
    """The copy writes under a number of its own, so neither it nor the original is a fork."""
    with processes(home) as mesh:
        bob = mesh.start("bob")
        ann = mesh.start("ann", bob)
        say(ann, "one")
        ann.close()
        shutil.copytree(home / "ann", home / "copy")
        copy = mesh.start("ann", bob, home="copy")
        say(copy, "from the copy")
        copy.close()
        ann = mesh.start("ann", bob)
        say(ann, "from the original")
        timeline = same_timeline(ann, bob, count=3)
        assert texts_of(timeline) == {"one", "from the copy", "from the original"}
        assert not [notice for notice in bob.ask("notices")["notices"] if "histories" in notice]


def test_two_live_nodes_with_one_identity_are_told(home: Path) -> None:
    """Both users learn of it; what either says is kept."""
    with processes(home) as mesh:
        bob = mesh.start("bob")
        ann = mesh.start("ann", bob)
        say(ann, "one")
        ann.close()
        shutil.copytree(home / "ann", home / "copy")
        ann = mesh.start("ann", bob)
        say(ann, "from the original")
        copy = mesh.start("ann", bob, home="copy", config={"penalty_max_s": 10.0})  # how long a refused one waits
        asked = [(node, node.tell("notices", containing="two running nodes")) for node in (ann, copy, bob)]
        for node, number in asked:
            assert any("two running nodes" in notice for notice in node.answer(number)["notices"])
        copy.ask("send", text="from the copy")
        ann.close()
        copy.ask("linked", count=1)
        assert texts_of(same_timeline(copy, bob, count=3)) == {"one", "from the original", "from the copy"}
