"""Starting, ordering and ending the measured processes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from zmqchat.model.errors import ZmqChatError

ANSWER_TIMEOUT_S = 300.0


class Process:
    """A child that answers in JSON lines."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._child.pid

    def tell(self, order: str, **arguments: Any) -> None:
        """Give an order and do not wait."""
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps({"do": order, **arguments}) + "\n")
        self._child.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """The next answer; raises ZmqChatError where the process has died."""
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise ZmqChatError(f"a measured process ended early (exit code {self._child.wait()})")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, order: str, **arguments: Any) -> dict[str, Any]:
        """Give an order and wait for its answer."""
        self.tell(order, **arguments)
        return self.answer()

    def kill(self) -> None:
        """SIGKILL."""
        self._child.kill()
        self._child.wait()

    def close(self) -> None:
        """End of input, then of the process."""
        assert self._child.stdin is not None and self._child.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.close()
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child.stdout.close()


@contextlib.contextmanager
def worker(home: str, *peers: str, listen: str = "127.0.0.1") -> Iterator[tuple[Process, dict[str, Any]]]:
    """A node in a process of its own; and what `open` answered."""
    process = Process("zmqchat.cli.bench.worker")
    try:
        yield process, process.ask("open", home=home, peers=list(peers), listen=listen)
    finally:
        process.close()


@contextlib.contextmanager
def plain(role: str, *arguments: object) -> Iterator[Process]:
    """A yardstick in a process of its own."""
    process = Process("zmqchat.cli.bench.plain", role, *map(str, arguments))
    try:
        yield process
    finally:
        process.close()
