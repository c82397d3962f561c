"""Batches that others have announced and that have not come: when to ask for each, and whom.

How it works. The first announcement starts the wait; who announces the same later is asked later. When the wait is
over the first one is asked, then after another wait the next (Plumtree, "Fault Tolerance and Tree Repair": the timer
is set again while there is anybody left to ask), at once where one says that it does not send it. What nobody has sent
AWAITED_S after the first announcement is forgotten, and those who were asked and said nothing owe it (`debts`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from zmqchat.model.ids import PeerId, RoomId
from zmqchat.model.limits import TREE_MISSING_MAX, TREE_MISSING_PER_PEER_MAX
from zmqchat.protocol.machine import Size

AWAITED_S = 10.0
"""How long what was announced may take to come: a third of the time for which relays keep it."""

ANNOUNCERS_MAX = 16
"""Peers remembered to have announced one batch: more than a node has links in a partial mesh."""


@dataclass(slots=True)
class Awaited:
    """One batch that is missing.

    hops    by peer that announced it, over how many links it came to it
    asked   those of them that were asked
    due_s   when the next one is asked, or the batch given up
    end_s   when it is given up
    """

    room: RoomId
    due_s: float
    end_s: float
    hops: dict[PeerId, int] = field(default_factory=dict)
    asked: dict[PeerId, None] = field(default_factory=dict)


class AwaitedBatches:
    """All that is missing."""

    def __init__(self) -> None:
        self._awaited: dict[bytes, Awaited] = {}
        self._counts: dict[PeerId, int] = {}

    def __len__(self) -> int:
        """How many batches are missing."""
        return len(self._awaited)

    def sizes(self) -> tuple[Size, ...]:
        """The missing batches."""
        return (
            Size("awaited batches", len(self._awaited), TREE_MISSING_MAX),
            Size("awaited batches of a peer", max(self._counts.values(), default=0), TREE_MISSING_PER_PEER_MAX),
        )

    def announced(self, name: bytes, room: RoomId, peer: PeerId, hops: int, due_s: float, now_s: float) -> None:
        """A peer says that it has a batch that is not here."""
        if self._counts.get(peer, 0) >= TREE_MISSING_PER_PEER_MAX:
            return
        awaited = self._awaited.get(name)
        if awaited is None:
            if len(self._awaited) >= TREE_MISSING_MAX:
                return
            awaited = self._awaited[name] = Awaited(room, due_s, now_s + AWAITED_S)
        if peer not in awaited.hops and awaited.room == room and len(awaited.hops) < ANNOUNCERS_MAX:
            awaited.hops[peer] = hops
            self._counts[peer] = self._counts.get(peer, 0) + 1
            awaited.due_s = min(awaited.due_s, due_s)

    def arrived(self, name: bytes) -> Awaited | None:
        """It is here; what was known of it."""
        awaited = self._awaited.pop(name, None)
        if awaited is not None:
            self._forget(awaited)
        return awaited

    def unlink(self, peer: PeerId) -> None:
        """This peer can't be asked any more."""
        self._counts.pop(peer, None)
        for awaited in self._awaited.values():
            awaited.hops.pop(peer, None)
            awaited.asked.pop(peer, None)

    def take_due(
        self, now_s: float, wait_s: Callable[[PeerId], float]
    ) -> tuple[list[tuple[bytes, RoomId, PeerId]], list[tuple[bytes, PeerId]]]:
        """Whom to ask for which batch now, and what has not come of those who were asked for it."""
        asks: list[tuple[bytes, RoomId, PeerId]] = []
        late: list[tuple[bytes, PeerId]] = []
        for name, awaited in list(self._awaited.items()):
            if awaited.due_s > now_s:
                continue
            peer = next((peer for peer in awaited.hops if peer not in awaited.asked), None)
            if awaited.end_s <= now_s:
                late += [(name, asked) for asked in awaited.asked]
                self._forget(self._awaited.pop(name))
            elif peer is None:
                awaited.due_s = awaited.end_s
            else:
                awaited.asked[peer] = None
                awaited.due_s = min(awaited.end_s, now_s + wait_s(peer))
                asks.append((name, awaited.room, peer))
        return asks, late

    def not_asked(self, name: bytes, peer: PeerId) -> None:
        """The peer could not be asked yet."""
        awaited = self._awaited.get(name)
        if awaited is not None:
            awaited.asked.pop(peer, None)

    def withheld(self, name: bytes, peer: PeerId, now_s: float) -> None:
        """The peer was asked and says that it does not send it."""
        awaited = self._awaited.get(name)
        if awaited is None or peer not in awaited.asked:
            return
        del awaited.asked[peer], awaited.hops[peer]
        self._uncount(peer)
        if len(awaited.asked) < len(awaited.hops):
            awaited.due_s = now_s

    def next_due_s(self) -> float | None:
        """When something is due."""
        return min((awaited.due_s for awaited in self._awaited.values()), default=None)

    def _forget(self, awaited: Awaited) -> None:
        for peer in awaited.hops:
            self._uncount(peer)

    def _uncount(self, peer: PeerId) -> None:
        left = self._counts.get(peer, 0) - 1
        if left > 0:
            self._counts[peer] = left
        else:
            self._counts.pop(peer, None)
