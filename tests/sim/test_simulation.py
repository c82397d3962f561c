"""Whole simulated runs: everybody gets everything, and the same options give the same run."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.sources import REPO
from zmqchat.model.ids import MessageId
from zmqchat.sim.checkers import all_checkers
from zmqchat.sim.checkers.base import Base
from zmqchat.sim.checks import CheckFailed
from zmqchat.sim.draw import draw
from zmqchat.sim.options import Options
from zmqchat.sim.simulation import Simulation
from zmqchat.sim.world import World


class Counting(Base):
    """Counts what users see, and complains of what the test plants."""

    name = "counting"

    def __init__(self, complains_at: int | None = None) -> None:
        self.acknowledged_texts: list[str] = []
        self.delivered_texts: dict[int, list[str]] = {}
        self.steps = 0
        self.is_quiet = False
        self._complains_at = complains_at

    def acknowledged(self, node: int, room: str, message: MessageId, text: str) -> None:
        """`send` returned."""
        assert room == "lobby" and message.number >= 0 and node >= 0
        self.acknowledged_texts.append(text)

    def delivered(self, node: int, room: str, message: MessageId, text: str) -> None:
        """A cursor gave it."""
        assert room == "lobby" and message.number >= 0
        self.delivered_texts.setdefault(node, []).append(text)

    def step(self, world: World) -> None:
        """Some time has passed."""
        self.steps += 1
        if self._complains_at is not None and world.now_s >= self._complains_at:
            raise CheckFailed("it is late")

    def quiet(self, world: World) -> None:
        """The end."""
        assert world.agrees()
        self.is_quiet = True


def test_what_one_says_all_are_given() -> None:
    """Three nodes find each other, and each text that was acknowledged comes once to each."""
    counting = Counting()
    outcome = Simulation(Options(seed=1, nodes=3, duration_s=10.0), checkers=[counting]).run()
    assert outcome.failed == ()
    assert outcome.facts > 0
    assert counting.is_quiet
    assert len(counting.acknowledged_texts) >= 10
    assert counting.steps >= 100
    for node in range(3):
        assert sorted(counting.delivered_texts[node]) == sorted(counting.acknowledged_texts)


def test_the_same_options_give_the_same_run() -> None:
    """Digest and number of facts are the same each time, and another seed is another run."""
    options = Options(seed=5, nodes=4, duration_s=8.0)
    first, second = Simulation(options).run(), Simulation(options).run()
    assert first == second
    assert Simulation(Options(seed=6, nodes=4, duration_s=8.0)).run().digest != first.digest


def test_checkers_and_traces_take_no_part_in_a_run() -> None:
    """The digest is the same whoever looks on."""
    options = Options(seed=5, nodes=3, duration_s=5.0)
    lines: list[tuple[float, int, object]] = []

    class Sink:
        def at(self, now_s: float, node: int, what: object) -> None:
            lines.append((now_s, node, what))

    watched = Simulation(options, checkers=[Counting()], trace=Sink()).run()
    assert watched.digest == Simulation(options).run().digest
    assert lines


def test_a_run_does_not_depend_on_the_hash_seed() -> None:
    """Two interpreters that hash strings and bytes in different ways come to the same digest."""
    script = (
        "from zmqchat.sim.options import Options\n"
        "from zmqchat.sim.simulation import Simulation\n"
        "print(Simulation(Options(seed=3, nodes=5, duration_s=6.0)).run().digest)\n"
    )
    digests = set()
    for hash_seed in ("1", "77"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(REPO)}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=60
        )
        digests.add(done.stdout.strip())
    assert len(digests) == 1


def test_what_a_checker_finds_is_told_once() -> None:
    """The outcome names the checker and what it found; it is asked no more, and the run goes on."""
    counting = Counting(complains_at=2)
    outcome = Simulation(Options(seed=1, nodes=2, duration_s=5.0), checkers=[counting]).run()
    assert outcome.failed == ("counting: it is late",)
    assert not counting.is_quiet


def test_who_left_when_nobody_stayed_is_not_missed_by_who_comes_back() -> None:
    """In this run a room is left by all, and one that joins it again can't know that another has left."""
    options = draw(500646, scenario="rooms", nodes=4, duration_s=16.0, faults=())
    assert Simulation(options, checkers=all_checkers()).run().failed == ()


def test_a_crowd_that_starts_at_once_becomes_a_partial_mesh_and_chats() -> None:
    """A hundred and twenty who know three addresses each find together, and all checkers are content."""
    simulation = Simulation(draw(1, scenario="crowd", duration_s=12.0), checkers=all_checkers())
    outcome = simulation.run()
    assert outcome.failed == ()
    for node in simulation.world.nodes:
        assert node.process is not None
        assert node.process.machines.overlay.is_partial and len(node.process.machines.peers.linked) < 20
        assert len(simulation.world.timeline(node.number, "lobby")) >= 1


def test_what_a_thin_line_was_given_is_waited_for() -> None:
    """Half a megabyte queues on a line of some kilobytes a second: all comes, long after the trouble."""
    options = draw(5001719, scenario="stream", nodes=3, duration_s=16.0, faults=("slow-peer",))
    assert Simulation(options, checkers=all_checkers()).run().failed == ()


def test_in_few_links_a_run_waits_for_word_of_who_left() -> None:
    """Leaving is told by visits there, which come later than all have the same texts."""
    options = draw(30_009_015, scenario="partial-rooms", nodes=9, duration_s=7.0, faults=("partition",))
    simulation = Simulation(options, checkers=all_checkers())
    assert simulation.run().failed == ()
    assert not simulation.world.awaits_word()
