"""SIGKILL at random moments of a stream, of the one who sends and the one who receives."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.support.mesh_processes import MeshProcess, Processes, processes, same_timeline

BACK_S = 2.0
"""How soon after its start a killed node must be linked again: the old session is replaced at once."""


class Pair:
    """A sender that streams and a receiver, either of which may be killed and started again."""

    def __init__(self, mesh: Processes, seed: int) -> None:
        self._mesh = mesh
        self._chance = random.Random(seed)
        self.told: dict[str, str] = {}
        self.back_s: list[float] = []
        self._round = 0
        self.sender = mesh.start("ann")
        self.receiver = mesh.start("bob", self.sender)
        self.receiver.ask("linked", count=1)

    def stream_and_kill(self) -> None:
        """Stream, kill one at a random moment, start it again and wait until both are linked."""
        self._round += 1
        self.sender.ask("stream", prefix=f"r{self._round}", bytes=self._chance.choice([10, 200, 3_000]))
        self.sender.wait_stored(len(self.sender.stored) + self._chance.randrange(60))
        time.sleep(self._chance.random() * 0.02)  # the random moment is what is tested
        if self._chance.random() < 0.6:
            self.sender.kill()
            self.told |= self.sender.stored
            self.sender = self._back("ann", self.receiver)
        else:
            self.receiver.kill()
            self.receiver = self._back("bob", self.sender)
            self.sender.ask("stop_stream")
        self.told |= self.sender.stored

    def _back(self, name: str, other: MeshProcess) -> MeshProcess:
        node = self._mesh.start(name, other)
        self.back_s.append(node.ask("linked", count=1)["at_s"] - node.began_s)
        return node

    def check(self) -> None:
        """Every id that was told is in both stores once, in the order of one log."""
        self.told |= self.sender.stored
        timeline = same_timeline(self.sender, self.receiver)
        ids = {message[0] for message in timeline}
        assert set(self.told) <= ids, f"{len(set(self.told) - ids)} of {len(self.told)} told ids are lost"
        assert len({log for _id, log, _text in timeline}) == 1, "another log was begun after a mere kill"
        texts = [text for _id, _log, text in timeline]
        assert len(set(texts)) == len(texts), "a text is there twice"
        for node in (self.sender, self.receiver):
            assert [notice for notice in node.ask("notices")["notices"] if "identity" in notice] == []
        assert max(self.back_s) < BACK_S, self.back_s


def run(home: Path, kills: int, seed: int) -> Pair:
    """So many kills, then the check."""
    with processes(home) as mesh:
        pair = Pair(mesh, seed)
        for _ in range(kills):
            pair.stream_and_kill()
        pair.check()
    return pair


def test_kills_lose_and_double_nothing(home: Path) -> None:
    """A dozen kills; `test_fifty_kills` does the same for longer."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    pair = run(home, 12, seed)
    assert len(pair.told) > 100


@pytest.mark.slow
def test_fifty_kills(home: Path) -> None:
    """Fifty kills in a stream, each id told after `stored` in both stores once, the same log all along."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    pair = run(home, 50, seed)
    print(f"{len(pair.told)} ids told; back after {max(pair.back_s):.3f} s at most")
