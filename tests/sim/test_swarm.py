"""The swarm: order, the first failure, and worker processes."""

from __future__ import annotations

from dataclasses import replace

from zmqchat.sim.draw import draw
from zmqchat.sim.options import Options, Outcome
from zmqchat.sim.running import run_checked
from zmqchat.sim.swarm import cores, swarm


def options_of(seeds: range) -> list[Options]:
    """A few options that differ by their seeds."""
    return [Options(seed=seed, nodes=2, duration_s=2.0) for seed in seeds]


def run_that_fails_at_three(options: Options) -> Outcome:
    """A run that takes no time; seeds from 3 on fail."""
    failed = ("once: twice",) if options.seed >= 3 else ()
    return Outcome(seed=options.seed, options=options, digest="00", facts=1, failed=failed)


def test_all_that_pass_are_counted() -> None:
    """Each outcome is told in the order of the seeds."""
    told: list[int] = []
    tally = swarm(options_of(range(3)), run_that_fails_at_three, workers=1, told=lambda each: told.append(each.seed))
    assert tally == (3, None)
    assert told == [0, 1, 2]


def test_it_ends_at_the_first_failure_whatever_the_number_of_workers() -> None:
    """With several processes the lowest seed that fails is the one that is told."""
    for workers in (1, 2):
        told: list[Outcome] = []
        tally = swarm(options_of(range(20)), run_that_fails_at_three, workers=workers, told=told.append)
        assert tally.passed == 3
        assert tally.failed is not None and tally.failed.seed == 3
        assert [each.seed for each in told] == [0, 1, 2, 3]


def test_workers_run_the_same_as_this_process() -> None:
    """A run in another process has the same digest."""
    outcomes: list[Outcome] = []
    options = draw(1, nodes=2, duration_s=3.0)
    swarm([options, replace(options, seed=2)], run_checked, workers=2, told=outcomes.append)
    assert outcomes == [run_checked(options), run_checked(replace(options, seed=2))]


def test_there_is_a_core() -> None:
    """At least one process may compute."""
    assert cores() >= 1
