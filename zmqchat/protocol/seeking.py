"""Links that are wanted: whom to ask next, and what became of it (HyParView, section 4.3).

How it works. While a node has fewer neighbours than `least` it asks up to ASKS_AT_ONCE contacts a second, from its
reserve, else from the member table. Where nobody listens any more, which a host that is up says at once, the next
contact is asked at once: most of a mesh may have died, and the living have each other to find among the dead. Whoever
lives and has no place costs a wait, and so does a host that is down: nobody's door is stormed. A wish ends when there
is a link (what for is then said on it), when the dials fail, or after WISH_S. A contact that could not be dialled
leaves the reserve, unless nothing can be dialled; one that has no place is left alone for REFUSED_S. The visit is drawn
from the member table: rather somebody of a room of ours that no link of ours leads into.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Final, Protocol

from zmqchat.model.addresses import Endpoint
from zmqchat.model.ids import PeerId, RoomId
from zmqchat.protocol.dialpace import refused_allowance
from zmqchat.protocol.facts import Instant
from zmqchat.protocol.machine import LinkWanted
from zmqchat.protocol.reach import Reach
from zmqchat.protocol.views import ActiveView, PassiveView, Shape, Standing
from zmqchat.wire.overlay_frames import Contact, Priority

WISH_S: Final = 8.0
"""How long a link that we want may take: two rounds of dials, or the other side's dial."""
WISHES_MAX: Final = 8
SEEK_S: Final = 1.0
"""How often contacts are asked while links are missing."""
ASKS_AT_ONCE: Final = 4
REFUSED_S: Final = 60.0
"""A contact that has no place for us is left alone for this long."""
ROOMS_LOOKED_AT: Final = 4
"""Rooms whose members are looked up for one visit: each costs a walk through the member table."""
LOST_S: Final = 5.0
"""The same of one whose link broke: it may only have restarted."""


class Census(Protocol):
    """Who is in the whole mesh: what the overlay asks of the member table."""

    @property
    def live_count(self) -> int:
        """Live members without this node."""

    def pick(self, count: int, exclude: Iterable[PeerId] = ()) -> Sequence[PeerId]:
        """So many live members at random."""

    def endpoints_of(self, peer: PeerId) -> tuple[Endpoint, ...]:
        """Where a member may be dialled."""

    def in_room(self, room: RoomId) -> Iterable[PeerId]:
        """Live members that are, as far as is known, in this room."""


class Seeking:
    """The wishes of a node, by peer: how much it needs the link, and until when."""

    def __init__(
        self,
        me: PeerId,
        rng: Random,
        shape: Shape,
        active: ActiveView,
        passive: PassiveView,
        reach: Reach,
        census: Census,
        want: Callable[[LinkWanted], None],
    ) -> None:
        self._me = me
        self._rng = rng
        self._shape = shape
        self._active = active
        self._passive = passive
        self._reach = reach
        self._census = census
        self._want = want
        self.wishes: dict[PeerId, tuple[Priority, float]] = {}
        self.next_s = 0.0
        self._refused = refused_allowance()

    def need(self) -> Priority:
        """How much this node needs one more link."""
        held = len(self._active.neighbours)
        return Priority.HIGH if not held else Priority.NEEDED if held < self._shape.least else Priority.LOW

    def engaged(self) -> set[PeerId]:
        """Who is linked, or is being dialled for a link, and this node itself."""
        return {self._me, *self._active.links, *self.wishes}

    def wish(self, contact: Contact, priority: Priority, at: Instant) -> None:
        """Have the peer dialled; what for is said when the link is there."""
        if len(self.wishes) < WISHES_MAX and contact.endpoints:
            self.wishes[contact.peer] = (priority, at.now_s + WISH_S)
            self._want(LinkWanted(peer=contact.peer, endpoints=contact.endpoints))

    def end_late_wishes(self, at: Instant) -> None:
        """Give up what took too long."""
        for peer, (_priority, until_s) in list(self.wishes.items()):
            if until_s <= at.now_s:
                self.failed(peer, "timeout", at)

    def failed(self, peer: PeerId, reason: str, at: Instant) -> None:
        """There is no link to this peer, for this reason."""
        if self.wishes.pop(peer, None) is None:
            return
        if reason in ("full", "held"):
            self._passive.hold(peer, at.now_s + REFUSED_S)
        elif self._active.neighbours:
            self._passive.remove(peer)  # not where our own network may be what is wrong
        else:
            self._passive.hold(peer, at.now_s + LOST_S)
        if reason == "refused" and self._missing() > 0 and self._refused.take(at.now_s):
            self.ask_one(self.need(), at)

    def _missing(self) -> int:
        """Links that are urgent and not under way."""
        held = len(self._active.neighbours)
        under_way = len(self.wishes) + len(self._active.with_standing(Standing.ASKED))
        return self._shape.wanted - held - under_way if held < self._shape.least else 0

    def seek(self, at: Instant) -> None:
        """Ask contacts while there are too few neighbours."""
        if len(self._active.neighbours) >= self._shape.least or at.now_s < self.next_s:
            return
        self.next_s = at.now_s + SEEK_S * self._rng.uniform(0.8, 1.2)
        for _ in range(min(self._missing(), ASKS_AT_ONCE)):
            self.ask_one(self.need(), at)

    def ask_one(self, priority: Priority, at: Instant) -> None:
        """Ask a contact of the reserve, or a member at random where there is none."""
        exclude = self.engaged()
        known = {*self._passive.subnets(), *(link.subnet for link in self._active.links.values())}
        crowded = {subnet for subnet in known if self._active.is_crowded(subnet, known)}
        contact = self._passive.pick(at.now_s, exclude, crowded) or self._member(exclude)
        if contact is not None:
            self.wish(contact, priority, at)

    def _member(self, exclude: set[PeerId]) -> Contact | None:
        for peer in self._census.pick(ASKS_AT_ONCE, exclude):
            endpoints = self._census.endpoints_of(peer)
            if endpoints and peer not in self._reach.undiallable:
                return Contact(peer, endpoints)
        return None

    def visit(self, lonely_rooms: Iterable[RoomId], at: Instant) -> None:
        """Ask anybody in the whole mesh for a passing link."""
        if not self._active.neighbours:
            return
        exclude = self.engaged()
        lonely = list(lonely_rooms)
        for room in self._rng.sample(lonely, min(ROOMS_LOOKED_AT, len(lonely))):
            members = [peer for peer in self._census.in_room(room) if peer not in exclude]
            if members:
                peer = self._rng.choice(members)
                self.wish(Contact(peer, self._census.endpoints_of(peer)), Priority.VISIT, at)
                return
        contact = self._member(exclude)
        if contact is not None:
            self.wish(contact, Priority.VISIT, at)
