"""Networks on which not all reach all: what is said is everywhere within (50 ms + RTT) a hop, and soon again when a
relay dies."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.support.simworlds import passes, process_of, small_world
from zmqchat.protocol.effects import Effect, Send
from zmqchat.protocol.facts import Fact
from zmqchat.protocol.gaps import Gaps
from zmqchat.sim.checkers import all_checkers
from zmqchat.sim.checkers.live import CAME_S, HOP_S, RTT_S
from zmqchat.sim.draw import draw
from zmqchat.sim.node import NodePlan
from zmqchat.sim.options import Options
from zmqchat.sim.running import run_checked
from zmqchat.sim.simulation import Simulation
from zmqchat.wire.frames import type_byte
from zmqchat.wire.gap_frames import Gapped, Spare
from zmqchat.wire.tree_frames import Relay

BACK_S = 1.0
"""From a relay's start until it relays, where the others know already who can't reach whom."""

SCENARIOS = ("subnets", "chain", "ring", "isolated")


def _options(scenario: str, seed: int, duration_s: float = 40.0) -> Options:
    return draw(seed, scenario=scenario, duration_s=duration_s, faults=())


class _Counted:
    """A sink that counts the frames that are sent over links, by their type bytes."""

    def __init__(self) -> None:
        self.sent: Counter[int] = Counter()

    def at(self, _now_s: float, _node: int, what: Fact | Effect) -> None:
        """Count."""
        if isinstance(what, Send):
            self.sent[what.payload[0]] += 1


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_messages_are_live_across_gaps_and_a_killed_relay_is_made_up_for(scenario: str, seed: int) -> None:
    """All checkers pass, the one that looks at the time of each message included; it has looked at many."""
    simulation = Simulation(_options(scenario, seed), checkers=all_checkers())
    outcome = simulation.run()
    assert outcome.failed == (), outcome.options.command()
    machines = [node.process.machines for node in simulation.world.nodes if node.process is not None]
    assert any(each.gaps.is_gapped for each in machines)


def test_a_relay_that_is_back_relays_within_a_second() -> None:
    """In a row of four: those beside it tell it of gaps, and it learns at once whom it can't reach either."""
    subnets = (("a",), ("a", "b"), ("b", "c"), ("c",))
    world, diary = small_world(*(NodePlan(subnets=each) for each in subnets), seconds=CAME_S)
    world.kill(1)
    passes(world, 3.0)
    world.restart(1)
    passes(world, BACK_S)
    assert process_of(world, 1).machines.gaps.unreached == (world.nodes[3].peer,)
    assert world.say(3, "lobby", "across")
    passes(world, 3 * (HOP_S + RTT_S))
    assert all(diary.where("delivered", node, "across") for node in range(3))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_whatever_befalls_them_nothing_is_lost(scenario: str, seed: int) -> None:
    """With trouble of all kinds nobody promises how soon, but that everything comes once, and receipts with it."""
    outcome = run_checked(draw(seed, scenario=scenario, duration_s=16.0))
    assert outcome.failed == (), outcome.options.command()


@pytest.mark.parametrize("scenario", ["subnets", "ring"])
def test_the_checker_notices_who_does_not_relay(scenario: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody relays, messages come by exchanges, and too late."""
    monkeypatch.setattr(Gaps, "targets", lambda _self, _author, _source: [])
    outcome = run_checked(_options(scenario, 1))
    assert "live" in [failed.partition(":")[0] for failed in outcome.failed]


def test_a_full_mesh_sends_no_frame_of_gaps() -> None:
    """People who chat and reach each other: not one, whoever starts when."""
    counted = _Counted()
    simulation = Simulation(draw(1, scenario="chat", nodes=8, duration_s=30.0, faults=()), trace=counted)
    assert simulation.run().failed == ()
    assert counted.sent and not any(counted.sent[type_byte(kind)] for kind in (Gapped, Spare, Relay))
