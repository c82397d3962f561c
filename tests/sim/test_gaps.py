"""Networks on which not all reach all: what is said is everywhere within (50 ms + RTT) a hop, and soon again when a
relay dies."""

from __future__ import annotations

from collections import Counter

import pytest

from zmqchat.protocol.effects import Effect, Send
from zmqchat.protocol.facts import Fact
from zmqchat.protocol.gaps import Gaps
from zmqchat.sim.checkers import all_checkers
from zmqchat.sim.draw import draw
from zmqchat.sim.options import Options
from zmqchat.sim.running import run_checked
from zmqchat.sim.simulation import Simulation
from zmqchat.wire.frames import type_byte
from zmqchat.wire.gap_frames import Gapped, Spare
from zmqchat.wire.tree_frames import Relay

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
