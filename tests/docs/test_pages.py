"""The documentation: every block of every page runs, every link leads somewhere, every page can be reached."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest

from tests.support.page_runner import PageFailed, PageRunner, output_pattern
from tests.support.pages import Page, all_pages, read_page, setup_commands
from tests.support.ports import named_ports
from tests.support.sources import REPO

PAGES = [page for page in all_pages() if page.blocks]
NAMES_PORT = re.compile(r"localhost:8000|listen( = |=| )\S*:[0-9]")
RUN_ELSEWHERE = {"README.md", "README.zh-CN.md"}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in RUN_ELSEWHERE], ids=lambda page: page.name)
def test_every_block_runs(page: Page, tmp_path: Path) -> None:
    """What the page shows is what happens."""
    with named_ports() if NAMES_PORT.search(page.text) else contextlib.nullcontext():
        PageRunner(page, tmp_path).play()


def test_only_the_readme_leaves_commands_to_ci() -> None:
    """`sh` blocks are not run, so no other page has any."""
    assert [page.name for page in PAGES if setup_commands(page) and page.name not in RUN_ELSEWHERE] == []


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Page) -> None:
    """Links inside the repository name files, and headings, that are there."""
    for link in page.links:
        if re.match(r"https?:|#", link):
            continue
        name, _, heading = link.partition("#")
        target = page.path.parent / name
        assert target.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.M)
            assert heading in {re.sub(r"[^\w-]", "", title.lower().replace(" ", "-")) for title in titles}, link


def test_every_page_is_reachable_from_the_index() -> None:
    """A page that the index does not name is a page that nobody finds."""
    index = read_page(REPO / "docs" / "index.md")
    named = {(index.path.parent / link.partition("#")[0]).resolve() for link in index.links}
    pages = {page.path for page in all_pages() if "docs" in page.path.relative_to(REPO).parts[:1]}
    assert {path.name for path in pages - named} == {"index.md"}


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page: Page) -> None:
    """A source file in backticks, such as `zmqchat/wire/frames.py`, is there."""
    named = set(re.findall(r"`((?:zmqchat|tests|examples|docs)/[\w/.-]+\.\w+)`", page.text))
    templates = {"tests/store/test_writer.py", "zmqchat/store/writer.py"} if page.name == "CONTRIBUTING.md" else set()
    assert {name for name in named - templates if not (REPO / name).exists()} == set()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("```console\n$ false\n```", "exit 1"),
        ("```console\n$ echo one\ntwo\n```", "but prints"),
        ("```python\nassert False\n```", "exit 1"),
        ("```rust\nfn main() {}\n```", "nothing runs"),
        ("<!-- run: exit=3 -->\n```console\n$ true\n```", "not 3"),
        ('<!-- run: background until="never" -->\n```console\n$ echo said\n```', "never says"),
    ],
)
def test_a_wrong_page_is_found(body: str, expected: str, tmp_path: Path) -> None:
    """The runner of pages sees a failing command, wrong output, a broken program and a language it can't run."""
    with pytest.raises(PageFailed, match=expected):
        PageRunner(Page(REPO / "page.md", body), tmp_path).play()


@pytest.mark.parametrize(
    ("shown", "printed", "fits"),
    [
        (("one", "two"), "one\ntwo\n", True),
        (("one", "two"), "one\n", False),
        (("…", "two"), "one\nand\ntwo\n", True),
        (("a … c",), "a b c\n", True),
        (("a … c",), "a b d\n", False),
        (("…",), "", True),
    ],
)
def test_output_patterns(shown: tuple[str, ...], printed: str, fits: bool) -> None:
    """`…` alone stands for any lines, within a line for any characters; the rest is literal."""
    assert bool(re.fullmatch(output_pattern(shown) + r"\s*", printed)) is fits
