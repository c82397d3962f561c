"""The line-mode chat in real processes: on plain streams, and with a prompt on a terminal."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

import pytest

from tests.support.commands import command_line, environment, free_port, run_command, running, running_node, use_node
from tests.support.terminal import on_terminal, read_until


def test_what_is_typed_is_said_and_commands_answer(home: Path) -> None:
    """A whole session over a pipe: texts, rooms, members, history, help, what is unknown."""
    typed = "good morning\n/who\n/join kitchen\n//soup\n/rooms\n/leave\n/foo\n/history 5\n/help\n/quit\nnever\n"
    done = run_command(home, "chat", data=typed.encode())
    assert done.returncode == 0, done.stderr
    for words in (
        r"^\d\d:\d\d home: good morning$",
        r"^── kitchen ──$",
        r"^\d\d:\d\d home: /soup$",
        r"> kitchen: 1 member, 1 here now",
        r"you are in kitchen no more",
        r"there is no /foo",
        r"/history \[N\]",
    ):
        assert re.search(words, done.stdout, re.MULTILINE), f"{words} not in {done.stdout}"
    assert "never" not in done.stdout
    assert "Traceback" not in done.stderr


def test_two_people_read_each_other(home: Path) -> None:
    """Presence, texts both ways, and a second chat on one home."""
    port = free_port()
    bob = home.with_name("bob")
    with running(bob, "chat", "--plain", port=port) as at_bob, running(home, "chat", "--plain", peer=port) as at_home:
        at_home.wait_for("bob (is here|joined)")
        at_home.type("hello bob\n")
        at_bob.wait_for(r"home: hello bob$")
        with running(bob, "chat", "--plain") as second:
            second.wait_for(r"home: hello bob$")
            second.type("from the second\n")
            at_home.wait_for("bob: from the second$")
        at_bob.type("/quit\n")
        at_home.wait_for("bob is gone")
        at_home.type("/quit\n")
        assert at_home.process.wait(30) == 0


def test_a_chat_ends_with_its_node(home: Path) -> None:
    """When the node that it uses is gone, a chat says so and ends with exit code 1."""
    with running_node(home) as node, running(home, "chat", "--plain") as chat:
        chat.type("anybody?\n")
        chat.wait_for(": anybody")
        node.stop()
        assert chat.process.wait(30) == 1
        chat.wait_for("is gone|has stopped")
        assert "Traceback" not in chat.printed


def test_ctrl_c_leaves_cleanly(home: Path) -> None:
    """An interrupt is a way to leave like any other."""
    with running(home, "chat", "--plain") as chat:
        chat.wait_for("── lobby")
        chat.stop()
        assert "Traceback" not in chat.printed


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_the_prompt_stays_below_what_arrives(home: Path) -> None:
    """On a terminal: wide characters typed, a message that comes while typing, Ctrl-D, the terminal put right."""
    typed = "half a líne 你好".encode()
    with running_node(home), on_terminal(command_line(home, "chat"), environment()) as terminal:
        shown = read_until(terminal, b"lobby>")
        os.write(terminal, typed)
        use_node(home, "send", "lobby", "meanwhile")
        shown += read_until(terminal, b": meanwhile")
        if typed not in shown.rpartition(b": meanwhile")[2]:
            shown += read_until(terminal, "líne 你好".encode())
        os.write(terminal, b"\r")
        shown += read_until(terminal, b": " + typed)
        if b"lobby>" not in shown.rpartition(typed)[2]:  # while a line is printed, Ctrl-D is the terminal's
            shown += read_until(terminal, b"lobby>")
        os.write(terminal, b"\x04")
        shown += read_until(terminal, None)
    # bracketed paste is switched off again
    assert shown.rindex(b"\x1b[?2004l") > shown.rindex(b"\x1b[?2004h")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_what_is_typed_ahead_waits_for_its_prompt(home: Path) -> None:
    """Lines that are typed while a command runs are taken in order, and not echoed where no prompt stands."""
    with running_node(home), on_terminal(command_line(home, "chat"), environment()) as terminal:
        shown = read_until(terminal, b"lobby>")
        os.write(terminal, b"/join kitchen\r/join garden\r/help\rlast words\r")
        shown += read_until(terminal, b": last words")
        os.write(terminal, b"/quit\r")
        shown += read_until(terminal, None)
    assert not re.search(rb"\n(/join|/help|last)", shown)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_the_terminal_is_silent_between_prompts_and_put_right_after(home: Path) -> None:
    """Echo is off for as long as the chat runs, and on again when it has ended."""
    import termios

    with running_node(home), on_terminal(command_line(home, "chat"), environment()) as terminal:
        was_echoing = termios.tcgetattr(terminal)[3] & termios.ECHO
        read_until(terminal, b"lobby>")
        assert not termios.tcgetattr(terminal)[3] & termios.ECHO
        os.write(terminal, b"/quit\r")
        read_until(terminal, b"\x1b[?2004l")
        deadline_s = time.monotonic() + 20
        while termios.tcgetattr(terminal)[3] & termios.ECHO != was_echoing:
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        read_until(terminal, None)
