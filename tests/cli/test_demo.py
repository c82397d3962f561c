"""The demo: its verdict, its face, and the whole of it as its first user sees it."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.commands import environment
from tests.support.programs import Program
from zmqchat.cli import output
from zmqchat.cli.demo import command, story
from zmqchat.cli.demo.cast import Acknowledged
from zmqchat.cli.demo.screen import Screen
from zmqchat.cli.demo.verdict import Timeline, agree, faults

WHOLE = Timeline(("1", "2", "3"), ("one", "two", "three"))
SWAPPED = Timeline(("2", "1", "3"), ("two", "one", "three"))
SHORT = Timeline(("1", "3"), ("one", "three"))
PROMISED = {"1": "one", "2": "two"}


def test_equal_timelines_have_no_fault() -> None:
    """All ids in one order, and what was acknowledged among them, is what the demo wants."""
    assert agree({"ann": WHOLE, "bob": WHOLE})
    assert faults({"ann": WHOLE, "bob": WHOLE}, PROMISED) == []


def test_a_missing_acknowledged_message_is_named() -> None:
    """Whoever lacks a promised message is named with its text, and the digests that differ are shown."""
    lacks, differ = faults({"ann": WHOLE, "bob": SHORT}, PROMISED)
    assert lacks == "bob lacks 1 of 2 acknowledged messages: 'two'"
    assert differ == f"the timelines differ: ann {WHOLE.digest}, bob {SHORT.digest}"


def test_another_order_is_a_fault() -> None:
    """The same messages in another order are no equal timelines."""
    assert not agree({"ann": WHOLE, "bob": SWAPPED})
    assert len(faults({"ann": WHOLE, "bob": SWAPPED}, PROMISED)) == 1


def test_a_repeated_text_is_a_fault() -> None:
    """A text that is there under two ids was doubled."""
    doubled = Timeline(("1", "2", "3"), ("one", "two", "two"))
    assert faults({"ann": doubled}, PROMISED) == ["ann has more than once: 'two'"]


def test_many_missing_messages_make_one_line() -> None:
    """Only the first are shown."""
    promised = {str(number): f"text {number}" for number in range(10)}
    line = faults({"ann": Timeline((), ())}, promised)[0]
    assert line == "ann lacks 10 of 10 acknowledged messages: 'text 0', 'text 1', 'text 2' and 7 more"


def test_a_digest_can_be_read_aloud() -> None:
    """Four groups of four digits; another order gives another digest."""
    assert re.fullmatch(r"([0-9a-f]{4}-){3}[0-9a-f]{4}", WHOLE.digest)
    assert WHOLE.digest != SWAPPED.digest


def test_promises_are_counted_once_an_id() -> None:
    """The same acknowledgement again is no further promise."""
    acknowledged = Acknowledged()
    acknowledged.add("1", "one")
    acknowledged.add("1", "one")
    assert acknowledged.texts() == {"1": "one"}
    assert acknowledged.wait(1, 0)
    assert not acknowledged.wait(2, 0)


def test_nobody_watching_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """In a pipe each line of the story is one line, however long, without a table or colours."""
    screen = Screen(("ann", "bob"), Console(file=io.StringIO(), width=20))
    with screen.shown(), screen.waiting("nothing"):
        screen.step("They talk")
        screen.said("ann", "a text that is longer than a line", "on its disk")
        screen.counts("ann", ("bob",), 1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("1  They talk   ")
    assert lines[2] == "     ann: a text that is longer than a line  (on its disk)"
    assert len(lines) == 3


def test_whoever_watches_sees_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the table names each node, its state, whom it is in touch with and what is waited for."""
    monkeypatch.setattr("zmqchat.cli.demo.screen.SAID_PAUSE_S", 0.0)
    written = io.StringIO()
    screen = Screen(("ann", "bob"), Console(file=written, width=80, height=24, force_terminal=True, no_color=True))
    screen.state("ann", "running")
    screen.counts("ann", ("bob",), 17)
    with screen.waiting("a good reason"), screen.shown():
        screen.tell("Something happens.")
    shown = written.getvalue()
    assert re.search(r"ann .*running .*bob .*17", shown)
    assert re.search(r"bob .*not started", shown)
    assert "a good reason" in shown
    assert "Something happens." in shown


@pytest.mark.parametrize(("wrong", "code"), [([], output.DONE), (["bob lacks all"], output.FAILED)])
def test_the_exit_code_is_the_verdict(
    wrong: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 only where nothing is wrong; else what is wrong is printed."""
    monkeypatch.setattr(story.Story, "play", lambda self: wrong)
    assert command.run.main([], standalone_mode=False) == code
    assert all(line in capsys.readouterr().out for line in wrong)


def demo(folder: Path) -> Program:
    """`zmqchat demo` with its output in a pipe and its temporary files in a folder of ours."""
    variables = {**environment(), "TMPDIR": str(folder)}
    return Program([sys.executable, "-m", "zmqchat", "demo"], variables, folder)


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    """Stopped in the middle, the demo ends its processes, removes their homes and says no word of an error."""
    with demo(tmp_path) as program:
        program.wait_for("They talk")
        os.kill(program.process.pid, signal.SIGINT)  # to the demo alone: its nodes are its own to end
        assert program.process.wait(10) == output.INTERRUPTED
    assert "Traceback" not in program.printed
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_demo_shows_what_it_promises(tmp_path: Path) -> None:
    """The README's first command ends in under 40 s with five equal digests, exit code 0 and no file left."""
    with demo(tmp_path) as program:
        assert program.process.wait(40) == output.DONE, program.printed
    digests = re.findall(r"^ +(ann|bob|cem|dee|eve) +\d+ messages +([0-9a-f-]{19})", program.printed, re.MULTILINE)
    assert [name for name, _digest in digests] == ["ann", "bob", "cem", "dee", "eve"]
    assert len({digest for _name, digest in digests}) == 1
    assert "All five are equal" in program.printed
    assert list(tmp_path.iterdir()) == []
