"""examples/replay.py: real conversations end the same everywhere, and what would not be the same is found."""

from __future__ import annotations

import importlib.util
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.requirements import require
from tests.support.sources import REPO

if importlib.util.find_spec("yaml") is not None:
    from examples import replay
    from examples.replay import Heard, Line

PART = ("--part", "2", "--kills", "2")


@pytest.fixture(autouse=True)
def _corpus() -> None:
    """The conversations are there."""
    for package in ("yaml", "chatterbot_corpus"):
        require(importlib.util.find_spec(package) is not None, f"the package with {package} is not installed")


def test_a_part_of_the_conversations_ends_the_same_everywhere(tmp_path: Path) -> None:
    """Played by four nodes of which two are killed, every store has every line once, in the script's order."""
    done = subprocess.run(
        [sys.executable, str(REPO / "examples" / "replay.py"), *PART],
        env={**os.environ, "PYTHONPATH": str(REPO), "TMPDIR": str(tmp_path)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "every node has every line once" in done.stdout
    assert done.stdout.count("is killed") == 2
    assert list(tmp_path.iterdir()) == []


def test_speakers_take_turns_in_every_language() -> None:
    """Each language is a room, English and Chinese among them; who answers is another than who spoke."""
    script = replay.read_script(["a", "b", "c"], part=1)
    assert len(script) >= 20
    assert {"english", "chinese"} <= set(script)
    for lines in script.values():
        assert all(line.text.strip() for line in lines)
        assert all(one.speaker != other.speaker for one, other in itertools.pairwise(lines))


def test_conversations_are_read_as_they_are(tmp_path: Path) -> None:
    """A conversation is a list of texts, or one text; numbers become texts, blank ones are left out."""
    (tmp_path / "a.yml").write_text("conversations:\n- [Hi, '', 42, null]\n- alone\n", encoding="utf-8")
    (tmp_path / "b.yml").write_text("categories: [none]\nconversations:\n", encoding="utf-8")
    assert list(replay.conversations(tmp_path)) == [["Hi", "42"], ["alone"]]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ([("1", "a", "Hi"), ("2", "b", "Hello")], []),
        ([("1", "a", "Hi"), ("2", "b", "Hallo")], ["other than the script from line 1", "differ"]),
        ([("1", "a", "Hi")], ["1 of 2 lines", "differ", "first line 1"]),
        ([("1", "a", "Hi"), ("3", "b", "Hello")], ["differ", "first line 1"]),
        ([("1", "a", "Hi"), ("2", "b", "Hello"), ("2", "b", "Hello")], ["3 of 2 lines", "differ", "first line 1"]),
    ],
)
def test_whatever_differs_is_named(changed: list[tuple[str, str, str]], expected: list[str]) -> None:
    """Another text, a missing, a replaced and a doubled line of one node are each found."""
    script = {"room": [Line("a", "Hi"), Line("b", "Hello")]}
    good = [Heard("1", "a", "Hi"), Heard("2", "b", "Hello")]
    timelines = {"n1": {"room": good}, "n2": {"room": [Heard(*each) for each in changed]}}
    found = replay.faults(script, timelines, {("room", 1): "2"})
    assert len(found) == len(expected)
    assert all(part in line for part, line in zip(expected, found, strict=True))
