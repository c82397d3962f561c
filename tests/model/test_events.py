"""Kinds of events: their numbers are on disks and wires, so they never change."""

from __future__ import annotations

from zmqchat.model.events import READABLE_KINDS, Event, Head, Kind, MemberAction
from zmqchat.model.ids import PeerId


def test_the_numbers_of_kinds_are_fixed() -> None:
    """A store written today is read by every later version."""
    assert {kind.name: int(kind) for kind in Kind} == {
        "TEXT": 1,
        "REPLY": 2,
        "EDIT": 3,
        "DELETE": 4,
        "REACTION": 5,
        "FILE": 6,
        "PROFILE": 7,
        "MEMBER": 8,
        "ROOM_SETTINGS": 9,
        "KEY": 10,
        "READ_MARKER": 11,
        "APP": 12,
    }
    assert {action.name: int(action) for action in MemberAction} == {"JOIN": 1, "LEAVE": 2}


def test_people_read_texts_and_not_bookkeeping() -> None:
    """Profiles, members, keys and markers fold into state."""
    assert {kind for kind in Kind if kind in READABLE_KINDS} == {Kind.TEXT, Kind.REPLY, Kind.FILE, Kind.APP}


def test_an_event_is_a_value() -> None:
    """Two events with the same fields are one."""
    head = Head(PeerId(bytes(32)), 1, 5)
    made = [Event(salt=bytes(16), hlc=1 << 16, kind=Kind.TEXT, body="x", after=(head,)) for _ in range(2)]
    assert made[0] == made[1]
    assert len(set(made)) == 1
