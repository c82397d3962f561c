"""`tail` and `history` in real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.commands import environment, run_command, running, running_node, use_node


def test_history_prints_the_last_messages_oldest_first(home: Path) -> None:
    """`--last` cuts from the front, `--json` prints an object a line, an empty room prints nothing."""
    assert run_command(home, "history", "lobby").stdout == ""
    run_command(home, "send", "lobby", "-", "--linger", "0", data=b"1\n2\n3\n")
    assert [line[-4:] for line in run_command(home, "history", "lobby", "--last", "2").stdout.splitlines()] == [
        "e: 2",
        "e: 3",
    ]
    records = [json.loads(line) for line in run_command(home, "history", "lobby", "--json").stdout.splitlines()]
    assert [record["text"] for record in records] == ["1", "2", "3"]


def test_tail_shows_the_last_messages_and_then_what_arrives(home: Path) -> None:
    """Nothing is missed or doubled at the seam, and Ctrl-C ends it without a word."""
    with running_node(home):
        use_node(home, "send", "lobby", "before")
        with running(home, "tail", "lobby") as tail:
            tail.wait_for(": before$")
            use_node(home, "send", "lobby", "after")
            tail.wait_for(": after$")
            assert tail.printed.count(": before") == tail.printed.count(": after") == 1
            assert tail.stop() == 0
            assert "Traceback" not in tail.printed


def test_a_closed_pipe_is_no_failure(home: Path) -> None:
    """`tail … | head -1` ends with exit code 0 and no traceback."""
    run_command(home, "send", "lobby", "-", "--linger", "0", data=b"line\n" * 5_000)
    with running_node(home):
        pipe = 'set -o pipefail; "$0" -m zmqchat --home "$1" tail lobby --last 5000 | head -1'
        done = subprocess.run(
            ["/bin/bash", "-c", pipe, sys.executable, str(home)],
            capture_output=True,
            text=True,
            env=environment(),
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)


def test_a_tail_that_waits_ends_when_its_reader_does(home: Path) -> None:
    """`tail … | head -1` does not wait for the next message, which may never come."""
    with running_node(home):
        use_node(home, "send", "lobby", "only one")
        pipe = 'set -o pipefail; "$0" -m zmqchat --home "$1" tail lobby | head -1'
        done = subprocess.run(
            ["/bin/bash", "-c", pipe, sys.executable, str(home)],
            capture_output=True,
            text=True,
            env=environment(),
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith(": only one\n")


def test_closed_streams_are_no_traceback(home: Path) -> None:
    """Whatever of the three streams is closed, a command runs to its end."""
    with running_node(home):
        for closing, command in ((">&-", "history lobby"), ("2>&-", "history lobby"), ("<&-", "send lobby -")):
            line = f'"$0" -m zmqchat --home "$1" {command} {closing}'
            done = subprocess.run(
                ["/bin/bash", "-c", line, sys.executable, str(home)],
                capture_output=True,
                text=True,
                env=environment(),
                check=False,
                timeout=60,
            )
            assert (done.returncode, done.stderr) == (0, ""), closing
