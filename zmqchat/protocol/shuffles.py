"""Shuffles under way: which are ours, and whom the answer to another's goes back to.

How it works (HyParView, section 4.4). A shuffle is a sample of contacts on a random walk, whose last node answers with
a sample of its own. In the paper it opens a connection to the origin for the answer; here each node on the walk
remembers for ROUTE_S whom it had the shuffle from and whom it gave it to, and takes the answer from the latter only.
A walk that comes by a second time ends there.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from zmqchat.model.ids import PeerId
from zmqchat.model.limits import SHUFFLES_UNDER_WAY_MAX

ROUTE_S: Final = 30.0
"""How long an answer is waited for: six hops there and back take a second at most."""


@dataclass(slots=True)
class _Route:
    came_from: PeerId | None
    went_to: PeerId
    since_s: float
    sent: tuple[PeerId, ...] = ()


class Shuffles:
    """Tokens with their ways back, bounded in number and time."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._routes: dict[int, _Route] = {}

    def __len__(self) -> int:
        return len(self._routes)

    def begin(self, to: PeerId, sent: tuple[PeerId, ...], now_s: float) -> int:
        """The token of a shuffle of ours that goes to this neighbour with these contacts."""
        token = self._rng.getrandbits(64)
        self._keep(token, _Route(None, to, now_s, sent), now_s)
        return token

    def is_known(self, token: int) -> bool:
        """Whether this shuffle was here before."""
        return token in self._routes

    def passed_on(self, token: int, came_from: PeerId, went_to: PeerId, now_s: float) -> None:
        """Another's shuffle went on."""
        self._keep(token, _Route(came_from, went_to, now_s), now_s)

    def answered(self, token: int, peer: PeerId) -> tuple[PeerId | None, tuple[PeerId, ...]] | None:
        """An answer came from this peer: whom it goes on to (None: it is ours), and what we had sent.

        None where no answer is expected from it.
        """
        route = self._routes.get(token)
        if route is None or route.went_to != peer:
            return None
        del self._routes[token]
        return route.came_from, route.sent

    def _keep(self, token: int, route: _Route, now_s: float) -> None:
        while self._routes:
            oldest = next(iter(self._routes))
            if len(self._routes) < SHUFFLES_UNDER_WAY_MAX and now_s - self._routes[oldest].since_s < ROUTE_S:
                break
            del self._routes[oldest]
        self._routes[token] = route
