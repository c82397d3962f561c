"""The options of a run: the command line that repeats it is read back as the same."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from zmqchat.cli import sim
from zmqchat.sim.draw import draw
from zmqchat.sim.faults import FAULTS
from zmqchat.sim.options import Options, Outcome
from zmqchat.sim.scenarios import SCENARIOS


def _read_back(line: str, monkeypatch: pytest.MonkeyPatch) -> Options:
    """The options that the command line tool runs for this line."""
    ran: list[Options] = []

    def runs(options: Options, *_others: Any) -> Outcome:
        ran.append(options)
        return Outcome(seed=options.seed, options=options, digest="", facts=0)

    monkeypatch.setattr(sim, "run_checked", runs)
    program, command, *arguments = shlex.split(line)
    assert (program, command) == ("zmqchat", "sim")
    sim.run.main(arguments, standalone_mode=False)
    (options,) = ran
    return options


@pytest.mark.parametrize(
    "options",
    [
        Options(seed=0),
        Options(seed=2**32 - 1, scenario="rooms", nodes=17, duration_s=0.1 + 0.2 + 1.0),
        Options(seed=5, duration_s=86_400.0, faults=tuple(sorted(FAULTS))),
        Options(seed=7, scenario="hostile-graft", faults=("loss", "loss")),
    ],
)
def test_a_command_repeats_its_run(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it is drawn anew, not even where there is no trouble at all."""
    assert _read_back(options.command(), monkeypatch) == options


def test_what_is_drawn_is_repeated_by_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """For each scenario."""
    for seed, scenario in enumerate(sorted(SCENARIOS)):
        options = draw(seed, scenario=scenario)
        assert _read_back(options.command(), monkeypatch) == options


def test_a_number_of_seconds_is_written_as_short_as_it_can_be() -> None:
    """Whole ones without a point."""
    assert "--duration 30 " in Options(seed=1, duration_s=30.0).command()
    assert "--duration 2.5 " in Options(seed=1, duration_s=2.5).command()
    assert Options(seed=1).command().endswith("--no-faults")
