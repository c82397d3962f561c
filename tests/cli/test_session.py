"""One node a home, many commands: whoever comes second uses the node of the first."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.commands import command_line, environment, free_port, run_command, running, running_node, use_node
from zmqchat.cli.client import connect
from zmqchat.node.home import Home


def test_two_commands_at_once_both_succeed(home: Path) -> None:
    """The lock decides which of them starts the node; the other uses it."""
    commands = [
        subprocess.Popen(
            command_line(home, "send", "lobby", f"text {number}", "--linger", "0"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        for number in range(3)
    ]
    for command in commands:
        _out, errors = command.communicate(timeout=60)
        assert command.returncode == 0, errors
    assert run_command(home, "history", "lobby").stdout.count(": text ") == 3


def test_options_that_the_running_node_lacks_are_told_and_peers_passed_on(home: Path) -> None:
    """A note names what could not be applied; `--peer` reaches the running node."""
    port = free_port()
    other = home.with_name("other")
    with running_node(home), running_node(other, port=port):
        done = run_command(home, "peers", "--json", peer=port)
        assert "without --listen" in done.stderr
        with running(home, "chat", "--plain") as chat:
            chat.wait_for("other is here|lobby")
        done = use_node(home, "send", "lobby", "hi", "--until", "held", "--timeout", "20")
        assert done.returncode == 0, done.stderr


def test_a_second_node_on_a_home_is_refused(home: Path) -> None:
    """`node` wants a node of its own, and names the process that has it."""
    with running_node(home) as first:
        done = run_command(home, "node")
        assert done.returncode == 1
        assert f"in use by process {first.process.pid}" in done.stderr


def test_a_home_without_a_listening_owner_is_in_use(home: Path) -> None:
    """A process that owns the home and does not answer is named after two seconds."""
    owner = Home.open(home)
    try:
        done = use_node(home, "rooms")
        assert done.returncode == 1
        assert "in use by process" in done.stderr
    finally:
        owner.close()


def test_nothing_is_left_behind(home: Path) -> None:
    """A command that started a node leaves no socket, and the home is free."""
    run_command(home, "rooms")
    assert not (home / "control.sock").exists()
    assert connect(home) is None
    Home.open(home).close()


def test_a_killed_node_leaves_the_home_usable(home: Path) -> None:
    """The stale socket of a killed process is replaced."""
    with running_node(home) as node:
        node.process.kill()
        node.process.wait()
        assert (home / "control.sock").exists()
        assert run_command(home, "rooms").returncode == 0


def test_a_node_stays_while_others_use_it(home: Path) -> None:
    """The node of a command that has ended serves the commands that came meanwhile until they end."""
    with running(home, "chat", "--plain") as chat:
        chat.wait_for("lobby")
        with running(home, "tail", "lobby") as tail:
            chat.type("hello\n")
            tail.wait_for(": hello$")
            chat.type("/quit\n")
            chat.wait_for("staying while 1 other command")
            assert use_node(home, "send", "lobby", "still here").returncode == 0
            tail.wait_for("still here")
        assert chat.process.wait(30) == 0
