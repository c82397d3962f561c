"""Floors: a keeper tells an author what it holds no more, so that it does not stand among its holders.

How it works. HAVE says up to where something is held, not from where on: of most logs that is from the first number. A
keeper lets go of the oldest, or never takes it (`custody`). So it tells each author that it is linked to of the floors
of its logs by LET GO: on a new link, when one has risen, and again where frames were lost. Who hears it counts the
sender from there on only (`receipts`). A node that let go of nothing sends nothing of this.
"""

from __future__ import annotations

from zmqchat.model.ids import MAIN_BRANCH, PeerId, RoomId
from zmqchat.model.limits import ROOMS_MAX
from zmqchat.protocol.data_facts import FloorRaised, InterestTold
from zmqchat.protocol.facts import Instant, LinkBlocked
from zmqchat.protocol.interests import Interests
from zmqchat.protocol.ledger import Ledger
from zmqchat.protocol.machine import Machine, PeerUnlinked, SendFrame, Size
from zmqchat.wire.frames import LetGo, LogFloor, encode


class Floors(Machine):
    """The machine that tells authors of floors."""

    timer = "floors"

    def __init__(self, ledger: Ledger, interests: Interests) -> None:
        super().__init__()
        self._ledger = ledger
        self._interests = interests
        self._told: dict[PeerId, dict[RoomId, tuple[LogFloor, ...]]] = {}
        self.facts = {
            FloorRaised: self._raised,
            InterestTold: self._interest_told,
            PeerUnlinked: self._forget,
            LinkBlocked: self._forget,
        }

    def sizes(self) -> tuple[Size, ...]:
        """Rooms of which a peer was told."""
        return (Size("rooms told", max(map(len, self._told.values()), default=0), ROOMS_MAX),)

    def _forget(self, fact: PeerUnlinked | LinkBlocked, _at: Instant) -> None:
        self._told.pop(fact.peer, None)

    def _raised(self, fact: FloorRaised, _at: Instant) -> None:
        if self._interests.is_linked(fact.author):
            self._tell(fact.author, fact.room)

    def _interest_told(self, fact: InterestTold, _at: Instant) -> None:
        for room in sorted(self._interests.rooms_of(fact.peer)):
            self._tell(fact.peer, room)

    def _tell(self, author: PeerId, room: RoomId) -> None:
        entry = self._ledger.rooms.get(room)
        if entry is None or not entry.kept:
            return
        logs = entry.frontier.of_author(author)
        floors = tuple(LogFloor(key.log, log.floor) for key, log in logs if log.floor and key.branch == MAIN_BRANCH)
        told = self._told.setdefault(author, {}) if floors else {}
        if floors and told.get(room) != floors and (room in told or len(told) < ROOMS_MAX):
            told[room] = floors
            self.outbox.append(SendFrame(peer=author, payload=encode(LetGo(room=room, entries=floors))))
