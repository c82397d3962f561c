"""Shrinking: from a run that fails to a small run that fails in the same way.

How it works. Smaller options are tried in the order of how much they take away: faults first (all, half, one),
then nodes (the fewest, half, one), then time (half, a quarter). The first that still fails becomes the run
to shrink, and it begins anew; when none fails, or the tries are used up, the smallest is told.

What a seed draws depends on the options, so a smaller run may miss what the larger one met by chance. Each is
therefore tried with the run's own seed and a few that follow it. "In the same way" means that one of the
checkers that failed before fails again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from zmqchat.sim.options import Options, Outcome

Run = Callable[[Options], Outcome]

SEEDS_A_TRY = 4
"""Seeds with which each smaller run is tried."""

RUNS_MAX = 200
"""Runs that one shrinking may cost."""

DURATION_LEAST_S = 5.0
NODES_LEAST = 2


def checkers_of(outcome: Outcome) -> frozenset[str]:
    """The names of the checkers that failed; what they said differs from run to run."""
    return frozenset(text.partition(":")[0] for text in outcome.failed)


def shrink(
    failed: Outcome,
    run: Run,
    *,
    runs_max: int = RUNS_MAX,
    go_on: Callable[[], bool] = lambda: True,
    nodes_least: int = NODES_LEAST,
) -> Outcome:
    """The smallest run found that fails as this one does; go_on says whether there is time for another try."""
    smallest = failed
    left = runs_max
    again = True
    while again:
        again = False
        for smaller in _smaller(smallest.options, nodes_least):
            for seed in range(smaller.seed, smaller.seed + SEEDS_A_TRY):
                if left <= 0 or not go_on():
                    return smallest
                left -= 1
                outcome = run(replace(smaller, seed=seed))
                if checkers_of(outcome) & checkers_of(smallest):
                    smallest, again = outcome, True
                    break
            if again:
                break
    return smallest


def _smaller(options: Options, nodes_least: int) -> Iterator[Options]:
    """Options that take something away, the most first."""
    for faults in _fewer(options.faults):
        yield replace(options, faults=faults)
    nodes = options.nodes
    for fewer in dict.fromkeys((nodes_least, nodes // 2, nodes - 1)):
        if nodes_least <= fewer < nodes:
            yield replace(options, nodes=fewer)
    for part in (0.5, 0.75):
        duration_s = float(round(options.duration_s * part))
        if DURATION_LEAST_S <= duration_s < options.duration_s:
            yield replace(options, duration_s=duration_s)


def _fewer(faults: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    seen = {faults}
    half = len(faults) // 2
    candidates = [(), faults[:half], faults[half:]]
    candidates += [faults[:index] + faults[index + 1 :] for index in range(len(faults))]
    for candidate in candidates:
        if candidate not in seen:
            seen.add(candidate)
            yield candidate
