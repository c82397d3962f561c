"""The README: what it shows works, both languages say the same, and CI runs its set-up commands word for word."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.page_runner import PageRunner
from tests.support.pages import Page, read_page, setup_commands
from tests.support.requirements import require
from tests.support.sources import REPO

README = read_page(REPO / "README.md")
CHINESE = read_page(REPO / "README.zh-CN.md")
CI = (REPO / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.timeout(300)
def test_the_readme_works(tmp_path: Path) -> None:
    """Every command and program of the README runs, and prints what it shows."""
    PageRunner(README, tmp_path).play()


def test_both_languages_show_the_same_blocks() -> None:
    """The Chinese README, which is not run again, has the blocks of the English one, in order."""
    assert [(block.language, block.text, block.directions) for block in CHINESE.blocks] == [
        (block.language, block.text, block.directions) for block in README.blocks
    ]


def test_both_languages_have_the_same_shape() -> None:
    """The same number of headings and list entries, and the same links but those to each other."""

    def shape(page: Page) -> tuple[int, int, set[str]]:
        links = {link for link in page.links if not link.startswith("README")}
        return len(re.findall("^#", page.text, re.M)), len(re.findall("^- ", page.text, re.M)), links

    assert shape(CHINESE) == shape(README)


def test_set_up_is_two_commands_of_one_line() -> None:
    """The demo, the tests, and the bench are all that this page's runner leaves to CI."""
    demo, tests, bench = setup_commands(README)
    assert demo.endswith(".venv/bin/zmqchat demo")
    assert demo.startswith("python3 -m venv .venv && .venv/bin/pip install .")
    assert tests == '.venv/bin/pip install -e ".[test]" && .venv/bin/python -m pytest -n 3'
    assert bench == ".venv/bin/zmqchat bench"


def test_ci_runs_the_commands_of_the_readme() -> None:
    """`.ci/run` takes its commands out of the README, and what it takes is what this test reads there."""
    line = next(line for line in CI.splitlines() if line.startswith("readme_command()"))
    for number, expected in enumerate(setup_commands(README), start=1):
        shown = subprocess.run(
            ["bash", "-c", f"{line}\nreadme_command {number}"], cwd=REPO, text=True, capture_output=True, check=True
        )
        assert shown.stdout.strip() == expected
    for number in (1, 2):
        assert f'bash -c "$(readme_command {number})"' in CI


def test_ci_is_a_sound_script() -> None:
    """Bash can parse it, it may be executed, and a skipped test fails under it."""
    subprocess.run(["bash", "-n", REPO / ".ci" / "run"], check=True)
    require((REPO / ".ci" / "run").stat().st_mode & 0o111 != 0, "this file system keeps no executable bits")
    assert "ZMQCHAT_TESTS_REQUIRE=all" in CI


def test_the_first_screen_says_what_is_not_private() -> None:
    """Before anything is installed, the reader knows that meshes are open, stores plain and homes copyable."""
    first = README.text[: README.text.index("## Set up")]
    for phrase in ("join and read any room", "stores are not", "copied home is a copied identity"):
        assert phrase in " ".join(first.replace("\n> ", " ").split())


def test_firewall_rules_name_the_ports() -> None:
    """Each firewall's row opens the three TCP ports and UDP 5353."""
    rows = [
        line for line in README.text.splitlines() if (line.startswith("| ") and "allow" in line) or "add-port" in line
    ]
    assert len(rows) == 3
    for row in rows:
        assert re.search(r"42100[:-]42102", row)
        assert "5353" in row
