"""`send` in real processes: one text, a stream of lines, how far each is to get, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from tests.support.commands import command_line, environment, free_port, run_command, running, running_node, use_node
from zmqchat.cli.client import connect
from zmqchat.cli.send import Sender
from zmqchat.cli.session import LEAVES_LATER
from zmqchat.model.errors import GOES_ON
from zmqchat.model.ids import parse_message_id

if TYPE_CHECKING:
    from zmqchat.cli.client import ControlClient


def test_a_text_is_stored_and_its_id_printed(home: Path) -> None:
    """Without a running node one is started; what nobody else holds yet is told."""
    done = run_command(home, "send", "lobby", "hello", "--linger", "0")
    assert done.returncode == 0
    assert parse_message_id(done.stdout.strip()) is not None
    assert "stored here only" in done.stderr
    assert done.stderr.count("\n") == 1
    assert run_command(home, "history", "lobby").stdout.endswith(": hello\n")


def test_a_text_reaches_another_node(home: Path) -> None:
    """`--until delivered` waits for a peer that is just being found; the record is as every reader sees it."""
    port = free_port()
    other = home.with_name("other")
    with running_node(other, port=port):
        done = run_command(home, "send", "lobby", "ship it", "--until", "delivered", "--json", peer=port)
        assert (done.returncode, done.stderr) == (0, "")
        record = json.loads(done.stdout)
        assert list(record)[:7] == ["id", "room", "author", "name", "sent_at", "kind", "text"]
        (held,) = record.pop("held")
        assert held["keeper"] is False
        seen = use_node(other, "history", "lobby", "--json").stdout.splitlines()
        assert json.loads(seen[-1]) == record


def test_a_timeout_is_exit_code_3_and_the_message_stays_sent(home: Path) -> None:
    """With nobody there the time is over; the text is stored all the same."""
    done = run_command(home, "send", "lobby", "hello", "--until", "held", "--timeout", "0.2")
    assert done.returncode == 3
    assert done.stdout == ""
    assert "not held within 0.2 s" in done.stderr
    assert done.stderr.endswith("; it leaves when zmqchat next runs on this home\n")
    assert done.stderr.count("\n") == 1
    assert "hello" in run_command(home, "history", "lobby").stdout


def test_each_line_of_standard_input_is_a_message(home: Path) -> None:
    """Blank lines are skipped, bad bytes replaced, an over-long line is an error, and the rest is sent."""
    data = b"one\r\n\n \n\xff\nnul\x00\n" + b"x" * 10_000_000 + b"\nlast"
    with running_node(home):
        done = use_node(home, "send", "lobby", "-", "--json", data=data)
        texts = [json.loads(line)["text"] for line in done.stdout.splitlines()]
        assert texts == ["one", "\ufffd", "nul\x00", "last"]
        assert done.returncode == 1
        assert "10,000,000" in done.stderr
        assert "nul^@" in use_node(home, "history", "lobby").stdout


def test_a_line_is_sent_before_the_next_one_comes(home: Path) -> None:
    """The record of a line is printed while the input is still open."""
    with running_node(home):
        command = [*command_line(home)[:5], "send", "lobby", "-", "--json"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()
        ) as process:
            assert process.stdin
            assert process.stdout
            for text in ("one", "two"):
                process.stdin.write(text.encode() + b"\n")
                process.stdin.flush()
                assert json.loads(process.stdout.readline())["text"] == text
            process.stdin.close()
            assert process.wait(30) == 0


def test_a_stream_larger_than_the_window_arrives_in_order(home: Path) -> None:
    """Some thousands of lines go through a bounded window, each once."""
    data = b"".join(b"%d\n" % number for number in range(3_000))
    with running_node(home):
        done = use_node(home, "send", "lobby", "-", "--json", data=data)
        assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == [str(n) for n in range(3_000)]
        seen = use_node(home, "history", "lobby", "--last", "3000", "--json").stdout.splitlines()
        assert [json.loads(line)["text"] for line in seen] == [str(n) for n in range(3_000)]


def test_an_input_that_breaks_is_told_and_ends_the_command(home: Path) -> None:
    """Where reading gives an error: one line, exit code 1, and nobody waits for more."""
    with running_node(home), unreadable_input() as broken:
        command = [*command_line(home)[:5], "send", "lobby", "-"]
        done = subprocess.run(
            command, stdin=broken, capture_output=True, text=True, timeout=30, check=False, env=environment()
        )
        assert done.returncode == 1
        assert "can't be read any further" in done.stderr
        assert done.stderr.count("\n") == 1


@contextlib.contextmanager
def unreadable_input() -> Iterator[int]:
    """A file descriptor that gives an error when it is read."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class Answers:
    """A node's end of a `send` request: answers each line with the next of these, by the line's number."""

    def __init__(self, *answers: dict[str, object]) -> None:
        self.sent: list[dict[str, object]] = []
        self._items = iter([{"ready": True}, *({"n": n, **answer} for n, answer in enumerate(answers, start=1))])

    def begin(self, _operation: str, **_fields: object) -> str:
        """The request's id."""
        return "1"

    def read(self) -> dict[str, object]:
        """The next item; at the end that was all."""
        item = next(self._items, None)
        return {"id": "1", "done": {}} if item is None else {"id": "1", "item": item}

    def write(self, fields: dict[str, object]) -> None:
        """A line of ours."""
        self.sent.append(fields)


