"""Every text scenario plays as it is written; `--rewrite` writes down how it plays now, for a person to read."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.scenarios import FOLDER, BadScenario, Block, read, scenario_files, written
from tests.support.scenarios_stage import Stage, covered, played
from tests.support.scenarios_views import VIEWS
from tests.support.sources import REPO, python_sources

WITHOUT_SCENARIO: dict[str, str] = {}
"""Machines that no scenario is about, and why."""

SCENARIOS_MIN = 40
GUIDE = REPO / "docs" / "internals" / "scenarios.md"


@pytest.mark.parametrize("path", scenario_files(), ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_a_scenario_plays_as_written(path: Path, request: pytest.FixtureRequest) -> None:
    """The trace beside each command is what follows from it; the diff says what is different now."""
    text = path.read_text(encoding="utf-8")
    now = written(played(read(text)))
    if request.config.getoption("--rewrite"):
        path.write_text(now, encoding="utf-8")
        return
    assert now.splitlines() == text.splitlines(), f"{path.name} plays differently: read it after --rewrite"


def test_each_machine_has_a_scenario() -> None:
    """Whoever wants to know what a machine does finds it in a file that `covers` it."""
    machines = {source.parts[-1] for source in python_sources("zmqchat/protocol") if _is_machine(source.tree)}
    told = {name for path in scenario_files() for name in covered(read(path.read_text(encoding="utf-8")))}
    modules = {source.parts[-1] for source in python_sources("zmqchat/protocol")}
    assert machines - told == set(WITHOUT_SCENARIO), "machines without a scenario"
    assert told <= modules, "scenarios of machines that are not there"
    assert len(scenario_files()) >= SCENARIOS_MIN


def test_each_scenario_says_what_it_shows() -> None:
    """A scenario begins with a comment of a sentence, and covers something."""
    for path in scenario_files():
        blocks = read(path.read_text(encoding="utf-8"))
        assert blocks[0].comment.startswith("# "), path
        assert covered(blocks), path


def test_a_planted_difference_is_found() -> None:
    """A line too many, one too few, or another time is another text."""
    blocks = played(read("nodes ann\nshow NodeStarted SetTopics\nstart ann\n"))
    text = written(blocks)
    assert written(played(read(text))) == text
    assert len(blocks[-1].trace) == 2
    blocks[-1].trace[0] = blocks[-1].trace[0].replace("0ms", "1ms")
    assert written(blocks) != written(played(blocks))


def test_columns_are_below_each_other() -> None:
    """What is read is written with one column of bars, comments and blank lines as they were."""
    text = "# A sentence.\nnodes ann\n\nstart ann | 0ms x\n| 1ms y\n"
    blocks = read(text)
    assert blocks[-1] == Block(command="start ann", trace=["0ms x", "1ms y"])
    assert written(blocks) == "# A sentence.\nnodes ann\n\nstart ann | 0ms x\n          | 1ms y\n"


def test_the_guide_shows_a_scenario_that_plays() -> None:
    """The example of the guide is one that could stand among the others."""
    example = GUIDE.read_text(encoding="utf-8").split("```text\n")[1].split("```")[0]
    assert written(played(read(example))) == example


def test_the_guide_names_each_command() -> None:
    """Whoever writes a scenario finds all that can be said."""
    guide = GUIDE.read_text(encoding="utf-8")
    names = {name.removeprefix("do_") for name in vars(Stage) if name.startswith("do_")} | set(VIEWS)
    assert not sorted(name for name in names if not re.search(rf"`{name}\b", guide))


@pytest.mark.parametrize("line", ["dance ann", "show Nothing", "kill bob", "rename ann x", "run"])
def test_a_line_that_means_nothing_is_named(line: str) -> None:
    """A typing mistake ends the scenario with the line that holds it."""
    with pytest.raises(BadScenario, match=line):
        played(read(f"nodes ann\n{line}\n"))


def test_a_trace_without_a_command_is_refused() -> None:
    """A bar at the beginning of a file belongs to nothing."""
    with pytest.raises(BadScenario, match="line 1"):
        read("  | 0ms x")


def _is_machine(tree: ast.AST) -> bool:
    """Whether a module has a class that is a machine."""
    classes = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    return any(isinstance(base, ast.Name) and base.id == "Machine" for node in classes for base in node.bases)
