"""Nodes on the hosts of tests/support/namespaces.py, each in a process of its own, with real timings.

with lan(hosts=3) as network, crew(tmp_path) as nodes:
    ann, ben, cas = nodes.start(*network.hosts)     # imported and idle
    open_all(ann, ben, cas)                         # nodes from now on
    link_all(ann, ben, cas)
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.support.namespaces import Host

REPOSITORY = Path(__file__).parents[2]
START_S = 30.0
"""What an interpreter may take until it has imported everything on a busy machine."""

PATIENCE_S = 20.0
"""Far more than anything takes; what must be quick is timed by its test."""

STATE_CHARACTERS = 4_000
"""How much is shown of the state of a node that did not do in time what it was told."""

GRACE_S = 10.0
"""What an answer may take beyond the time that its order was given."""

Answer = dict[str, Any]


class Mother:
    """The process that all nodes of this test run are forked from, tests/support/node_worker.py."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.node_worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                cwd=REPOSITORY,
            )
        self._lock = threading.Lock()
        atexit.register(self._close)

    def bear(self, namespace: str, log: Path) -> tuple[int, socket.socket]:
        """A worker in this namespace: its process id and the connection with it."""
        ours, theirs = socket.socketpair()
        with theirs, log.open("ab") as complaints, self._lock:
            socket.send_fds(self._requests, [namespace.encode()], [theirs.fileno(), complaints.fileno()])
            return int(self._requests.recv(64)), ours

    def _close(self) -> None:
        self._requests.close()
        self._process.wait(GRACE_S)


@functools.cache
def mother() -> Mother:
    """The one of this process, started when it is first needed."""
    return Mother()


class NodeProcess:
    """A node on a host; orders are those of tests/support/node_worker.py.

    id        its peer id in hex, once open
    ports     its door, direct and feed, once open
    opened_s  when it was told to be a node
    """

    def __init__(self, host: Host, home: Path) -> None:
        self.host = host
        self.name = home.name
        self.home = home
        self.id = ""
        self.ports = (0, 0, 0)
        self.opened_s = 0.0
        self._part = b""
        self._log = home.parent / f"{home.name}.log"
        self._pid, self._connection = mother().bear(host.namespace, self._log)
        self._ended: int | None = os.pidfd_open(self._pid)

    def tell(self, order: str, *, within_s: float = PATIENCE_S, **arguments: Any) -> None:
        """Give an order whose answer is fetched later."""
        self._connection.sendall(json.dumps({"do": order, "within_s": within_s, **arguments}).encode() + b"\n")

    def answer(self, within_s: float = PATIENCE_S) -> Answer:
        """The next answer; AssertionError with the node's state where it was not done in time."""
        line = self._line(within_s + GRACE_S)
        answer: Answer = json.loads(line)
        assert not answer.pop("timed_out", False), (
            f"{self.name} not within {within_s:g} s: {json.dumps(answer)[:STATE_CHARACTERS]}"
        )
        return answer

    def ask(self, order: str, *, within_s: float = PATIENCE_S, **arguments: Any) -> Answer:
        """Give an order and wait for its answer."""
        self.tell(order, within_s=within_s, **arguments)
        return self.answer(within_s)

    def tell_open(self, **settings: Any) -> None:
        """Be a node, with the settings of `Node`."""
        self.opened_s = time.monotonic()
        self.tell("open", name=self.name, home=str(self.home), **settings)

    def is_open(self) -> None:
        """Wait until it is one."""
        answer = self.answer()
        self.id = answer["id"]
        self.ports = tuple(answer["ports"])

    def say(self, *texts: str, interval_s: float = 0.0) -> list[float]:
        """Send texts; when each was."""
        return list(
            self.ask("say", texts=texts, interval_s=interval_s, within_s=PATIENCE_S + len(texts) * interval_s)["at_s"]
        )

    def read(self, texts: Sequence[str], *, within_s: float = PATIENCE_S) -> list[float]:
        """Wait until these texts were read, each of them and all others once; when each was."""
        answer = self.ask("read", texts=list(texts), within_s=within_s)
        assert answer["twice"] == 0, f"{self.name} read {answer['twice']} texts twice"
        return list(answer["at_s"])

    def pause(self) -> None:
        """SIGSTOP: a machine that sleeps, as far as others can see."""
        os.kill(self._pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self._pid, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, and wait until nothing is left of it."""
        if self._ended is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._ended, signal.SIGKILL)
            self._await_end()

    def close(self) -> None:
        """Stop the node and wait for the end of its process."""
        self._connection.shutdown(socket.SHUT_WR)
        self._await_end()

    def _await_end(self) -> None:
        assert self._ended is not None
        select.select([self._ended], [], [], GRACE_S)
        os.close(self._ended)
        self._ended = None
        self._connection.close()

    def _line(self, within_s: float) -> bytes:
        deadline_s = time.monotonic() + within_s
        while b"\n" not in self._part:
            left_s = max(0.0, deadline_s - time.monotonic())
            ready = select.select([self._connection], [], [], left_s)[0]
            data = self._connection.recv(65_536) if ready else b""
            assert data, f"{self.name} gave no answer within {within_s:g} s; it said: {self._complaints()}"
            self._part += data
        line, _, self._part = self._part.partition(b"\n")
        return line

    def _complaints(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-4000:]


class Crew:
    """The nodes of a test, named in the order of their start."""

    NAMES = ("ann", "ben", "cas", "dan", "eva", "fay", "gus", "hal", "ida", "jon")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._nodes: list[NodeProcess] = []

    def start(self, *hosts: Host) -> list[NodeProcess]:
        """One process on each of these hosts; they have imported everything and are no nodes yet."""
        started = []
        for host in hosts:
            number = len(self._nodes)
            name = self.NAMES[number] if number < len(self.NAMES) else f"node{number}"
            started.append(NodeProcess(host, self._folder / name))
            self._nodes.append(started[-1])
        for node in started:
            node.answer(START_S)
        return started

    def restart(self, node: NodeProcess) -> NodeProcess:
        """Another process with the home of one that is gone."""
        again = NodeProcess(node.host, node.home)
        self._nodes.append(again)
        again.answer(START_S)
        return again

    def close(self) -> None:
        """Kill all that run."""
        for node in self._nodes:
            node.kill()


@contextlib.contextmanager
def crew(folder: Path) -> Iterator[Crew]:
    """Nodes with homes in this folder, killed at the end of the block."""
    nodes = Crew(folder)
    try:
        yield nodes
    finally:
        nodes.close()


def open_all(*processes: NodeProcess, **settings: Any) -> None:
    """All are nodes, started at once."""
    for process in processes:
        process.tell_open(**settings)
    for process in processes:
        process.is_open()


def link_all(*nodes: NodeProcess, within_s: float = PATIENCE_S) -> float:
    """Wait until each is linked with all others; when the last was."""
    for node in nodes:
        node.tell("linked", ids=[other.id for other in nodes if other is not node], within_s=within_s)
    return max([float(node.answer(within_s)["at_s"]) for node in nodes])


def meet(*nodes: NodeProcess) -> None:
    """Wait until all are linked and know each other as members of the room."""
    link_all(*nodes)
    for node in nodes:
        node.tell("members", count=len(nodes))
    for node in nodes:
        node.answer()


def timelines(*nodes: NodeProcess) -> list[list[str]]:
    """What each shows."""
    return [node.ask("timeline")["texts"] for node in nodes]
