"""Who keeps a room for others: the same answer on every node that knows the same members.

How it works. A room's keepers are the KEEPERS live members of the mesh that are not in it, have been known for more
than keeper_known_s, and whose hash of (room, peer id) is highest: rendezvous hashing (Thaler and Ravishankar, Using
name-based mappings to increase hit rates, IEEE/ACM Transactions on Networking 1998, section 3). So nobody appoints a
keeper, each room has others, and one that goes moves only its own rooms. Who is in a room is told by the hints of the
signed member records; whoever is in more rooms than its record names may be in any, and whose record names DECLINES
keeps nothing. A node asks for itself only, and stops at the third member with a higher hash, so that it looks at a few
members for most rooms. Where two nodes know different members there is a keeper more for a while.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple, Protocol

from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId, RoomId
from zmqchat.model.limits import KEEPERS
from zmqchat.protocol.facts import Instant
from zmqchat.protocol.roster import Roster
from zmqchat.wire.roster_frames import room_hint

DECLINES: Final = "keeps-nothing"
"""Among the features of a member record: this node is no keeper, so that others are."""

_WEIGHT_LABEL: Final = b"zmqchat-keeper-1"
_WEIGHT_BYTES: Final = 8


class Look(NamedTuple):
    """Whether this node is a keeper of a room, and how many members were looked at to find out."""

    chosen: bool
    members: int


class Choice(Protocol):
    """What `keeping` asks."""

    def look(self, room: RoomId, at: Instant) -> Look:
        """Whether this node is to be a keeper of a room that it is not in."""


class Nobody:
    """The choice of a node that keeps nothing."""

    def look(self, room: RoomId, at: Instant) -> Look:
        """Others are."""
        return Look(False, 0)


class Keepers:
    """The choice by hash among the members of the roster."""

    def __init__(self, me: PeerId, config: Config, roster: Roster) -> None:
        self._me = me
        self._known_s = config.keeper_known_s
        self._roster = roster

    def look(self, room: RoomId, at: Instant) -> Look:
        """Whether this node is to be a keeper of a room that it is not in."""
        roster = self._roster
        if roster.is_in_many_rooms:
            return Look(False, 0)
        table, pool, hint = roster.table, roster.pool, room_hint(room)
        ours, higher, looked = weight(room, self._me), 0, 0
        for slot in table.live_slots():
            looked += 1
            if at.now_s - table.since_s(slot) < self._known_s:
                continue
            hints = pool.hints(table.number(slot))
            if hint in hints or b"" in hints or weight(room, pool.peer(slot)) < ours:
                continue
            record = roster.record(pool.peer(slot))
            if record is None or DECLINES in record.features:
                continue
            higher += 1
            if higher == KEEPERS:
                return Look(False, looked)
        return Look(True, looked)


def weight(room: RoomId, peer: PeerId) -> bytes:
    """The hash that ranks the nodes outside a room."""
    return hashlib.blake2b(room + peer, digest_size=_WEIGHT_BYTES, person=_WEIGHT_LABEL).digest()
