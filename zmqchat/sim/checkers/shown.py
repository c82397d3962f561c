"""Who lives is shown so: where nothing happens but loss, nobody's presence flaps, however many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zmqchat.sim.checkers.base import Base
from zmqchat.sim.checks import CheckFailed

if TYPE_CHECKING:
    from zmqchat.sim.world import World

SHOWN_OFFLINE_S_MAX: Final = 5.0


class Shown(Base):
    """No watched node that has seen everybody shows one who runs offline for longer than SHOWN_OFFLINE_S_MAX."""

    name = "shown"

    def __init__(self) -> None:
        self._has_seen_all: set[int] = set()
        self._offline_since_s: dict[tuple[int, int], float] = {}
        self._longest_s = 0.0

    def step(self, world: World) -> None:
        """Look at who shows fewer than there are."""
        live = world.live()
        for node in world.watched:
            process = world.nodes[node].process
            if process is None:
                continue
            if process.machines.roster.live_count >= len(live) - 1:
                self._has_seen_all.add(node)
                self._offline_since_s = {pair: s for pair, s in self._offline_since_s.items() if pair[0] != node}
            elif node in self._has_seen_all:
                self._look(world, node, live)

    def _look(self, world: World, node: int, live: list[int]) -> None:
        for other in live:
            if other == node or world.is_online(node, other):
                self._offline_since_s.pop((node, other), None)
                continue
            since_s = self._offline_since_s.setdefault((node, other), world.now_s)
            self._longest_s = max(self._longest_s, world.now_s - since_s)
            if world.now_s - since_s > SHOWN_OFFLINE_S_MAX:
                raise CheckFailed(f"node {node} shows node {other} offline from {since_s:.0f} s on, which runs")

    def quiet(self, world: World) -> None:
        """Say how long it was at worst, as far as steps tell."""
        world.notes.append(
            f"{len(self._has_seen_all)} watched nodes saw everybody; longest shown offline: {self._longest_s:.0f} s"
        )
