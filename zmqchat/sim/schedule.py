"""Simulated time: a heap of what is to happen; what is due at one moment happens in the order it was asked for."""

from __future__ import annotations

import heapq
from collections.abc import Callable


class Schedule:
    """The heap; now_s is the simulated second."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.stopped = False
        self._heap: list[tuple[float, int, Callable[..., object], tuple[object, ...]]] = []
        self._number = 0

    def at(self, at_s: float, act: Callable[..., object], *arguments: object) -> None:
        """Do this at a simulated second, at once where it is past."""
        self._number += 1
        heapq.heappush(self._heap, (at_s, self._number, act, arguments))

    def after(self, delay_s: float, act: Callable[..., object], *arguments: object) -> None:
        """Do this so much later."""
        self.at(self.now_s + delay_s, act, *arguments)

    def run_until(self, end_s: float) -> None:
        """Let time pass; ends early once `stopped` is set."""
        heap = self._heap
        while heap and heap[0][0] <= end_s and not self.stopped:
            at_s, _number, act, arguments = heapq.heappop(heap)
            if at_s > self.now_s:
                self.now_s = at_s
            act(*arguments)
        if not self.stopped:
            self.now_s = end_s
