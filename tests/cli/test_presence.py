"""Who comes and goes is told by name, harmlessly."""

from __future__ import annotations

from pathlib import Path

from tests.support.commands import free_port, running_node
from zmqchat.cli.presence import presence_line


def test_presence_lines_are_clean() -> None:
    """Names and rooms of others can't steer the terminal."""
    line = presence_line({"event": "MemberJoined", "id": "a" * 52, "name": "\x1b[2Jx", "room": "r\x9b"})
    assert line is not None
    assert line.isprintable()
    assert presence_line({"event": "NoticeGiven"}) is None


def test_who_comes_is_told_by_name(home: Path) -> None:
    """A peer that was never met before is announced under its nickname."""
    port = free_port()
    with running_node(home, port=port) as node, running_node(home.with_name("other"), peer=port):
        node.wait_for("^other is here$")
