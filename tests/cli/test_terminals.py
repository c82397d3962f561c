"""The terminal as a place to draw on: taken whole, drawn on when something changed, given back."""

from __future__ import annotations

import pytest
from rich.text import Text

from zmqchat.cli.terminals import FullScreen, is_drawable


def test_the_screen_is_taken_and_given_back(capsys: pytest.CaptureFixture[str]) -> None:
    """The alternate one, without a cursor, also where drawing fails."""
    with pytest.raises(TypeError), FullScreen() as full:
        full.show(None)  # type: ignore[arg-type]  # something goes wrong
    written = capsys.readouterr().out
    assert written.startswith("\x1b[?1049h\x1b[?25l")
    assert written.endswith("\x1b[?25h\x1b[?1049l")


def test_what_stands_there_is_not_drawn_again(capsys: pytest.CaptureFixture[str]) -> None:
    """Each line is cleared before it is written, what was below goes, and no newline scrolls the last one away."""
    with FullScreen() as full:
        capsys.readouterr()
        full.show([Text("one"), Text("two")])
        assert capsys.readouterr().out == "\x1b[H\x1b[Kone\r\n\x1b[Ktwo\x1b[J"
        full.show([Text("one"), Text("two")])
        assert capsys.readouterr().out == ""
        full.show([Text("one")])
        assert capsys.readouterr().out == "\x1b[H\x1b[Kone\x1b[J"


def test_a_pipe_is_no_place_to_draw() -> None:
    """What captures the output of tests is none either."""
    assert not is_drawable()
