"""Each hostile scenario bites: the hostile node did what it is there for, and honest nodes met it."""

from __future__ import annotations

from collections import Counter

import pytest

from zmqchat.history.batch import BatchHeader, peek
from zmqchat.history.clock import is_ahead
from zmqchat.model.limits import PAGES_IN_FLIGHT_MAX
from zmqchat.protocol.data_effects import LogForked
from zmqchat.protocol.effects import Effect, PutBatch, Send, Store
from zmqchat.protocol.facts import Fact, FrameReceived
from zmqchat.sim.draw import draw
from zmqchat.sim.scenarios import SCENARIOS
from zmqchat.sim.scenarios.hostile_member import HostileMember
from zmqchat.sim.scenarios.hostile_sync import FAR, HISTORIES
from zmqchat.sim.simulation import Simulation
from zmqchat.wire.frames import Frontiers, Page, decode
from zmqchat.wire.tree_frames import Holders

SEEDS = [1, 2, 3]
DURATION_S = 12.0
ONE_DAY_MS = 24 * 3_600_000


class Sight:
    """A trace that counts what passes between honest nodes and the hostile one.

    heard    frames that honest nodes got from it, by name
    said     frames that they sent to it, by name
    bytes    how long those were together
    counts   what else is told below, by name
    late_s   when an honest node last heard of it
    forked   honest nodes that were told of a forked log
    """

    def __init__(self) -> None:
        self.heard: Counter[str] = Counter()
        self.said: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.late_s = 0.0
        self.forked: set[int] = set()
        self.simulation: Simulation | None = None

    def at(self, now_s: float, node: int, what: Fact | Effect) -> None:
        """Count it."""
        assert self.simulation is not None
        world = self.simulation.world
        (number,) = world.hostile
        peer = world.nodes[number].peer
        if node == number:
            return
        if isinstance(what, FrameReceived) and what.peer == peer:
            self.late_s = now_s
            self._hear(decode(what.payload))
        elif isinstance(what, Send) and what.peer == peer:
            name = type(decode(what.payload)).__name__
            self.said[name] += 1
            self.bytes[name] += len(what.payload)
        elif isinstance(what, LogForked) and what.key.author == peer:
            self.forked.add(node)
        elif isinstance(what, Store):
            wall_ms = world.nodes[node].clock.instant(now_s).wall_ms
            for write in what.writes:
                if isinstance(write, PutBatch) and write.key.author == peer:
                    is_behind = (write.sealed_at >> 16) < wall_ms - ONE_DAY_MS
                    is_wrong = is_ahead(write.sealed_at, wall_ms, ONE_DAY_MS)
                    self.counts["ahead" if is_wrong else "behind" if is_behind else "near"] += 1

    def _hear(self, frame: object) -> None:
        self.heard[type(frame).__name__] += 1
        if isinstance(frame, Page) and not frame.batches:
            self.counts["pages of nothing"] += 1
        elif isinstance(frame, Holders):
            self.counts["false holders"] += sum(holder.end == FAR for holder in frame.holders)
        elif isinstance(frame, Frontiers):
            self.counts["false ranges"] += sum(held.end == FAR for state in frame.entries for held in state.ranges)


def _played(name: str, seed: int) -> tuple[Simulation, Sight]:
    """A run and what was seen, dropped frames of the hostile node among the counts."""
    options = draw(seed, scenario=name, duration_s=DURATION_S)
    scenario, sight = SCENARIOS[name](options), Sight()
    assert isinstance(scenario, HostileMember)
    tamper = scenario.tamper

    def counted(effect: Effect) -> Effect | None:
        left = tamper(effect)
        if left is None and isinstance(effect, Send):
            sight.counts[f"dropped {type(decode(effect.payload)).__name__}"] += 1
        return left

    setattr(scenario, "tamper", counted)  # noqa: B010  # a method is shadowed for this one run
    sight.simulation = Simulation(options, trace=sight, scenario=scenario)
    outcome = sight.simulation.run()
    assert outcome.failed == (), outcome.options.command()
    return sight.simulation, sight


@pytest.mark.parametrize("seed", SEEDS)
def test_the_relay_drops_what_it_should_pass_on_and_claims_that_all_have_it(seed: int) -> None:
    """It got RELAYs and passed none on, answered WANTs with nothing, and named holders that do not hold."""
    _simulation, sight = _played("hostile-relay", seed)
    assert sight.said["Relay"] > 50
    assert sight.counts["dropped Relay"] > 10
    assert sight.heard["Relay"] == sight.heard["IHave"] == sight.heard["Push"] == 0
    assert sight.counts["pages of nothing"] == sight.heard["Page"] > 10
    assert sight.counts["false holders"] > 1_000


@pytest.mark.parametrize("seed", SEEDS)
def test_who_wants_everything_is_answered_within_bounds(seed: int) -> None:
    """Thousands of WANTs with credit for 65,535 pages get a few pages each."""
    _simulation, sight = _played("hostile-want", seed)
    assert sight.heard["Want"] > 5_000
    assert 0 < sight.said["Page"] <= sight.heard["Want"] * PAGES_IN_FLIGHT_MAX
    assert sight.bytes["Page"] < sight.heard["Want"] * 2_048


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fork_is_told_at_every_honest_node(seed: int) -> None:
    """Each was told of it, and holds as many histories as there are."""
    simulation, sight = _played("hostile-fork", seed)
    world = simulation.world
    (number,) = world.hostile
    assert sight.heard["Push"] > HISTORIES
    assert sight.forked == set(world.honest)
    for honest in world.honest:
        process = world.nodes[honest].process
        assert process is not None
        frontier = process.machines.data.ledger.rooms[world.room("lobby")].frontier
        assert frontier.is_forked(world.nodes[number].peer, 7)
        assert len(frontier.branches(world.nodes[number].peer, 7)) >= HISTORIES


@pytest.mark.parametrize("seed", SEEDS)
def test_lying_frontiers_are_compared_and_asked_for_in_vain(seed: int) -> None:
    """To the end honest nodes compare with it, ask for what it said to hold, and get nothing."""
    _simulation, sight = _played("hostile-frontiers", seed)
    assert sight.late_s > DURATION_S - 1.0
    assert sight.said["RoomHashes"] + sight.said["Frontiers"] > 0
    assert sight.counts["false ranges"] > 10
    assert sight.counts["pages of nothing"] > 10


@pytest.mark.parametrize("seed", SEEDS)
def test_batches_of_another_decade_are_stored_under_their_own_time(seed: int) -> None:
    """Honest nodes hold such of years ahead and of years ago, and no clock of theirs was moved by it."""
    simulation, sight = _played("hostile-clocks", seed)
    world = simulation.world
    assert sight.counts["ahead"] >= len(world.honest)
    assert sight.counts["behind"] >= len(world.honest)
    for honest in world.honest:
        own = world.nodes[honest].peer
        for key, raw in world.nodes[honest].disk.batches(world.room("lobby")):
            if key.author == own:
                batch = peek(raw)
                assert isinstance(batch, BatchHeader)
                assert not is_ahead(batch.sealed_at, world.nodes[honest].clock.instant(world.now_s).wall_ms)
