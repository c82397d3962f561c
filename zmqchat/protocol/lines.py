"""Lines: what goes over one link of the tree, and how far its reader is.

How it works. Both ends count the bytes of RELAY frames: the reader says TAKEN after every TAKEN_BYTES, so the sender
knows what is under way. What passes the link's budget makes the peer slow until half of it is acknowledged:

    quick --over LINK_UNACKNOWLEDGED_BYTES_MAX, or libzmq dropped something--> slow --TAKEN--> quick
                                                                               slow for SLOW_S: told once

Besides, a line remembers by room what is due to be announced, when PRUNE last left, and how often in a row the peer
promised fewer hops than a batch took, and what the peer owes (`debts`).
"""

from __future__ import annotations

from collections.abc import Iterable

from zmqchat.model.ids import RoomId
from zmqchat.model.limits import KIB, LINK_UNACKNOWLEDGED_BYTES_MAX, MIB
from zmqchat.protocol.debts import Debts
from zmqchat.wire.tree_frames import Announced, IHave

TAKEN_BYTES = 64 * KIB
"""How often a reader says how far it is: seldom enough to cost chat nothing, often against the link's budget."""

BEHIND_BYTES = MIB
"""With more under way a link is no good branch of a tree: a fast reader has a tenth of it to say."""

SLOW_S = 10.0
"""How long a slow peer keeps its place in the overlay."""

OPTIMISE_AFTER = 8
"""How often in a row a lazy link must promise fewer hops. Authors in different places want different trees: what is
better for one batch alone makes the tree restless, and a restless tree has holes."""

ROOMS_MAX = 256
"""Rooms of which a line remembers prunes and promises; beyond it, it begins anew, at the cost of a PRUNE too many."""


class Line:
    """One link.

    names  to be announced, by room: the name of a batch, and over how many hops it came
    debts  what was asked for and has not come
    """

    __slots__ = (
        "_acknowledged",
        "_gains",
        "_pruned",
        "_read",
        "_sent",
        "_slow_s",
        "_told",
        "debts",
        "names",
    )

    def __init__(self) -> None:
        self.names: dict[RoomId, dict[bytes, int]] = {}
        self.debts = Debts()
        self._pruned: dict[RoomId, float] = {}
        self._gains: dict[RoomId, int] = {}
        self._sent = self._acknowledged = 0
        self._read = self._told = 0
        self._slow_s: float | None = None

    def take_names(self) -> list[IHave]:
        """What tells all that waits to be announced."""
        names, self.names = self.names, {}
        return [IHave(room=room, entries=tuple(map(Announced._make, hops.items()))) for room, hops in names.items()]

    def drop_names(self, room: RoomId, told: Iterable[Announced], hops_fewer: int) -> None:
        """The peer told of these: it need not be told of them, unless they would have come by us over as many fewer."""
        ours = self.names.get(room)
        if ours is None:
            return
        for name, hops in told:
            if name in ours and hops - (ours[name] + 1) < hops_fewer:
                del ours[name]
        if not ours:
            del self.names[room]

    # How far ------------------------------------------------------------------------------------

    @property
    def is_slow(self) -> bool:
        """Whether the peer gets names only."""
        return self._slow_s is not None

    @property
    def is_behind(self) -> bool:
        """Whether so much is under way to the peer that what it passes on comes late."""
        return self.is_slow or self._sent - self._acknowledged > BEHIND_BYTES

    def read(self, size_bytes: int) -> int | None:
        """A batch of this size came; what is to be said in TAKEN, None for nothing yet."""
        self._read += size_bytes
        if self._read - self._told < TAKEN_BYTES:
            return None
        self._told = self._read
        return self._read

    def sent(self, size_bytes: int, now_s: float) -> None:
        """A batch of this size went out."""
        self._sent += size_bytes
        if self._sent - self._acknowledged > LINK_UNACKNOWLEDGED_BYTES_MAX and self._slow_s is None:
            self._slow_s = now_s

    def dropped(self, now_s: float) -> None:
        """Something that was sent is lost."""
        if self._sent > self._acknowledged and self._slow_s is None:
            self._slow_s = now_s

    def taken(self, size_bytes: int) -> None:
        """The peer says that it has read so much in all; what can't be is ignored."""
        if self._acknowledged <= size_bytes <= self._sent:
            self._acknowledged = size_bytes
            if self._sent - size_bytes <= LINK_UNACKNOWLEDGED_BYTES_MAX // 2:
                self._slow_s = None

    def is_slow_for_long(self, now_s: float) -> bool:
        """Whether the peer has been slow for SLOW_S; said once in as long."""
        if self._slow_s is None or now_s - self._slow_s < SLOW_S:
            return False
        self._slow_s = now_s
        return True

    # By room ------------------------------------------------------------------------------------

    def pruned(self, room: RoomId, now_s: float) -> None:
        """PRUNE has left."""
        if len(self._pruned) >= ROOMS_MAX:
            self._pruned.clear()
        self._pruned[room] = now_s

    def grafted(self, room: RoomId) -> None:
        """The link is wanted again, at either end."""
        self._pruned.pop(room, None)

    def is_pruned(self, room: RoomId, now_s: float, within_s: float) -> bool:
        """Whether PRUNE left so short a time ago."""
        pruned_s = self._pruned.get(room)
        return pruned_s is not None and now_s - pruned_s < within_s

    def promises(self, room: RoomId, *, fewer: bool) -> bool:
        """The peer could have brought a batch over fewer hops, or not; whether it has, often enough in a row."""
        gains = self._gains.pop(room, 0) + 1
        if not fewer or gains >= OPTIMISE_AFTER:
            return fewer
        if len(self._gains) >= ROOMS_MAX:
            self._gains.clear()
        self._gains[room] = gains
        return False
