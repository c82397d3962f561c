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
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from tests.support.loopback import LOOPBACK
from tests.support.pages import Block, Page
from tests.support.sources import REPO

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

COMMAND_TIMEOUT_S = 60.0
BACKGROUND_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0


class PageFailed(AssertionError):
    """A block of the page does not do what the page shows."""


class Background:
    """A command that goes on until the end of the page, and all that it has printed so far."""

    def __init__(self, process: subprocess.Popen[str], block: Block, expected: str) -> None:
        self.process = process
        self.block = block
        self.expected = expected
        self.printed = ""
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, pattern: str, timeout_s: float = BACKGROUND_TIMEOUT_S) -> bool:
        """Whether the pattern was printed within the time."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not re.search(pattern, self.printed, re.MULTILINE):
                left = deadline - time.monotonic()
                if left <= 0 or (not self._reader.is_alive() and not self._changed.wait(0.05)):
                    return bool(re.search(pattern, self.printed, re.MULTILINE))
                self._changed.wait(min(left, 0.5))
            return True

    def stop(self) -> None:
        """End it as Ctrl-C does, with all that it started; by force where that does not help."""
        for how in (signal.SIGINT, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, how)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_TIMEOUT_S)
                break
        self._reader.join(STOP_TIMEOUT_S)
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                with suppress(BrokenPipeError):
                    stream.close()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with self._changed:
                self.printed += line
                self._changed.notify_all()


class PageRunner:
    """Plays the blocks of one page in a folder of its own."""

    def __init__(self, page: Page, folder: Path) -> None:
        self.page = page
        self.folder = folder
        self.running: list[Background] = []
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
            "NO_COLOR": "1",
            "COLUMNS": "100",
        }
        self.environment.pop("ZMQCHAT_HOME", None)

    def play(self) -> None:
        """Run all blocks in order; raises PageFailed at the first that does not do what the page shows."""
        try:
            for block in self.page.blocks:
                self._play(block)
            for background in self.running:
                if background.expected and not background.wait_for(background.expected):
                    shown = background.block.text
                    raise PageFailed(f"{self._at(background.block)}: shows\n{shown}\nbut so far:\n{background.printed}")
        finally:
            for background in reversed(self.running):
                background.stop()

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
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            text=True,
            cwd=self.folder / "work",
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        background = Background(process, block, expected)
        self.running.append(background)
        if process.stdin and typed:
            process.stdin.write(typed)
            process.stdin.flush()
        until = block.directions.get("until")
        if until and not background.wait_for(re.escape(until)):
            raise PageFailed(f"{self._at(block)}: {command}\nnever says {until!r}:\n{background.printed}")

    def _at(self, block: Block) -> str:
        return f"{self.page.name}:{block.line}"

    def _write_scripts(self, folder: Path) -> None:
        folder.mkdir()
        how = "discover" if self.page.discovers else "alone"
        options = f"--mesh {self.mesh} --interface {LOOPBACK}" + ("" if self.page.discovers else " --no-discovery")
        main = "import sys; from zmqchat.cli.main import main; sys.argv[0] = 'zmqchat'; sys.exit(main())"
        python = f'exec "{sys.executable}"'
        scripts = {
            "zmqchat": f'{python} -c "{main}" {options} "$@"',
            "python": f'{python} "{REPO}/tests/support/loopback.py" {self.mesh} {how} "$@"',
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
