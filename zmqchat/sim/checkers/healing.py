"""What a partition costs once it heals: everybody has everything soon, and nobody carries it for all the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zmqchat.sim.checkers.base import Base, rooms_of
from zmqchat.sim.checks import CheckFailed

if TYPE_CHECKING:
    from zmqchat.sim.world import World

EQUAL_WITHIN_S: Final = 60.0
SENT_TIMES_LACKED_MAX: Final = 3.0


class Healing(Base):
    """From the end of the trouble on: when all hold the same, and what history each node sent by then.

    It is compared with what that node lacked itself. Only pages count: what member records, pings and new links cost
    has nothing to do with what was said.
    """

    name = "healing"

    def __init__(self, heals_s: float) -> None:
        self._heals_s = heals_s
        self._sent_before: dict[int, int] = {}
        self._lacked: dict[int, int] = {}
        self._took_s: float | None = None
        self._sent: dict[int, int] = {}

    def step(self, world: World) -> None:
        """Note what is lacking when the trouble ends, and when nothing is any more."""
        if world.now_s < self._heals_s or self._took_s is not None:
            return
        if not self._lacked:
            self._sent_before = dict(world.network.sent_history_bytes)
            self._lacked = self._lacking(world)
        elif world.agrees():
            self._took_s = world.now_s - self._heals_s
            self._sent = {n: size - self._sent_before.get(n, 0) for n, size in world.network.sent_history_bytes.items()}

    def _lacking(self, world: World) -> dict[int, int]:
        """How many bytes of what anybody holds each node does not; a disk holds no batch twice."""
        everything: dict[bytes, None] = {}
        held = {}
        for node in world.honest:
            raws = [raw for room in rooms_of(world) for _key, raw in world.nodes[node].disk.batches(world.room(room))]
            held[node] = sum(map(len, raws))
            everything.update(dict.fromkeys(raws))
        whole = sum(map(len, everything))
        return {node: whole - size for node, size in held.items()}

    def quiet(self, world: World) -> None:
        """Compare, and tell the numbers."""
        if self._took_s is None or self._took_s > EQUAL_WITHIN_S:
            raise CheckFailed(f"not all hold the same {EQUAL_WITHIN_S:.0f} s after the network healed")
        times = {node: self._sent.get(node, 0) / max(1, lacked) for node, lacked in self._lacked.items()}
        busiest = max(times, key=lambda node: times[node])
        mean = sum(self._sent.values()) / len(self._lacked)
        world.notes.append(
            f"equal {self._took_s:.0f} s after the network healed; a node lacked up to"
            f" {max(self._lacked.values()):,} B, sent {mean:,.0f} B of history on average;"
            f" node {busiest} sent {self._sent.get(busiest, 0):,} B, {times[busiest]:.2f} times what it lacked"
        )
        for node, ratio in times.items():
            if ratio > SENT_TIMES_LACKED_MAX:
                raise CheckFailed(f"node {node} sent {ratio:.1f} times the {self._lacked[node]} B that it lacked")
