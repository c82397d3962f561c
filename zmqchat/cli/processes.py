"""Processes of our own that take orders and answer in JSON lines: what the bench and the demo start, order and end.

An order is {"do": name, …} on the child's standard input; each gets one answer. A line with the key "event" is no
answer: the child tells it whenever it likes.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zmqchat.model.errors import ZmqChatError

ANSWER_TIMEOUT_S = 300.0
CLOSE_TIMEOUT_S = 10.0
JOIN_TIMEOUT_S = 5.0

Answer = dict[str, Any]


class Process:
    """A child that answers in JSON lines.

    module      what to run, as `python -m` does
    heard       told each event, on a thread of this process
    complaints  file for the child's standard error; None for ours

    A Ctrl-C in the terminal does not reach it: it ends when its standard input does, so also when we die.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        heard: Callable[[Answer], None] | None = None,
        complaints: Path | None = None,
    ) -> None:
        self._heard = heard
        self._complaints = complaints
        self._answers: queue.Queue[Answer | None] = queue.Queue()
        with contextlib.ExitStack() as stack:
            errors = None if complaints is None else stack.enter_context(complaints.open("ab"))
            self._child = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
                start_new_session=True,
            )
        self.pid = self._child.pid
        self._reader = threading.Thread(target=self._read, name=f"answers of {self.pid}", daemon=True)
        self._reader.start()

    def tell(self, order: str, **arguments: Any) -> None:
        """Give an order and do not wait."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps({"do": order, **arguments}) + "\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def answer(self, timeout_s: float = ANSWER_TIMEOUT_S) -> Answer:
        """The next answer; raises ZmqChatError where the process has died or takes too long."""
        try:
            answer = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            raise ZmqChatError(f"process {self.pid} has not answered within {timeout_s:g} s") from None
        if answer is None:
            self._answers.put(None)
            raise self._ended()
        return answer

    def ask(self, order: str, *, timeout_s: float = ANSWER_TIMEOUT_S, **arguments: Any) -> Answer:
        """Give an order and wait for its answer."""
        self.tell(order, **arguments)
        return self.answer(timeout_s)

    def kill(self) -> None:
        """SIGKILL; returns when the process is gone and all that it had told was heard."""
        self._child.kill()
        self._let_go()

    def close(self) -> None:
        """End of input, then of the process; may be called again."""
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.close()
        try:
            self._child.wait(CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
        self._let_go()

    def _let_go(self) -> None:
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.wait()
        self._reader.join(JOIN_TIMEOUT_S)
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.close()
        if not self._reader.is_alive():
            self._child.stdout.close()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            with contextlib.suppress(json.JSONDecodeError):  # the last line of a killed process may be torn
                told: Answer = json.loads(line)
                if "event" not in told:
                    self._answers.put(told)
                elif self._heard is not None:
                    self._heard(told)
        self._answers.put(None)

    def _ended(self) -> ZmqChatError:
        said = ""
        if self._complaints is not None and self._complaints.exists():
            lines = self._complaints.read_text(encoding="utf-8", errors="replace").split("\n")
            said = next((f": {line.strip()}" for line in reversed(lines) if line.strip()), "")
        return ZmqChatError(f"process {self.pid} ended early (exit code {self._child.wait()}){said}")
