"""The log in the home: what it says, what it never says, and its bounds."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

import pytest

from tests.support.commands import running_node, use_node
from tests.support.fakenode import peer_id
from zmqchat.cli import logfile
from zmqchat.cli.logfile import LOG_FILE, HomeLog, LineLimit, PeerLines
from zmqchat.node.values import Member, MemberJoined, NoticeGiven, Peer, PeerOffline, PeerOnline


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_node_logs_its_start_and_end_and_no_message(home: Path) -> None:
    """One file that only its owner reads, without a word of what was said."""
    with running_node(home) as node:
        assert use_node(home, "send", "lobby", "a secret thing").returncode == 0
        node.stop()
    log = home / LOG_FILE
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    text = log.read_text()
    assert "started: zmqchat " in text.splitlines()[0]
    assert text.splitlines()[-1].endswith("stopped")
    assert "secret" not in text


def test_a_peer_gets_one_line_a_minute() -> None:
    """A peer that comes and goes all the time, or a thousand of them, fill nothing."""
    clock = Clock()
    lines = PeerLines(clock)
    bob, eve = (Peer(peer_id(letter), letter, True, "10.0.0.2:42100") for letter in "be")
    assert "10.0.0.2:42100: online" in str(lines.line_of(PeerOnline(bob)))
    assert lines.line_of(PeerOffline(bob)) is None
    assert lines.line_of(PeerOnline(eve)) is not None
    clock.now_s = 60.0
    assert str(lines.line_of(PeerOffline(bob))).endswith("offline")


def test_notices_are_logged_and_rooms_are_not() -> None:
    """What the user was told stands there; who is in which room is nobody's business."""
    lines = PeerLines(Clock())
    assert lines.line_of(NoticeGiven("set the clock")) == "notice: set the clock"
    assert lines.line_of(MemberJoined("lobby", Member(peer_id("b"), "bob", True))) is None


def test_lines_a_minute_are_bounded() -> None:
    """What repeats itself is cut, but for what is critical."""
    clock = Clock()
    limit = LineLimit(clock)
    warning, critical = (
        logging.LogRecord("zmqchat.x", level, "x.py", 1, "x", None, None)
        for level in (logging.WARNING, logging.CRITICAL)
    )
    assert sum(limit.filter(warning) for _ in range(500)) == logfile.LINES_PER_MINUTE_MAX
    assert limit.filter(critical)
    clock.now_s = 61.0
    assert limit.filter(warning)


def test_the_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files, the older one is dropped for the next; both for their owner alone."""
    monkeypatch.setattr(logfile, "LOG_BYTES_MAX", 500)
    log = HomeLog(tmp_path)
    log.open("started")
    for _ in range(50):
        log.say("x" * 60)
    log.close("stopped")
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [LOG_FILE, f"{LOG_FILE}.1"]
    assert all(file.stat().st_size <= 600 and stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    """Where a folder stands in its place there is no log."""
    (tmp_path / LOG_FILE).mkdir()
    log = HomeLog(tmp_path)
    log.open("started")
    log.say("nobody reads this")
    log.close("stopped")


def test_what_a_terminal_obeys_is_not_written(tmp_path: Path) -> None:
    """Names and addresses come from others; who prints the log is safe from them."""
    log = HomeLog(tmp_path)
    log.open("started")
    log.say("\x1b[2J\u202eevil")
    log.close("stopped")
    text = (tmp_path / LOG_FILE).read_text()
    assert "evil" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