def sender_of(*answers: dict[str, object], until: str = "stored", leaves: bool = False) -> Sender:
    """A sender whose lines are answered so."""
    client = cast("ControlClient", Answers(*answers))
    return Sender(client, "lobby", until, None, False, leaves=leaves)


def test_an_error_of_every_line_is_told_once_with_a_count(capsys: pytest.CaptureFixture[str]) -> None:
    """A full disk fails a thousand lines: one line tells why, one how many; what is stored is printed."""
    full: dict[str, object] = {"error": {"kind": "StoreFull", "text": "no room left"}}
    sender = sender_of({"record": {"id": "m1"}}, *[full] * 1_000)
    assert sender.run(iter(["text"] * 1_001)) == 1
    sender.tell_counts()
    printed = capsys.readouterr()
    assert printed.out == "m1\n"
    assert printed.err.splitlines() == ["zmqchat: no room left", "zmqchat: 1,000 lines were not sent"]


def test_an_error_of_one_line_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is counted where there is nothing more to tell."""
    sender = sender_of({"error": {"kind": "StoreFull", "text": "no room left"}})
    assert sender.run(iter(["text"])) == 1
    sender.tell_counts()
    assert capsys.readouterr().err == "zmqchat: no room left\n"


def test_lines_that_are_late_together_are_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """The same for what reached nobody in time, whether the node stays or leaves with the command."""
    late: dict[str, object] = {"error": {"kind": "DeliveryTimeout", "text": f"not held; {GOES_ON}"}}
    for leaves in (False, True):
        sender = sender_of(*[late] * 50, until="held", leaves=leaves)
        assert sender.run(iter(["text"] * 50)) == 3
        sender.tell_counts()
        told = capsys.readouterr().err.splitlines()
        assert told[-1] == "zmqchat: 50 messages were not held in time"
        assert told[:-1] == ([] if leaves else [f"zmqchat: not held; {GOES_ON}"])
        assert sender.late == ("not held" if leaves else None)


def test_ctrl_c_while_waiting_says_that_the_message_is_stored(home: Path) -> None:
    """One line, without an empty one, where the node stays and where it leaves with the command."""
    for runs, further in ((True, GOES_ON), (False, LEAVES_LATER)):
        with running_node(home) if runs else contextlib.nullcontext():
            with running(home, "send", "lobby", f"hello {runs}", "--until", "held") as waiting:
                seen_in_history(home, f"hello {runs}")
                assert waiting.stop(signal.SIGINT) == 130
            stored = "interrupted: the message is stored here, but not known to be held"
            assert waiting.printed.splitlines()[-1] == f"zmqchat: {stored}; {further}"
            assert "\n\n" not in waiting.printed


def test_ctrl_c_while_lingering_says_that_nobody_has_the_message(home: Path) -> None:
    """Its id is printed already; that it is nowhere else is told before the command ends."""
    with running(home, "send", "lobby", "hello", "--linger", "60") as lingering:
        lingering.wait_for(r"^\S+$")
        assert lingering.stop(signal.SIGINT) == 130
        assert lingering.printed.splitlines()[1:] == [f"zmqchat: interrupted: stored here; {LEAVES_LATER}"]


def test_messages_on_their_way_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Those that have got where they should, or will not in time, count no more."""
    late: dict[str, object] = {"error": {"kind": "DeliveryTimeout", "text": f"not held; {GOES_ON}"}}
    sender = sender_of({"stored": 4}, {"record": {"id": "m1"}}, late, until="held")
    sender.run(iter(["text"] * 4))
    capsys.readouterr()
    sender.tell_interrupted()
    assert "2 messages are stored here, but not known to be held" in capsys.readouterr().err


def seen_in_history(home: Path, text: str) -> None:
    """Wait until the message is durable at the node that runs on this home.

    Only once there is one: else `history` might be the first there, and its node would stay for the other's sake.
    """
    deadline_s = time.monotonic() + 30
    while (client := connect(home)) is None:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    client.close()
    while text not in use_node(home, "history", "lobby").stdout:
        assert time.monotonic() < deadline_s
