"""The files of this repository, as the tests that read sources see them."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
_SKIPPED_FOLDERS = {"build", "dist", "htmlcov", "__pycache__"}


@dataclass(frozen=True)
class Source:
    """One Python file: where it is (relative to the repository, with slashes) and what it says."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed file."""
        return ast.parse(self.text, self.path)

    @cached_property
    def lines(self) -> list[str]:
        """Its lines without their ends."""
        return self.text.splitlines()

    @property
    def parts(self) -> tuple[str, ...]:
        """The names along its path, the last without `.py`."""
        return tuple(self.path.removesuffix(".py").split("/"))


def python_sources(*folders: str) -> list[Source]:
    """All Python files under these folders of the repository, in order of their paths."""
    return [_source(path) for path in _python(*folders)]


def text_files() -> list[Path]:
    """All files that belong to the repository: what git keeps or would keep, or all where there is no git."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(listing, cwd=REPO, text=True, capture_output=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        names = [path.relative_to(REPO).as_posix() for path in REPO.rglob("*")]
    return [REPO / name for name in sorted(names) if (REPO / name).is_file()]


@cache
def _source(path: Path) -> Source:
    """Read and parsed once for all the tests of a run."""
    return Source(path.relative_to(REPO).as_posix(), path.read_text(encoding="utf-8"))


def _python(*folders: str) -> Iterator[Path]:
    for folder in folders:
        for path in sorted((REPO / folder).rglob("*.py")):
            if not any(_skipped(part) for part in path.relative_to(REPO).parts[:-1]):
                yield path


def _skipped(folder: str) -> bool:
    return folder in _SKIPPED_FOLDERS or folder.endswith(".egg-info") or (folder.startswith(".") and folder != ".ci")
