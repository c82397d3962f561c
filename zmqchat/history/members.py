"""Who is in a room, and what they were called when: folds of member and profile events.

Both folds give the same result in whatever order events come, and however often: the newest member event
of an author counts, and of his names the newest NAMES_MAX. Newest is by the event's own clock value, as
both concern its author alone; equal values are decided by what they say.
"""

from __future__ import annotations

import bisect
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from zmqchat.model.events import MemberAction
from zmqchat.model.ids import PeerId
from zmqchat.model.layered import Layered
from zmqchat.model.limits import MEMBERS_PER_ROOM_MAX, NAME_BYTES_MAX

NAMES_MAX: Final = 32
"""Names kept an author and room: who renames himself for ever fills nobody's memory."""

_ROW = struct.Struct(">BQBB")
_NAME = struct.Struct(">QH")
_ROW_VERSION: Final = 1


class NameAt(NamedTuple):
    """A name, and the clock value of the profile event that gave it."""

    hlc: int
    name: str


class Member(NamedTuple):
    """What is known of one author in a room.

    action, at   the newest member event and its clock value; LEAVE and 0 where there was none
    names        the newest names, in rising order of time
    """

    action: int = MemberAction.LEAVE
    at: int = 0
    names: tuple[NameAt, ...] = ()

    @property
    def is_in(self) -> bool:
        """Whether the author is in the room."""
        return self.action == MemberAction.JOIN

    @property
    def name(self) -> str | None:
        """The present name; None where no profile is known."""
        return self.names[-1].name if self.names else None

    def name_at(self, hlc: int) -> str | None:
        """The name that went with an event of this clock value; before the first known one that one."""
        if not self.names:
            return None
        after = bisect.bisect_right([known.hlc for known in self.names], hlc)
        return self.names[max(0, after - 1)].name

    def pack(self) -> bytes:
        """The row that the store keeps."""
        parts = [_ROW.pack(_ROW_VERSION, self.at, self.action, len(self.names))]
        for known in self.names:
            name = known.name.encode()
            parts += (_NAME.pack(known.hlc, len(name)), name)
        return b"".join(parts)

    @staticmethod
    def unpack(row: bytes) -> Member | None:
        """The member that `pack` packed; None where the row is damaged."""
        try:
            version, at, action, count = _ROW.unpack_from(row)
            offset = _ROW.size
            names = []
            for _ in range(count):
                hlc, length = _NAME.unpack_from(row, offset)
                offset += _NAME.size
                names.append(NameAt(hlc, row[offset : offset + length].decode()))
                offset += length
        except (struct.error, UnicodeDecodeError):
            return None
        if version != _ROW_VERSION or offset != len(row):
            return None
        return Member(action, at, tuple(names))


_ACTIONS: Final = frozenset(int(action) for action in MemberAction)
_UNKNOWN: Final = Member()


class NameBook:
    """The members of one room, present and past, and their names."""

    def __init__(self) -> None:
        self._members: Layered[PeerId, Member] = Layered()

    def copy(self) -> NameBook:
        """Another one that begins as this; what neither changes is kept once."""
        other = NameBook()
        other._members = self._members.copy()
        return other

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, author: PeerId) -> Member:
        """What is known of an author; an empty Member where that is nothing."""
        member: Member = self._members.get(author, _UNKNOWN)
        return member

    def members(self) -> list[PeerId]:
        """Who is in the room, in the order of their ids."""
        return sorted(author for author, member in self._members.items() if member.is_in)

    def items(self) -> Iterator[tuple[PeerId, Member]]:
        """All who ever joined or had a name here."""
        yield from self._members.items()

    def put(self, author: PeerId, member: Member) -> None:
        """Set what the store has of an author."""
        self._members[author] = member

    def note_action(self, author: PeerId, action: int, hlc: int) -> bool:
        """Fold in a member event; whether anything changed. Actions of a newer version change nothing."""
        known = self[author]
        if action not in _ACTIONS:
            return False
        if (hlc, action) <= (known.at, known.action if known.at else 0):
            return False
        return self._change(author, known, known._replace(action=action, at=hlc))

    def note_name(self, author: PeerId, name: str, hlc: int) -> bool:
        """Fold in a profile event; whether anything changed."""
        known = self[author]
        if len(name.encode()) > NAME_BYTES_MAX:
            return False
        names = tuple(sorted({*known.names, NameAt(hlc, name)})[-NAMES_MAX:])
        return self._change(author, known, known._replace(names=names))

    def _change(self, author: PeerId, before: Member, after: Member) -> bool:
        if after == before or (author not in self._members and len(self._members) >= MEMBERS_PER_ROOM_MAX):
            return False
        self._members[author] = after
        return True
