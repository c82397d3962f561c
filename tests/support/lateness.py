"""How late this machine wakes whoever waits: what a promise in milliseconds has to allow for where it is busy."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

PERIOD_S = 0.005


class Lateness:
    """What a thread that sleeps again and again has seen so far."""

    def __init__(self) -> None:
        self._late_s = [0.0, 0.0]

    def watch(self, stopped: threading.Event) -> None:
        """Sleep again and again, until told to stop."""
        while not stopped.is_set():
            due_s = time.monotonic() + PERIOD_S
            time.sleep(PERIOD_S)
            self._late_s.append(time.monotonic() - due_s)

    @property
    def usual_worst_s(self) -> float:
        """What 19 of 20 wakes were not later than."""
        return statistics.quantiles(self._late_s, n=20)[-1]


def busyness() -> float:
    """How many times as long a computation takes as at rest, by what waited for a core in the last minute."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@contextmanager
def watched_lateness() -> Iterator[Lateness]:
    """Watch for as long as the block takes."""
    lateness, stopped = Lateness(), threading.Event()
    thread = threading.Thread(target=lateness.watch, args=(stopped,), daemon=True)
    thread.start()
    try:
        yield lateness
    finally:
        stopped.set()
        thread.join()
