"""The application of a simulated node: what it has said, and what its cursors have given it.

A cursor is durable with its user, not with the node: after a crash it goes on at the number where it stood, reading
from the disk what became deliverable before the crash and was not told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zmqchat.model.ids import MessageId, PeerId, RoomId
from zmqchat.protocol.data_effects import OwnFailed, OwnStored
from zmqchat.protocol.effects import Deliver, PutArrival
from zmqchat.sim.disk import Disk
from zmqchat.sim.texts import Texts

if TYPE_CHECKING:
    from zmqchat.sim.watch import Watch


class Application:
    """Whoever uses one node, through all its lives.

    is_watched   whether checkers are told what it reads
    """

    def __init__(self, number: int, me: PeerId, watch: Watch, texts: Texts, *, is_watched: bool) -> None:
        self.number = number
        self.is_watched = is_watched
        self._me = me
        self._watch = watch
        self._texts = texts
        self._sent: dict[tuple[RoomId, int, int], tuple[MessageId, str]] = {}
        self._positions: dict[RoomId, int] = {}

    def posted(self, room: RoomId, messages: list[MessageId], text: str) -> None:
        """A text was accepted and waits to be durable."""
        for message in messages:
            self._sent[(room, message.log, message.number)] = (message, text)

    def own_stored(self, effect: OwnStored) -> None:
        """`send` returns for these."""
        for number in range(effect.first, effect.end):
            sent = self._sent.pop((effect.room, effect.log, number), None)
            if sent is not None:
                self._watch.acknowledged(self.number, effect.room, *sent)

    def own_failed(self, effect: OwnFailed) -> None:
        """`send` raises for these."""
        for number in range(effect.first, effect.end):
            self._sent.pop((effect.room, effect.log, number), None)

    def died(self) -> None:
        """The process is gone: nobody will hear whether what waited was kept."""
        self._sent.clear()

    def delivered(self, effect: Deliver, disk: Disk) -> None:
        """A cursor at the live end is given this from memory: only the node's word says that it is durable."""
        row = effect.arrival
        rows = disk.arrivals.get(row.room, [])
        while rows and rows[0].number <= row.number:
            rows.pop(0)
        self._give(row, effect.raw)

    def resume(self, disk: Disk) -> None:
        """The node runs again: read what the disk holds beyond where the cursors stood."""
        for room in sorted(disk.arrivals):
            for row in disk.arrivals.pop(room):
                self._give(row, disk.batch(room, row.key, row.batch_end))

    def rewound(self) -> None:
        """The disk was set back: its numbers are given again, so the cursors start anew there."""
        self._positions.clear()
        self._watch.rewound(self.number)

    def _give(self, row: PutArrival, raw: bytes | None) -> None:
        if row.number < self._positions.get(row.room, 0):
            return
        self._positions[row.room] = row.number + 1
        if not self.is_watched:
            return
        if not row.batch_end:
            self._watch.missed(self.number, row.room, row.key, row.first, row.end)
            return
        for number, message, text in self._texts.of(raw) if raw is not None else ():
            if row.first <= number < row.end:
                self._watch.delivered(self.number, row.room, message, text)
