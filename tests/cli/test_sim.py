"""The command `zmqchat sim`: what it prints, its exit codes, and that a failure comes with what repeats it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zmqchat.cli import sim
from zmqchat.cli.main import run
from zmqchat.protocol.committing import Committing
from zmqchat.protocol.facts import Stored
from zmqchat.sim import running
from zmqchat.sim.options import Options, Outcome

SMALL = ("--nodes", "3", "--duration", "5")


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was printed on standard output."""
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run swarms in this process, where machines may be patched."""
    monkeypatch.setattr(sim, "cores", lambda: 1)


def test_the_first_line_repeats_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    """The command that is printed first gives the very same output."""
    assert run(["sim", "--seed", "5", *SMALL]) == 0
    first = lines_of(capsys)
    assert first[0].startswith("zmqchat sim --seed 5 --scenario ")
    assert run(first[0].split()[1:]) == 0
    assert lines_of(capsys) == first
    assert first[-1] == "passed"
    assert first[1].startswith("digest ")


def test_json_is_one_object_the_same_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output has seed, options, digest, facts and failures; timings are elsewhere."""
    outputs = []
    for _ in range(2):
        assert run(["sim", "--seed", "5", "--scenario", "crashes", "--json", *SMALL]) == 0
        captured = capsys.readouterr()
        outputs.append(captured.out)
        assert "zmqchat sim --seed 5" in captured.err
    assert outputs[0] == outputs[1]
    record = json.loads(outputs[0])
    assert list(record) == ["seed", "options", "digest", "facts", "failed"]
    assert record["options"]["faults"] == ["kill", "power"]
    assert record["failed"] == []


def test_without_a_seed_one_is_drawn_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The drawn seed stands in the first line."""
    assert run(["sim", "--no-faults", "--scenario", "chat", *SMALL]) == 0
    assert "--seed " in lines_of(capsys)[0]


@pytest.mark.usefixtures("_one_process")
def test_a_swarm_counts_what_passed(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 and the tally on the last line."""
    assert run(["sim", "--swarm", "3", "--seed", "1", *SMALL]) == 0
    lines = lines_of(capsys)
    assert lines[0] == "zmqchat sim --swarm 3 --seed 1 --nodes 3 --duration 5"
    assert lines[-1] == "3 passed, 0 failed"


@pytest.mark.usefixtures("_one_process")
def test_a_swarm_ends_at_the_first_failure_and_shrinks_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1, the tally last, and a command that fails in the same way."""
    monkeypatch.setattr(Committing, "_failed", lambda self, fact, at: self._stored(Stored(token=fact.token), at))
    arguments = ["sim", "--swarm", "20", "--seed", "1", "--scenario", "full-disk", "--nodes", "4", "--duration", "12"]
    assert run(arguments) == 1
    lines = lines_of(capsys)
    assert lines[-1].endswith(" passed, 1 failed")
    command = lines[-2].split()
    assert command[:2] == ["zmqchat", "sim"]
    assert int(command[command.index("--nodes") + 1]) < 4
    assert run(command[1:]) == 1
    assert any(line.startswith("failed: ") for line in lines_of(capsys))


def test_a_trace_and_a_picture(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Lines about one message, and its tree as a file."""
    picture = tmp_path / "way.svg"
    arguments = ["sim", "--seed", "5", "--scenario", "chat", "--no-faults", *SMALL]
    assert run([*arguments, "--trace", "--message", "text 2", "--svg", str(picture)]) == 0
    assert any(" FeedReceived " in line for line in lines_of(capsys))
    assert picture.read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.parametrize(
    "wrong",
    [
        ["--fault", "kill", "--no-faults"],
        ["--swarm", "2", "--trace"],
        ["--json", "--trace"],
        ["--scenario", "nothing"],
    ],
)
def test_wrong_usage_is_told_in_one_line(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and nothing is run."""
    assert run(["sim", "--seed", "1", *wrong]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_failed_run_ends_with_code_one(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed is named."""

    def fails(options: Options, *_others: object) -> Outcome:
        return Outcome(seed=options.seed, options=options, digest="00", facts=1, failed=("once: twice",))

    monkeypatch.setattr(sim, "run_checked", fails)
    assert running.run_checked is not fails
    assert run(["sim", "--seed", "1", *SMALL]) == 1
    assert lines_of(capsys)[-1] == "failed: once: twice"
