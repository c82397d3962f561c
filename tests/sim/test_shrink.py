"""Shrinking, with runs that fail as the test says."""

from __future__ import annotations

from zmqchat.sim.options import Options, Outcome
from zmqchat.sim.shrink import SEEDS_A_TRY, checkers_of, shrink


def outcome(options: Options, *failed: str) -> Outcome:
    """What came of a run."""
    return Outcome(seed=options.seed, options=options, digest="00", facts=1, failed=failed)


LARGE = Options(seed=7, nodes=8, duration_s=60.0, faults=("cut", "kill", "loss", "skew"))


def test_what_is_not_needed_is_taken_away() -> None:
    """Faults, nodes and time go down to the least that still fails."""

    def run(options: Options) -> Outcome:
        fails = "kill" in options.faults and options.nodes >= 3 and options.duration_s >= 12
        return outcome(options, "once: twice") if fails else outcome(options)

    smallest = shrink(run(LARGE), run)
    assert smallest.options.faults == ("kill",)
    assert smallest.options.nodes == 3
    assert 12 <= smallest.options.duration_s <= 15
    assert smallest.failed == ("once: twice",)


def test_a_failure_of_another_kind_does_not_count() -> None:
    """What a smaller run is blamed for must be what the larger one was blamed for."""

    def run(options: Options) -> Outcome:
        return outcome(options, "once: twice" if options == LARGE else "order: wrong")

    assert shrink(run(LARGE), run).options == LARGE
    assert checkers_of(run(LARGE)) == {"once"}


def test_a_smaller_run_is_tried_with_other_seeds_too() -> None:
    """What a smaller run draws may miss what the larger one met, so the seeds that follow have a try."""

    def run(options: Options) -> Outcome:
        return outcome(options, "once: twice") if options == LARGE or options.seed == 9 else outcome(options)

    smallest = shrink(run(LARGE), run)
    assert smallest.options.seed == 9
    assert smallest.options.nodes == 2
    assert smallest.options.faults == ()


def test_the_tries_are_bounded() -> None:
    """Neither more runs nor more time are used than allowed."""
    tried: list[Options] = []

    def run(options: Options) -> Outcome:
        tried.append(options)
        return outcome(options)

    failed = outcome(LARGE, "once: twice")
    assert shrink(failed, run, runs_max=5) == failed
    assert len(tried) == 5
    assert shrink(failed, run, go_on=lambda: len(tried) < 5 + SEEDS_A_TRY) == failed
    assert len(tried) == 5 + SEEDS_A_TRY
