"""Children that answer in JSON lines: orders, events, and how each end of them is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from zmqchat.cli.processes import Answer, Process
from zmqchat.model.errors import ZmqChatError

CHILD = """
import json, sys
for line in sys.stdin:
    order = json.loads(line)
    if order["do"] == "die":
        raise SystemError("out of luck")
    if order["do"] == "echo":
        print(json.dumps({"event": "seen", "text": order["text"]}), flush=True)
        print(json.dumps({"text": order["text"]}), flush=True)
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The module of a child that echoes."""
    (tmp_path / "echoing_child.py").write_text(CHILD, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "echoing_child"


def test_an_order_gets_its_answer_and_events_go_elsewhere(child: str) -> None:
    """Answers come in order; what the child tells by itself is given to `heard`."""
    heard: list[Answer] = []
    process = Process(child, heard=heard.append)
    process.tell("echo", text="one")
    assert process.ask("echo", text="zwei ü") == {"text": "one"}
    assert process.answer() == {"text": "zwei ü"}
    process.close()
    assert [event["text"] for event in heard] == ["one", "zwei ü"]


def test_a_silent_child_is_not_waited_for_without_end(child: str) -> None:
    """An answer that does not come in time is an error."""
    process = Process(child)
    with pytest.raises(ZmqChatError, match=r"not answered within 0\.05 s"):
        process.ask("nothing", timeout_s=0.05)
    process.close()


def test_an_early_end_is_told_with_its_last_words(child: str, tmp_path: Path) -> None:
    """Whoever waits for an answer, and whoever orders afterwards, learns why the child has died."""
    process = Process(child, complaints=tmp_path / "complaints")
    with pytest.raises(ZmqChatError, match=r"exit code 1\): SystemError: out of luck"):
        process.ask("die")
    with pytest.raises(ZmqChatError, match="ended early"):
        process.ask("echo", text="anybody there?")
    process.close()


def test_what_a_killed_child_has_told_is_heard(child: str) -> None:
    """After `kill` the child is gone and nothing that it wrote is lost."""
    heard: list[Answer] = []
    process = Process(child, heard=heard.append)
    process.ask("echo", text="one")
    process.kill()
    assert [event["text"] for event in heard] == ["one"]
    with pytest.raises(ZmqChatError, match="exit code -9"):
        process.answer()
