"""The swarm: many seeds, each a run of its own, on all cores, up to the first that fails.

How it works. The runs are numbered by their seeds and handed to worker processes a few ahead of what is awaited, and
their outcomes are looked at in the order of the seeds. So which run is called the first to fail does not
depend on how many cores there are. One worker means this very process, as tests want it that patch a machine.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import NamedTuple

from zmqchat.sim.options import Options, Outcome

Run = Callable[[Options], Outcome]

AHEAD_PER_WORKER = 4
"""Runs handed out a worker before the first of them is awaited: short runs must not leave a core idle."""


class Tally(NamedTuple):
    """How many runs passed, and the one that failed, None where all passed."""

    passed: int
    failed: Outcome | None


def cores() -> int:
    """How many processes may compute at once."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def swarm(runs: Iterable[Options], run: Run, *, workers: int, told: Callable[[Outcome], None]) -> Tally:
    """Run all until one fails; told is called with each outcome in the order of the runs.

    Where there are several workers, `run` is a module's function: they import it by its name.
    """
    passed = 0
    for outcome in _outcomes(runs, run, workers):
        told(outcome)
        if outcome.failed:
            return Tally(passed, outcome)
        passed += 1
    return Tally(passed, None)


def _outcomes(runs: Iterable[Options], run: Run, workers: int) -> Iterator[Outcome]:
    if workers <= 1:
        yield from map(run, runs)
        return
    waiting: deque[Future[Outcome]] = deque()
    # Started afresh, as a copy of this process would hold whatever locks its threads held.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_ignore_interrupts)
    try:
        for options in runs:
            waiting.append(executor.submit(run, options))
            if len(waiting) >= workers * AHEAD_PER_WORKER:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _ignore_interrupts() -> None:
    """Ctrl-C goes to all processes of a terminal; the one that we were started by ends us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
