"""Who plays in the demo: each a process of its own with a home of its own, seen by the screen."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

from zmqchat.cli.demo.screen import Screen
from zmqchat.cli.demo.verdict import Timeline
from zmqchat.cli.processes import Answer, Process
from zmqchat.model.errors import ZmqChatError

START_TIMEOUT_S = 20.0
ANSWER_SLACK_S = 10.0
HOLD_TIMEOUT_S = 15.0


class DemoFailed(ZmqChatError):
    """Something that the demo shows did not happen."""


class Acknowledged:
    """Texts by id, each of a send() that had returned: the promise that the end is checked against."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._changed = threading.Condition()

    def add(self, message: str, text: str) -> None:
        """One more promise; from any thread."""
        with self._changed:
            self._texts[message] = text
            self._changed.notify_all()

    def texts(self) -> dict[str, str]:
        """All promises now."""
        with self._changed:
            return dict(self._texts)

    def wait(self, count: int, timeout_s: float) -> bool:
        """Whether there are so many in time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._texts) >= count, timeout_s)


class Actor:
    """One node: started, killed and started again on the same home."""

    def __init__(self, name: str, folder: Path, screen: Screen, acknowledged: Acknowledged) -> None:
        self.name = name
        self.address = ""
        self._home = folder / name
        self._complaints = folder / f"{name}.stderr"
        self._screen = screen
        self._acknowledged = acknowledged
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        """The running process."""
        assert self._process is not None, f"{self.name} is not running"
        return self._process

    def begin(self, mesh: str, discovery: bool, peers: list[str]) -> None:
        """Start the process; `opened` waits for its node."""
        self._screen.state(self.name, "starting")
        self._process = Process("zmqchat.cli.demo.worker", heard=self._heard, complaints=self._complaints)
        self._process.tell("open", name=self.name, home=str(self._home), mesh=mesh, discovery=discovery, peers=peers)

    def opened(self) -> None:
        """Wait until the node runs."""
        self.address = self.process.answer(START_TIMEOUT_S)["address"]
        self._screen.state(self.name, "running")

    def say(self, text: str, until: str = "delivered", timeout_s: float = 5.0) -> None:
        """Say something and show who has it."""
        started_s = time.monotonic()
        answer = self._ask("say", timeout_s, text=text, until=until)
        self._acknowledged.add(answer["id"], text)
        took_ms = 1000 * (time.monotonic() - started_s)
        others = f" and {answer['on']} others'" if answer["on"] else ""
        self._screen.said(self.name, text, f"on its disk{others} after {took_ms:.0f} ms")

    def touches(self, names: set[str], timeout_s: float) -> bool:
        """Whether it gets in touch with exactly these in time."""
        done: bool = self._ask("touch", timeout_s, names=sorted(names))["done"]
        return done

    def must_touch(self, names: set[str], timeout_s: float) -> None:
        """Wait for that; raises DemoFailed."""
        if not self.touches(names, timeout_s):
            wanted = ", ".join(sorted(names)) or "nobody"
            raise DemoFailed(f"{self.name} is not in touch with exactly {wanted} after {timeout_s:g} s")

    def holds(self, acknowledged: dict[str, str], timeout_s: float = HOLD_TIMEOUT_S) -> bool:
        """Whether it can read all of these in time."""
        done: bool = self._ask("hold", timeout_s, ids=list(acknowledged))["done"]
        return done

    def timeline(self) -> Timeline:
        """What its store gives as history."""
        answer = self.process.ask("timeline")
        return Timeline(tuple(answer["ids"]), tuple(answer["texts"]))

    def count_by(self, author: str) -> int:
        """How many messages of an author its store gives."""
        authors: list[str] = self.process.ask("timeline")["authors"]
        return authors.count(author)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self._process = None
        self._screen.state(self.name, "killed")
        self._screen.counts(self.name, (), 0)

    def leave(self) -> None:
        """Stop the node as a user would, and delete its home."""
        self.process.ask("close")
        self.process.close()
        self._process = None
        shutil.rmtree(self._home, ignore_errors=True)
        self._screen.state(self.name, "left for good")
        self._screen.counts(self.name, (), 0)

    def end(self) -> None:
        """Nothing of it is needed any more."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _ask(self, order: str, timeout_s: float, **arguments: object) -> Answer:
        """An order that gives up by itself after timeout_s."""
        self.process.tell(order, timeout_s=timeout_s, **arguments)
        return self.process.answer(timeout_s + ANSWER_SLACK_S)

    def _heard(self, event: Answer) -> None:
        if event["event"] == "acknowledged":
            self._acknowledged.add(event["id"], event["text"])
        else:
            self._screen.counts(self.name, tuple(event["peers"]), event["messages"])
