"""Drawing options: from the seed alone, all kinds of runs, and what is given stays."""

from __future__ import annotations

from zmqchat.sim.draw import FAULTS_MAX, NODES, draw
from zmqchat.sim.faults import FAULTS
from zmqchat.sim.scenarios import DRAWN, SCENARIOS


def test_a_seed_draws_the_same_each_time() -> None:
    """Nothing but the seed counts."""
    assert [draw(seed) for seed in range(20)] == [draw(seed) for seed in range(20)]


def test_all_scenarios_and_faults_come_up() -> None:
    """In a few hundred seeds each kind is met, and a run meets some of them only."""
    drawn = [draw(seed) for seed in range(400)]
    assert {options.scenario for options in drawn} == set(DRAWN)
    assert {fault for options in drawn for fault in options.faults} == set(FAULTS)
    assert {options.nodes for options in drawn} == {
        *NODES,
        *(n for name in DRAWN for n in SCENARIOS[name].nodes_drawn),
    }
    assert max(len(options.faults) for options in drawn) <= FAULTS_MAX
    assert () in {options.faults for options in drawn}


def test_what_is_given_is_not_drawn() -> None:
    """Options of the command line win; a scenario of one kind of trouble brings that along."""
    options = draw(3, scenario="rooms", nodes=2, duration_s=4.0, faults=("kill",))
    assert (options.scenario, options.nodes, options.duration_s, options.faults) == ("rooms", 2, 4.0, ("kill",))
    assert draw(3, scenario="one-way").faults == ("one-way",)
    assert draw(3, scenario="one-way", faults=()).faults == ()


def test_the_command_names_what_was_drawn() -> None:
    """So a run that was drawn can be repeated, and changed a little, by hand."""
    assert draw(3, scenario="one-way", nodes=2, duration_s=4.0).command() == (
        "zmqchat sim --seed 3 --scenario one-way --nodes 2 --duration 4 --fault one-way"
    )
