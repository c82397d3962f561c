"""Plays a Markdown page: its files are written, its programs and commands run, and their output compared.

A page has a folder, a home and a mesh of its own. `zmqchat` and `python` are small scripts on its PATH that
keep the nodes on the loopback interface (tests/support/loopback.py).
"""

from __future__ import annotations

import configparser
import json
import os
import re
import secrets
import stat
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.support.loopback import LOOPBACK
from tests.support.pages import Block, Page
from tests.support.programs import Program
from tests.support.sources import REPO

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

COMMAND_TIMEOUT_S = 60.0


class PageFailed(AssertionError):
    """A block of the page does not do what the page shows."""


class Running(NamedTuple):
    """A command that goes on until the end of the page, and what the page shows of its output."""

    program: Program
    block: Block
    expected: str


class PageRunner:
    """Plays the blocks of one page in a folder of its own."""

    def __init__(self, page: Page, folder: Path) -> None:
        self.page = page
        self.folder = folder
        self.running: list[Running] = []
        self.mesh = f"page-{secrets.token_hex(4)}"
        (folder / "work").mkdir()
        self._write_scripts(folder / "bin")
        self.environment = {
            **os.environ,
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "XDG_DATA_HOME": str(folder / "data"),
            "PYTHONPATH": str(REPO),
            "PYTHONUNBUFFERED": "1",
            "PAGE_MESH": self.mesh,
            "PAGE_DISCOVERY": "on" if self.page.discovers else "off",
            "NO_COLOR": "1",
            "COLUMNS": "100",
        }
        self.environment.pop("ZMQCHAT_HOME", None)

    def play(self) -> None:
        """Run all blocks in order; raises PageFailed at the first that does not do what the page shows."""
        try:
            for block in self.page.blocks:
                self._play(block)
            for program, block, expected in self.running:
                if expected and not program.printed_within(expected):
                    raise PageFailed(f"{self._at(block)}: shows\n{block.text}\nbut so far:\n{program.printed}")
        finally:
            for running in reversed(self.running):
                running.program.stop()

    def _play(self, block: Block) -> None:
        name = block.directions.get("file")
        if name:
            target = self.folder / "work" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
        if block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "ini":
            configparser.ConfigParser(strict=False, interpolation=None).read_string(block.text)
        elif block.language == "json":
            for line in block.text.splitlines():
                json.loads(line)
        elif block.language == "python" and not name:
            program = f"block-{block.line}.py"
            (self.folder / "work" / program).write_text(block.text, encoding="utf-8")
            if "background" in block.directions:
                self._start(block, f"python {program}", "", "")
            else:
                self._run(block, f"python {program}", "", "")
        elif block.language == "console":
            for command in block.commands:
                typed = block.directions.get("input", "")
                if "background" in block.directions:
                    self._start(block, command.text, typed, output_pattern(command.output))
                else:
                    self._run(block, command.text, typed, output_pattern(command.output))
        elif block.language not in {"python", "text", "sh"}:
            raise PageFailed(f"{self._at(block)}: nothing runs a block of {block.language or 'no language'}")

    def _run(self, block: Block, command: str, typed: str, expected: str) -> None:
        result = subprocess.run(
            ["bash", "-c", command],
            input=typed,
            text=True,
            cwd=self.folder / "work",
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_TIMEOUT_S,
        )
        code = int(block.directions.get("exit", "0"))
        if result.returncode != code:
            raise PageFailed(f"{self._at(block)}: {command}\nexit {result.returncode}, not {code}:\n{result.stdout}")
        if expected and not re.fullmatch(expected + r"\s*", result.stdout):
            raise PageFailed(f"{self._at(block)}: {command}\nshows\n{block.text}\nbut prints\n{result.stdout}")

    def _start(self, block: Block, command: str, typed: str, expected: str) -> None:
        program = Program(["bash", "-c", f"exec {command}"], self.environment, self.folder / "work")
        self.running.append(Running(program, block, expected))
        if typed:
            program.type(typed)
        until = block.directions.get("until")
        if until and not program.printed_within(re.escape(until)):
            raise PageFailed(f"{self._at(block)}: {command}\nnever says {until!r}:\n{program.printed}")

    def _at(self, block: Block) -> str:
        return f"{self.page.name}:{block.line}"

    def _write_scripts(self, folder: Path) -> None:
        folder.mkdir()
        options = f"--mesh {self.mesh} --interface {LOOPBACK}" + ("" if self.page.discovers else " --no-discovery")
        main = "import sys; from zmqchat.cli.main import main; sys.argv[0] = 'zmqchat'; sys.exit(main())"
        python = f'exec "{sys.executable}"'
        scripts = {
            "zmqchat": f'{python} -c "{main}" {options} "$@"',
            "python": f'{python} "{REPO}/tests/support/loopback.py" "$@"',
        }
        for name, line in scripts.items():
            (folder / name).write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
            (folder / name).chmod(stat.S_IRWXU)


def output_pattern(lines: tuple[str, ...]) -> str:
    """A pattern for what a page shows: `…` alone on a line is any lines, within one any characters."""
    rows = []
    for line in lines:
        if line.strip() == "…":
            rows.append(r"(?:.*\n)*?")
        else:
            rows.append(".*".join(re.escape(part) for part in line.rstrip().split("…")) + r"[ \t]*\n")
    return "".join(rows)
