"""Seeking: how much a node needs a link, whom it asks, and what it makes of failures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

import pytest

from tests.protocol.test_views import active, contact
from tests.support.fakelink import peer_of
from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId, RoomId
from zmqchat.model.limits import DIALS_REFUSED_MAX
from zmqchat.protocol.facts import Instant
from zmqchat.protocol.machine import LinkWanted
from zmqchat.protocol.reach import Reach
from zmqchat.protocol.seeking import ASKS_AT_ONCE, LOST_S, REFUSED_S, WISH_S, WISHES_MAX, Seeking
from zmqchat.protocol.views import PassiveView, Shape
from zmqchat.wire.overlay_frames import Priority

START = Instant(0.0, 0)
ROOM = RoomId(bytes(range(16)))


class Members:
    """A census of contacts 100 to 149, of whom 120 is in ROOM."""

    live_count = 50

    def pick(self, count: int, exclude: Iterable[PeerId] = ()) -> Sequence[PeerId]:
        """The first of them."""
        left_out = set(exclude)
        return [contact(n).peer for n in range(100, 150) if contact(n).peer not in left_out][:count]

    def endpoints_of(self, peer: PeerId) -> tuple[Endpoint, ...]:
        """All in one place."""
        return contact(100).endpoints

    def in_room(self, room: RoomId) -> Iterable[PeerId]:
        """Only 120."""
        return [contact(120).peer] if room == ROOM else []


class NobodyElse:
    """The census of a node without a member table."""

    live_count = 0

    def pick(self, _count: int, _exclude: Iterable[PeerId] = ()) -> Sequence[PeerId]:
        """Nobody."""
        return ()

    def endpoints_of(self, _peer: PeerId) -> tuple[Endpoint, ...]:
        """Nowhere."""
        return ()

    def in_room(self, _room: RoomId) -> Iterable[PeerId]:
        """Nobody."""
        return ()


class Wanting:
    """A `Seeking` with so many neighbours, and what it wanted."""

    def __init__(self, neighbours: int, census: Members | NobodyElse | None = None) -> None:
        self.wanted: list[PeerId] = []
        self.shape = Shape.of(Config())
        self.passive = PassiveView(48, Random(1))
        view = active(*["a"] * neighbours)
        self.seeking = Seeking(
            peer_of("me"), Random(1), self.shape, view, self.passive, Reach(), census or NobodyElse(), self._want
        )

    def _want(self, fact: LinkWanted) -> None:
        self.wanted.append(fact.peer)


@pytest.mark.parametrize(
    ("neighbours", "priority"),
    [(0, Priority.HIGH), (1, Priority.NEEDED), (5, Priority.NEEDED), (6, Priority.LOW), (12, Priority.LOW)],
)
def test_the_fewer_links_the_more_they_are_needed(neighbours: int, priority: Priority) -> None:
    """None is an emergency, below six is a need, else it is a wish."""
    assert Wanting(neighbours).seeking.need() is priority


def test_a_few_are_asked_at_once_and_more_after_a_second() -> None:
    """Four at most at a time, and never more than are missing."""
    made = Wanting(0, Members())
    made.seeking.seek(START)
    assert len(made.wanted) == ASKS_AT_ONCE
    made.seeking.seek(Instant(0.1, 0))
    assert len(made.wanted) == ASKS_AT_ONCE
    made.seeking.seek(Instant(2.0, 0))
    assert len(set(made.wanted)) == WISHES_MAX
    made.seeking.seek(Instant(4.0, 0))
    assert len(made.wanted) == WISHES_MAX


def test_whoever_listens_no_more_is_followed_by_the_next_at_once() -> None:
    """Most of the mesh may have died; not so after a refusal by the living, which would storm their doors."""
    made = Wanting(3, Members())
    made.seeking.seek(START)
    for failed in range(10):
        made.seeking.failed(made.wanted[failed], "refused", START)
        assert len(made.seeking.wishes) == ASKS_AT_ONCE
    for reason in ("full", "timeout", "held"):
        made.seeking.failed(made.wanted[-1], reason, START)
    assert len(made.wanted) == ASKS_AT_ONCE + 10


def test_going_through_the_dead_is_bounded() -> None:
    """Sixty-four at once and one a second more beside those that are asked each second."""
    made = Wanting(3, Members())
    dead = made.wanted
    made.seeking.seek(START)
    for failed in range(1_000):
        if failed < len(dead):
            made.seeking.failed(dead[failed], "refused", START)
    assert len(dead) == ASKS_AT_ONCE + DIALS_REFUSED_MAX
    made.seeking.seek(Instant(2.0, 0))
    assert len(dead) == 2 * ASKS_AT_ONCE + DIALS_REFUSED_MAX


def test_whoever_has_enough_does_not_seek() -> None:
    """At six links nothing is urgent."""
    made = Wanting(6, Members())
    made.seeking.seek(START)
    assert made.wanted == []


def test_the_reserve_comes_before_the_member_table() -> None:
    """Who is in reserve was told of by somebody who reached it."""
    made = Wanting(5, Members())
    made.passive.add(contact(50), peer_of("friend"))
    made.seeking.ask_one(Priority.LOW, START)
    made.seeking.ask_one(Priority.LOW, START)
    assert made.wanted == [contact(50).peer, contact(100).peer]


@pytest.mark.parametrize(
    ("reason", "neighbours", "stays", "held_s"),
    [
        ("full", 3, True, REFUSED_S),
        ("held", 3, True, REFUSED_S),
        ("unreachable", 3, False, 0.0),
        ("unreachable", 0, True, LOST_S),
    ],
)
def test_what_failed_leaves_the_reserve_or_waits(reason: str, neighbours: int, stays: bool, held_s: float) -> None:
    """Full: later. Unreachable: forgotten, except where nothing can be reached, which is our own trouble."""
    made = Wanting(neighbours)
    made.passive.add(contact(50), peer_of("friend"))
    made.seeking.ask_one(Priority.LOW, START)
    assert made.wanted == [contact(50).peer]
    made.seeking.failed(contact(50).peer, reason, START)
    assert not made.seeking.wishes
    assert (contact(50).peer in made.passive) is stays
    if stays:
        assert made.passive.pick(held_s - 0.1, (), ()) is None
        assert made.passive.pick(held_s, (), ()) is not None


def test_a_wish_that_takes_too_long_is_given_up() -> None:
    """Its place is free for the next one."""
    made = Wanting(3, Members())
    made.seeking.ask_one(Priority.LOW, START)
    made.seeking.end_late_wishes(Instant(WISH_S - 0.1, 0))
    assert made.seeking.wishes
    made.seeking.end_late_wishes(Instant(WISH_S, 0))
    assert not made.seeking.wishes


def test_a_visit_rather_goes_to_a_room_that_no_link_leads_into() -> None:
    """Else to anybody; a node without neighbours has other worries."""
    made = Wanting(6, Members())
    made.seeking.visit([ROOM], START)
    made.seeking.visit([RoomId(bytes(16))], START)
    assert made.wanted == [contact(120).peer, contact(100).peer]
    assert made.seeking.wishes[contact(120).peer][0] is Priority.VISIT
    alone = Wanting(0, Members())
    alone.seeking.visit([ROOM], START)
    assert alone.wanted == []
