"""The data machines put together: in which order they hear a fact, and how their state comes back at start.

The order matters where several hear the same fact: `interests` knows of a link before those who send over
it, and `committing` comes last. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from zmqchat.history.clock import HybridClock
from zmqchat.history.crypto import Crypto
from zmqchat.history.frontier import RoomFrontier
from zmqchat.history.members import NameBook
from zmqchat.model.config import Config
from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.protocol.asking import Asking
from zmqchat.protocol.broadcast import Broadcast
from zmqchat.protocol.committing import Committing
from zmqchat.protocol.copies import Copies
from zmqchat.protocol.custody import Custody
from zmqchat.protocol.delivery import Delivery
from zmqchat.protocol.fanout import Fanout
from zmqchat.protocol.fetching import Fetching
from zmqchat.protocol.floors import Floors
from zmqchat.protocol.gaps import Gaps
from zmqchat.protocol.haves import Haves
from zmqchat.protocol.intake import Intake
from zmqchat.protocol.interests import Interests
from zmqchat.protocol.keepers import Choice, Nobody
from zmqchat.protocol.keeping import Keeping
from zmqchat.protocol.ledger import Ledger
from zmqchat.protocol.machine import Machine
from zmqchat.protocol.membership import Membership
from zmqchat.protocol.merging import Merging
from zmqchat.protocol.ownlog import OwnLog
from zmqchat.protocol.parting import Parting
from zmqchat.protocol.publishing import Publishing
from zmqchat.protocol.receipts import Receipts
from zmqchat.protocol.reopening import Reopening
from zmqchat.protocol.serving import Serving
from zmqchat.protocol.sync import Sync


@dataclass(frozen=True, slots=True)
class TakenUp:
    """What the rows of rooms came to that many simulated stores share: frontiers and members, by room."""

    frontiers: Mapping[RoomId, RoomFrontier]
    books: Mapping[RoomId, NameBook]


NOTHING: Final = TakenUp({}, {})
"""Nothing was taken up before."""


class DataMachines:
    """All machines that deal with batches.

    tokens   numbers for Store and LoadRange, shared with whoever else uses them
    entropy  random bytes for salts; rng draws log numbers and jitter
    rtt_s    the round trip to a linked peer
    is_partial  whether this node keeps links to a part of the mesh only
    is_live  whether a node that we are not linked to is known to live; asked where not all are linked
    gaps     who of a full mesh can't reach whom
    choice   tells which rooms of others are ours to keep; None for none
    """

    def __init__(
        self,
        crypto: Crypto,
        config: Config,
        *,
        tokens: Iterator[int],
        entropy: Callable[[int], bytes],
        rng: Random,
        rtt_s: Callable[[PeerId], float],
        name: str,
        is_partial: Callable[[], bool] = lambda: False,
        is_live: Callable[[PeerId], bool] = lambda _peer: False,
        gaps: Gaps,
        choice: Choice | None = None,
    ) -> None:
        me = crypto.peer
        self.clock = HybridClock()
        self.ledger = Ledger(me)
        self.interests = Interests(self.ledger)
        self.own_log = OwnLog(config, self.ledger, rng)
        self.publishing = Publishing(crypto, self.clock, self.ledger, self.own_log, entropy)
        self.reopening = Reopening(crypto, self.ledger, tokens, self.interests)
        self.custody = Custody(config, self.ledger, tokens, self.reopening.open)
        self.intake = Intake(crypto, self.clock, self.ledger, tokens, self.interests.is_linked, self.custody.takes)
        copies = Copies()
        self.fetching = Fetching(config, self.ledger, self.interests, self.custody.takes_log, copies)
        self.delivery = Delivery(config, self.ledger, tokens, self.fetching.is_fetching)
        self.membership = Membership(me, name, config, self.ledger, self.publishing)
        self._is_partial, self._is_live, self._gaps = is_partial, is_live, gaps
        self.receipts = Receipts(self.ledger, self.live_in, self.is_outside)
        self.fanout = Fanout(me, config, self.ledger, self.interests, rtt_s, is_partial, gaps)
        self.broadcast = Broadcast(crypto, self.ledger, self.interests, rtt_s, is_partial, gaps)
        self.merging = Merging(config, self.ledger, self.interests, self.broadcast, is_partial, gaps)
        self.asking = Asking(config, self.ledger, self.interests, self.receipts, self.broadcast, self._is_wide, is_live)
        self.haves = Haves(
            me, config, self.ledger, self.interests, rtt_s, self._is_told_late, self.fetching.is_fetching
        )
        self.parting = Parting(config, self.ledger, self.interests, self.receipts, self.haves, self.membership.left_ms)
        self.sync = Sync(me, config, self.ledger, self.interests, rng)
        self.serving = Serving(config, self.ledger, self.interests, copies, tokens, is_partial)
        self.keeping = Keeping(config, self.ledger, self.interests, choice or Nobody())
        self.floors = Floors(self.ledger, self.interests)
        sources = (self.publishing, self.intake, self.delivery, self.membership, self.reopening, self.custody)
        self.committing = Committing(self.ledger, sources, tokens)
        self.machines: tuple[Machine, ...] = (
            self.interests,
            self.own_log,
            self.publishing,
            self.intake,
            self.delivery,
            self.membership,
            self.receipts,
            self.fanout,
            self.broadcast,
            self.merging,
            self.asking,
            self.haves,
            self.parting,
            self.sync,
            self.fetching,
            self.serving,
            self.keeping,
            self.reopening,
            self.custody,
            self.floors,
            self.committing,
        )

    def _is_told_late(self, room: RoomId, peer: PeerId) -> bool:
        """Whether a member hears by HAVE of what came neither by it nor from it."""
        return not self._is_partial() or not self.broadcast.is_lazy(room, peer)

    def live_in(self, room: RoomId) -> tuple[PeerId, ...]:
        """The other members of a room that are live, sorted: those that are linked, and all where not all can be."""
        linked = self.interests.members_in(room)
        if not self._is_wide():
            return linked
        members = self.membership.book(room).members()
        return tuple(sorted({*linked, *(peer for peer in members if peer != self.ledger.me and self._is_live(peer))}))

    def _is_wide(self) -> bool:
        """Whether there may be members that this node can't be linked to."""
        return self._is_partial() or self._gaps.is_gapped

    def lonely_rooms(self) -> list[RoomId]:
        """The rooms that we are in, keep or have left unheard, and no linked peer is in, sorted."""
        rooms = sorted((*self.ledger.shared_rooms(), *self.ledger.parting_rooms()))
        return [room for room in rooms if not self.interests.members_in(room)]

    def is_outside(self, room: RoomId, peer: PeerId) -> bool:
        """Whether a peer is in this room neither by what it tells over its link nor by anything said there."""
        if peer in self.interests.members_in(room):
            return False
        return self.membership.book(room)[peer].at == 0

    def came_to(self) -> TakenUp:
        """What the store's rows came to, for others whose stores have the same."""
        rooms = self.ledger.rooms
        return TakenUp(
            {room: entry.frontier.copy() for room, entry in rooms.items()},
            {room: self.membership.book(room).copy() for room in rooms},
        )

    def restore(
        self,
        *,
        rooms: Iterable[tuple[RoomId, bytes]] = (),
        frontiers: Iterable[tuple[RoomId, LogKey, bytes]] = (),
        next_arrivals: Mapping[RoomId, int] | None = None,
        members: Iterable[tuple[bytes, bytes]] = (),
        kept: Iterable[tuple[bytes, bytes]] = (),
        own_log: bytes | None = None,
        moved: bool = False,
        power_lost: bool = False,
        taken_up: TakenUp = NOTHING,
        wall_ms: int,
    ) -> list[str]:
        """Take up what the store holds, before NodeStarted; what is damaged is named in the answer.

        rooms, members, kept  rows of these tables, the rooms' keys as RoomId
        frontiers       packed frontiers by room and log
        next_arrivals   by room, the number after its last arrival (absent: it has none)
        own_log         the row of table `meta` under OWN_LOG_ROW; None in a fresh store
        moved           machine id or inode of the store differ from those recorded
        power_lost      the last stop was not clean, and the machine was booted since
        taken_up        what frontiers and members came to where they were taken up before; they hold what differs
        """
        damaged = self.ledger.restore(rooms, frontiers, next_arrivals or {}, taken_up.frontiers)
        self.membership.restore(members, taken_up.books)
        self.custody.restore(kept)
        self.own_log.restore(own_log, moved=moved, power_lost=power_lost, clock=self.clock, wall_ms=wall_ms)
        return damaged
