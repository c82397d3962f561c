"""Real node processes for integration tests: started quickly, ordered about, killed at any moment."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.commands import environment
from tests.support.nodes import MESH
from tests.support.sources import REPO

ANSWER_TIMEOUT_S = 30.0
SCALE = 0.1
"""All timings of nodes in integration tests are a tenth of the real ones."""

Answer = dict[str, Any]


class MeshProcess:
    """A node in a process of its own; orders are those of tests/support/mesh_worker.py.

    stored   what its streams told to be durable: text by message id
    address  of its door, id: its peer id in hex; once begun
    """

    def __init__(self, connection: socket.socket) -> None:
        self.pid = int.from_bytes(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 4), sys.byteorder)
        self.stored: dict[str, str] = {}
        self.address = ""
        self.id = ""
        self.began_s = 0.0
        self.ended = False
        self._connection = connection
        self._numbers = itertools.count()
        self._answers: dict[int, Answer] = {}
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self._connection.makefile("rb") as lines, contextlib.suppress(OSError, ValueError):
            for line in lines:
                if not line.endswith(b"\n"):
                    break  # cut by a kill
                record = json.loads(line)
                with self._changed:
                    if "stored" in record:
                        self.stored[record["id"]] = record["stored"]
                    else:
                        self._answers[record.pop("n")] = record
                    self._changed.notify_all()
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def tell(self, order: str, **arguments: Any) -> int:
        """Give an order; `answer` fetches what comes of it."""
        number = next(self._numbers)
        self._connection.sendall(json.dumps({"n": number, "do": order, **arguments}).encode() + b"\n")
        return number

    def answer(self, number: int, timeout_s: float = ANSWER_TIMEOUT_S) -> Answer:
        """What came of an order."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while number not in self._answers:
                left_s = deadline_s - time.monotonic()
                assert not self.ended, "the process has ended"
                assert left_s > 0, f"no answer within {timeout_s:g} s"
                self._changed.wait(left_s)
            answer = self._answers.pop(number)
        assert "error" not in answer, answer["error"]
        return answer

    def ask(self, order: str, timeout_s: float = ANSWER_TIMEOUT_S, **arguments: Any) -> Answer:
        """Give an order and wait for what comes of it."""
        return self.answer(self.tell(order, **arguments), timeout_s)

    def wait_stored(self, more_than: int) -> None:
        """Wait until the streams have told of more than so many."""
        with self._changed:
            done = self._changed.wait_for(lambda: len(self.stored) > more_than or self.ended, ANSWER_TIMEOUT_S)
        assert done and not self.ended

    def texts(self, room: str = "lobby") -> list[list[Any]]:
        """Its timeline: id, log number and text of each."""
        return list(self.ask("texts", room=room)["texts"])

    def kill(self) -> None:
        """SIGKILL, and wait until all that it said is read."""
        os.kill(self.pid, signal.SIGKILL)
        self._reader.join(ANSWER_TIMEOUT_S)
        self.ended = True

    def pause(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Stop the node properly where it still lives."""
        if not self.ended:
            with contextlib.suppress(AssertionError, OSError):
                self.ask("stop", 5.0)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self._reader.join(5)
        self._connection.close()


class Processes:
    """The processes of a test; their homes lie in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "s"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen()
        self._listener.settimeout(60)
        self._mother = subprocess.Popen(
            [sys.executable, "-m", "tests.support.mesh_worker"],
            stdin=subprocess.PIPE,
            env=environment(),
            cwd=REPO,
            text=True,
        )
        self._started: list[MeshProcess] = []

    def start(
        self, name: str, *others: MeshProcess, home: str | None = None, scale: float = SCALE, **settings: Any
    ) -> MeshProcess:
        """A node on the loopback interface, told of the others."""
        process = self.process()
        number = process.tell(
            "begin",
            name=name,
            home=str(self.folder / (home or name)),
            mesh=MESH,
            listen=settings.pop("listen", "127.0.0.1"),
            peers=[other.address for other in others],
            scale=scale,
            **settings,
        )
        answer = process.answer(number)
        process.id, process.address, process.began_s = answer["id"], answer["address"], answer["at_s"]
        return process

    def process(self) -> MeshProcess:
        """A process that is no node yet."""
        assert self._mother.stdin
        self._mother.stdin.write(f"{self._path}\n")
        self._mother.stdin.flush()
        process = MeshProcess(self._listener.accept()[0])
        self._started.append(process)
        return process

    def close(self) -> None:
        """End all."""
        for process in self._started:
            if not process.ended:
                with contextlib.suppress(ProcessLookupError):
                    process.resume()
            process.close()
        assert self._mother.stdin
        self._mother.stdin.close()
        self._mother.wait(10)
        self._listener.close()


@contextlib.contextmanager
def processes(folder: Path) -> Iterator[Processes]:
    """Processes with homes in this folder, ended with the block."""
    started = Processes(folder)
    try:
        yield started
    finally:
        started.close()


def same_timeline(
    *nodes: MeshProcess, count: int | None = None, timeout_s: float = ANSWER_TIMEOUT_S
) -> list[list[Any]]:
    """Wait until all nodes show one timeline (of so many texts), each message once; gives it."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        timelines = [node.texts() for node in nodes]
        first = timelines[0]
        if all(timeline == first for timeline in timelines) and (count is None or len(first) == count):
            assert len({message[0] for message in first}) == len(first), "a message is there twice"
            return first
        assert time.monotonic() < deadline_s, f"timelines of {[len(timeline) for timeline in timelines]}, not {count}"
        time.sleep(0.05)
