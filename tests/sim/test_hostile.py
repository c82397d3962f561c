"""Hostile members: whatever one does, honest nodes lose nothing, blame none of their own and keep their bounds."""

from __future__ import annotations

import pytest

from zmqchat.sim.checkers import all_checkers
from zmqchat.sim.draw import draw
from zmqchat.sim.scenarios import SCENARIOS
from zmqchat.sim.scenarios.hostile_overlay import HostileEclipse
from zmqchat.sim.simulation import Simulation

HOSTILE = sorted(name for name in SCENARIOS if name.startswith("hostile-"))
CROWD = "hostile-eclipse"


def _run(name: str, seed: int, duration_s: float = 12.0) -> Simulation:
    simulation = Simulation(draw(seed, scenario=name, duration_s=duration_s), checkers=all_checkers())
    outcome = simulation.run()
    assert outcome.failed == (), outcome.options.command()
    return simulation


def _counts(simulation: Simulation) -> dict[str, int]:
    """What honest nodes counted of faults, by reason."""
    found: dict[str, int] = {}
    for number in simulation.world.honest:
        process = simulation.world.nodes[number].process
        assert process is not None
        for reason, count in process.machines.faults.counts.items():
            found[reason] = found.get(reason, 0) + count
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", [name for name in HOSTILE if name != CROWD])
def test_honest_members_do_not_suffer_from_a_hostile_one(name: str, seed: int) -> None:
    """All checkers pass for the honest nodes, and what several of them said is there."""
    world = _run(name, seed).world
    assert len(world.hostile) == 1
    authors = {world.number_of(said.message.author) for said in world.timeline(0, "lobby")}
    assert len(authors & set(world.honest)) > len(world.honest) // 2


@pytest.mark.timeout(240)
@pytest.mark.parametrize("crowd", [100, pytest.param(200, marks=pytest.mark.crowd)])
def test_a_crowd_around_one_node_does_not_cut_it_off(crowd: int) -> None:
    """A hundred or two ask for its links and many get one for a while; the honest ones are kept."""
    options = draw(1, scenario=CROWD, nodes=crowd + HostileEclipse.honest, duration_s=12.0)
    simulation = Simulation(options, checkers=all_checkers())
    world = simulation.world
    links: list[tuple[int, int]] = []

    def look() -> None:
        process = world.nodes[0].process
        assert process is not None
        honest = [world.is_honest(peer) for peer in process.machines.peers.linked]
        links.append((honest.count(True), honest.count(False)))

    world.at(3.0, look)
    assert simulation.run().failed == ()
    look()
    assert len(world.hostile) == crowd
    assert links[0][1] > 50
    assert all(honest > 0 for honest, _crowd in links)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("hostile-gossip", "signature"), ("hostile-graft", "flood"), ("hostile-ihave", "protocol")],
)
def test_what_can_be_proven_is_blamed(name: str, reason: str) -> None:
    """A forged record, requests without end and announcements of nothing cost their sender its links."""
    counts = _counts(_run(name, 1))
    assert counts.get(reason, 0) > 0
    assert counts.get("penalties", 0) > 0


def test_the_same_seed_gives_the_same_attack() -> None:
    """A hostile node's chance is of the seed, too."""
    digests = {Simulation(draw(4, scenario="hostile-gossip", duration_s=5.0)).run().digest for _ in range(2)}
    assert len(digests) == 1


def test_the_swarm_draws_no_hostile_member_unasked() -> None:
    """Its seeds keep what they meet; who names a hostile scenario gets it without other trouble."""
    assert not any(draw(seed).scenario in HOSTILE for seed in range(200))
    assert draw(1, scenario="hostile-relay").faults == ()
