"""Simulated time: what is to happen, in the order of its moments, and at one moment in the order it was asked for.

How it works. A heap holds what is due in the present slot of time, SLOT_S long. What is due later lies in a list for
its slot, and is put into the heap when that slot begins. So the heap stays small, whatever waits: a thousand nodes have
some ten thousand timers, and to push and pop among all of them took a tenth of a run.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

SLOT_S: Final = 0.02

_Entry = tuple[float, int, Callable[..., object], tuple[object, ...]]


class Schedule:
    """All that is to happen; now_s is the simulated second."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.stopped = False
        self._slot = 0
        self._heap: list[_Entry] = []
        self._later: dict[int, list[_Entry]] = {}
        self._later_slots: list[int] = []
        self._number = 0

    def at(self, at_s: float, act: Callable[..., object], *arguments: object) -> None:
        """Do this at a simulated second, at once where it is past."""
        self._number += 1
        entry = (at_s, self._number, act, arguments)
        slot = int(at_s / SLOT_S)
        if slot <= self._slot:
            heapq.heappush(self._heap, entry)
            return
        entries = self._later.get(slot)
        if entries is None:
            self._later[slot] = [entry]
            heapq.heappush(self._later_slots, slot)
        else:
            entries.append(entry)

    def after(self, delay_s: float, act: Callable[..., object], *arguments: object) -> None:
        """Do this so much later."""
        self.at(self.now_s + delay_s, act, *arguments)

    def run_until(self, end_s: float) -> None:
        """Let time pass; ends early once `stopped` is set."""
        last_slot = int(end_s / SLOT_S)
        while not self.stopped:
            self._run_slot(end_s)
            if self._heap or not self._later_slots or self._later_slots[0] > last_slot:
                break
            self._slot = heapq.heappop(self._later_slots)
            self._heap = self._later.pop(self._slot)
            heapq.heapify(self._heap)
        if not self.stopped:
            self.now_s = end_s

    def _run_slot(self, end_s: float) -> None:
        heap = self._heap
        while heap and heap[0][0] <= end_s and not self.stopped:
            at_s, _number, act, arguments = heapq.heappop(heap)
            if at_s > self.now_s:
                self.now_s = at_s
            act(*arguments)
