"""What can be said: the kinds of events, and an event as an immutable value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from zmqchat.model.ids import PeerId


class Kind(IntEnum):
    """The kinds of events; a number not listed is stored and relayed, and shown as newer."""

    TEXT = 1
    REPLY = 2
    EDIT = 3
    DELETE = 4
    REACTION = 5
    FILE = 6
    PROFILE = 7
    MEMBER = 8
    ROOM_SETTINGS = 9
    KEY = 10
    READ_MARKER = 11
    APP = 12


READABLE_KINDS = frozenset({Kind.TEXT, Kind.REPLY, Kind.FILE, Kind.APP})
"""What `messages`, `history` and `tail` give; the rest is bookkeeping that folds into state."""


class MemberAction(IntEnum):
    """What a member event says of its author."""

    JOIN = 1
    LEAVE = 2


class Head(NamedTuple):
    """One log's end as an author saw it: everything below `end` was there."""

    author: PeerId
    log: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One immutable thing said, decoded.

    salt    16 random bytes, so that a deleted short body can't be guessed from its digest
    hlc     hybrid logical clock: milliseconds since 1970 << 16 | counter; the event's sent_at
    kind    a `Kind`, or an unknown number below 256
    body    by kind: str for a text, a list for the structured ones; opaque for unknown kinds
    after   up to 4 heads that the author had seen: context, not order
    """

    salt: bytes
    hlc: int
    kind: int
    body: object
    after: tuple[Head, ...] = ()
