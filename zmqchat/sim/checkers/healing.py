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
            held = {node: self._held(world, node) for node in world.watched}
            everything = set().union(*held.values())
            self._lacked = {node: sum(map(len, everything - raws)) for node, raws in held.items()}
        elif world.agrees():
            self._took_s = world.now_s - self._heals_s
            self._sent = {n: size - self._sent_before.get(n, 0) for n, size in world.network.sent_history_bytes.items()}

    def _held(self, world: World, node: int) -> set[bytes]:
        disk = world.nodes[node].disk
        return {raw for room in rooms_of(world) for _key, raw in disk.batches(world.room(room))}

    def quiet(self, world: World) -> None:
        """Compare, and tell the numbers."""
        if self._took_s is None or self._took_s > EQUAL_WITHIN_S:
            raise CheckFailed(f"not all hold the same {EQUAL_WITHIN_S:.0f} s after the network healed")
        lacked, sent = max(self._lacked.values()), max(self._sent.values(), default=0)
        mean = sum(self._sent.values()) / len(world.nodes)
        world.notes.append(
            f"equal {self._took_s:.0f} s after the network healed; a node lacked up to {lacked:,} B,"
            f" sent {mean:,.0f} B of history on average and {sent:,} B at most ({sent / max(1, lacked):.2f} times)"
        )
        for node, most in self._lacked.items():
            times = self._sent.get(node, 0) / max(1, most)
            if times > SENT_TIMES_LACKED_MAX:
                raise CheckFailed(f"node {node} sent {times:.1f} times the {most} B that it lacked")
