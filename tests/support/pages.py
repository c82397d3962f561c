"""Markdown pages as the tests run them: their fenced blocks, and the directions in comments before these.

A fence says by its language what becomes of it:

    console   lines after `$ ` are commands, the lines under one are what it prints; `…` stands for anything
    python    a whole program
    toml, ini, json   must parse
    text      a drawing; nothing to run
    sh        the set-up commands and the bench, which .ci/run runs; any other command is refused here

`<!-- run: … -->` on the line above changes that: `file=NAME` saves the block under this name (and does not run
it), `background` leaves its command running until the end of the page, `until="TEXT"` first waits for this
output, `input="…"` is typed (\\n for a new line), `exit=N` is the exit code that is expected.
`<!-- page: discovery -->` anywhere lets the page's nodes find each other, over the loopback interface only.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.sources import REPO

_DIRECTION = re.compile(r"<!--\s*run:\s*(.*?)\s*-->")
_DISCOVERY = re.compile(r"<!--\s*page:\s*discovery\s*-->")


@dataclass(frozen=True)
class Command:
    """A shell command of a console block, and the lines that it is shown to print."""

    text: str
    output: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """One fenced block: where it is, its language, its lines, and the directions before it."""

    line: int
    language: str
    text: str
    directions: dict[str, str] = field(default_factory=dict)

    @property
    def commands(self) -> list[Command]:
        """The commands of a console block, in order."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.startswith("> ") and found and not found[-1][1] and found[-1][0].endswith("\\"):
                found[-1] = (f"{found[-1][0]}\n{line[2:]}", [])
            elif found:
                found[-1][1].append(line)
        return [Command(text, tuple(output)) for text, output in found]


@dataclass(frozen=True)
class Page:
    """A Markdown file."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        """Its path in the repository."""
        return self.path.relative_to(REPO).as_posix()

    @property
    def discovers(self) -> bool:
        """Whether its nodes look for each other."""
        return bool(_DISCOVERY.search(self.text))

    @property
    def blocks(self) -> list[Block]:
        """Its fenced blocks in order."""
        return _blocks(self.text)

    @property
    def links(self) -> list[str]:
        """The targets of its links and pictures."""
        outside = re.sub(r"```.*?```", "", self.text, flags=re.DOTALL)
        return re.findall(r"\]\(([^)\s]+)\)", outside) + re.findall(r'(?:src|href)="([^"]+)"', outside)


def read_page(path: Path) -> Page:
    """The page at this path."""
    return Page(path, path.read_text(encoding="utf-8"))


def all_pages() -> list[Page]:
    """Every Markdown page of the repository."""
    return [read_page(path) for path in [*sorted(REPO.glob("*.md")), *sorted((REPO / "docs").rglob("*.md"))]]


def setup_commands(page: Page) -> list[str]:
    """The lines of the page's `sh` blocks."""
    return [line for block in page.blocks if block.language == "sh" for line in block.text.splitlines() if line]


def _blocks(text: str) -> list[Block]:
    found: list[Block] = []
    directions: dict[str, str] = {}
    opened: tuple[int, str, str] | None = None
    body: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if opened is not None:
            if line.strip() == opened[2]:
                found.append(Block(opened[0], opened[1], "".join(f"{row}\n" for row in body), directions))
                opened, directions, body = None, {}, []
            else:
                body.append(line)
        elif fence := re.fullmatch(r"(`{3,})(\w*)", line.strip()):
            opened = (number, fence.group(2), fence.group(1))
        elif direction := _DIRECTION.search(line):
            directions = _parsed(direction.group(1))
        elif line.strip():
            directions = {}
    return found


def _parsed(text: str) -> dict[str, str]:
    pairs = (word.partition("=") for word in shlex.split(text.replace("\\n", "\n")))
    return {name: value for name, _, value in pairs}
