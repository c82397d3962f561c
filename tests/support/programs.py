"""A program of its own process: what it prints is read as it comes, and it is stopped as a person would."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

WAIT_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0


class Program:
    """A child process with a group of its own; standard error goes where standard output goes."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self.printed = ""
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            command,
            text=True,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def type(self, text: str) -> None:
        """Write to its standard input."""
        assert self.process.stdin
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def printed_within(self, pattern: str, timeout_s: float = WAIT_TIMEOUT_S) -> bool:
        """Whether what it has printed matches the pattern before the time is over or it has ended."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not re.search(pattern, self.printed, re.MULTILINE):
                left = deadline - time.monotonic()
                if left <= 0 or not self._reader.is_alive():
                    break
                self._changed.wait(min(left, 0.2))
            return bool(re.search(pattern, self.printed, re.MULTILINE))

    def wait_for(self, pattern: str, timeout_s: float = WAIT_TIMEOUT_S) -> None:
        """Fails, showing all that it printed, when the pattern is not among it in time."""
        assert self.printed_within(pattern, timeout_s), f"no {pattern!r} in:\n{self.printed}"

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """Send the signal to it and all that it started, then kill what is left; gives the exit code."""
        for each in (how, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, each)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_TIMEOUT_S)
                break
        self._reader.join(STOP_TIMEOUT_S)
        for stream in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):
                assert stream
                stream.close()
        return self.process.returncode

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with self._changed:
                self.printed += line
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()
