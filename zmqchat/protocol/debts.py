"""Debts: announced batches that a peer was asked for by GRAFT and that have not come, over one link.

How it works. An honest peer answers each GRAFT for a batch, by RELAY or by WITHHELD, and a link keeps its order. But an
answer may be long under way: behind megabytes, on a line that is thin for this node alone. So what has not come in time
is held against the peer only once it has answered a ping that was sent later, as its answer would have come before:

    late --a ping leaves--> tried --RELAY or WITHHELD--> paid
                              |----PONG, or none for TRIAL_S--> broken; a fault where there are too many in BROKEN_S

Who announces and then withholds has broken its word too, unless it has sent much: an honest peer withholds where we are
slow or have asked for much, and behind megabytes of RELAY. Each WITHHELD_BYTES of those excuse one.
"""

from __future__ import annotations

from zmqchat.model.faults import Fault
from zmqchat.model.limits import TREE_MISSING_PER_PEER_MAX, TREE_UNANSWERED_MAX

PING_AGAIN_S = 10.0
"""A PING or its PONG may be dropped where too much waits: then another one is sent."""

TRIAL_S = 120.0
"""Who answers no ping for so long is not believed to have an answer under way: a peer that is held for slow loses its
link much sooner, and what is under way to one that is not takes less, on any line of 70 kB/s."""

BROKEN_S = 60.0

WITHHELD_BYTES = 1_024
"""What a peer has relayed of for each batch that it may withhold: who is slow has 8 MiB under way to it."""

EXCUSED_MAX = 16_384
"""Batches that a peer may withhold at most for what it has relayed."""


class Debts:
    """What one peer owes."""

    __slots__ = ("_broken", "_broken_s", "_excused_bytes", "_late", "_pinged_s", "_trial_s", "_tried")

    def __init__(self) -> None:
        self._late: dict[bytes, None] = {}
        self._tried: dict[bytes, None] = {}
        self._trial_s: float | None = None
        self._pinged_s = 0.0
        self._broken = 0
        self._broken_s = 0.0
        self._excused_bytes = 0

    def __len__(self) -> int:
        """How many batches it owes."""
        return len(self._late) + len(self._tried)

    def add(self, name: bytes) -> None:
        """It was asked for this batch, which has not come in time."""
        if len(self) < TREE_MISSING_PER_PEER_MAX:
            self._late[name] = None

    def relayed(self, name: bytes, size_bytes: int) -> None:
        """It has sent this batch, asked or not."""
        self._paid(name)
        self._excused_bytes = min(self._excused_bytes + size_bytes, EXCUSED_MAX * WITHHELD_BYTES)

    def withheld(self, name: bytes, now_s: float) -> list[Fault]:
        """It says that it does not send this batch: the fault where that was too often."""
        self._paid(name)
        if self._excused_bytes >= WITHHELD_BYTES:
            self._excused_bytes -= WITHHELD_BYTES
            return []
        return self._count(1, now_s)

    def _paid(self, name: bytes) -> None:
        self._late.pop(name, None)
        self._tried.pop(name, None)

    def is_ping_due(self, now_s: float) -> bool:
        """Whether the peer is to be pinged now; then all that is owed is tried, unless a trial is under way."""
        if self._trial_s is None:
            if not self._late:
                return False
            self._tried, self._late = self._late, {}
            self._trial_s = now_s
        elif now_s - self._pinged_s < PING_AGAIN_S:
            return False
        self._pinged_s = now_s
        return True

    def is_overdue(self, now_s: float) -> bool:
        """Whether it has left the pings of a trial unanswered for too long."""
        return self._trial_s is not None and now_s - self._trial_s >= TRIAL_S

    def judge(self, now_s: float) -> list[Fault]:
        """The trial is over: the faults that it shows."""
        broken, self._tried, self._trial_s = len(self._tried), {}, None
        return self._count(broken, now_s)

    def _count(self, broken: int, now_s: float) -> list[Fault]:
        if now_s - self._broken_s > BROKEN_S:
            self._broken, self._broken_s = 0, now_s
        faults, self._broken = divmod(self._broken + broken, TREE_UNANSWERED_MAX + 1)
        return [Fault(reason="protocol", detail="announces batches that it does not send")] * faults
