"""The nodes that discovery has heard of: bounded, however many a hostile network invents.

A candidate is told of when it is new, when its addresses changed, and again when its record comes a second
time after RESIGHT_S, because a record that is sent again (a link that came up, a node that started) resets
the waits between dials. When the table is full a random candidate makes room, so that a flood can push out
real ones only by chance, and these come back with their next record.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from zmqchat.discovery.records import Sighting
from zmqchat.model.limits import CANDIDATES_MAX

CANDIDATES_PER_HOST_MAX: Final = 32
"""Records that name one address first: a single machine can't fill the table."""

RESIGHT_S: Final = 5.0
"""A candidate whose record did not change is told of at most this often."""


@dataclass(slots=True)
class _Candidate:
    name: str
    sighting: Sighting
    told_s: float


class Candidates:
    """The table, by instance name."""

    def __init__(self, rng: random.Random, *, most: int = CANDIDATES_MAX) -> None:
        self._rng = rng
        self._most = most
        self._rows: list[_Candidate] = []
        self._places: dict[str, int] = {}
        self._by_host: dict[str, list[str]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._places

    def note(self, name: str, sighting: Sighting, now_s: float) -> bool:
        """Remember it; True where the mesh should be told."""
        name = name.lower()
        place = self._places.get(name)
        if place is not None:
            row = self._rows[place]
            if row.sighting == sighting:
                if now_s - row.told_s < RESIGHT_S:
                    return False
                row.told_s = now_s
                return True
            self.forget(name)
        host = sighting.endpoints[0].host
        neighbours = self._by_host.get(host, [])
        if len(neighbours) >= CANDIDATES_PER_HOST_MAX:
            self.forget(self._rng.choice(neighbours))
        elif len(self._rows) >= self._most:
            self.forget(self._rng.choice(self._rows).name)
        self._places[name] = len(self._rows)
        self._rows.append(_Candidate(name, sighting, now_s))
        self._by_host.setdefault(host, []).append(name)
        return True

    def forget(self, name: str) -> None:
        """Its record said goodbye; a next one is new. Unknown names are no matter."""
        name = name.lower()
        place = self._places.pop(name, None)
        if place is None:
            return
        row = self._rows[place]
        last = self._rows.pop()
        if last is not row:
            self._rows[place] = last
            self._places[last.name] = place
        host = row.sighting.endpoints[0].host
        neighbours = self._by_host[host]
        neighbours.remove(name)
        if not neighbours:
            del self._by_host[host]

    def clear(self) -> None:
        """Distrust all: whoever is heard next is new."""
        self._rows.clear()
        self._places.clear()
        self._by_host.clear()
