"""A word about waiting: only on a terminal, only after a while, and taken away again."""

from __future__ import annotations

import io
import sys
import threading

import pytest

from zmqchat.cli import waiting
from zmqchat.cli.waiting import Waiting


class Screen(io.StringIO):
    """A terminal that tells when something is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def isatty(self) -> bool:
        """It is one."""
        return True

    def flush(self) -> None:
        """What was written is there."""
        self.written.set()


def test_the_word_comes_late_and_goes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the wait the line is erased."""
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(waiting, "AFTER_S", 0.01)
    monkeypatch.setenv("TERM", "xterm")
    with Waiting("looking"):
        assert screen.written.wait(10)
    assert screen.getvalue() == "looking …\r\x1b[K"


def test_what_is_quick_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the first second, and anywhere but on a terminal, nothing is written."""
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with Waiting("looking"):
        pass
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    with Waiting("looking"):
        pass
    assert screen.getvalue() == pipe.getvalue() == ""
