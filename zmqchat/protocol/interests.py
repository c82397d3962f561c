"""Interests: which linked peer is in which room, and who keeps rooms for others.

How it works. A new link gets INTEREST with all our rooms; each join or leave sends it again to all. What
a peer says replaces what it said before; a peer that has said nothing yet gets no batch. KEEPS is the same for
rooms that a node keeps without being in them (`keeping`); who never kept any never sends it. Both take part in
a room, but only those of INTEREST are members. All lists are sorted, so that effects never follow a set's order.
"""

from __future__ import annotations

from zmqchat.model.ids import PeerId, RoomId
from zmqchat.protocol.data_facts import CustodyBegun, CustodyEnded, InterestTold, RoomJoined, RoomLeft
from zmqchat.protocol.facts import Instant
from zmqchat.protocol.ledger import Ledger
from zmqchat.protocol.machine import Machine, PeerLinked, PeerUnlinked, SendFrame
from zmqchat.wire.frames import Interest, Keeps, encode


class Interests(Machine):
    """The table of peers and rooms; emits InterestTold."""

    timer = "interests"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger
        self._rooms: dict[PeerId, frozenset[RoomId]] = {}
        self._kept: dict[PeerId, frozenset[RoomId]] = {}
        self._keeps_told = False
        self._stores: dict[PeerId, tuple[bytes, int]] = {}
        self._peers_in: dict[RoomId, tuple[PeerId, ...]] = {}
        self._members_in: dict[RoomId, tuple[PeerId, ...]] = {}
        self.facts = {
            PeerLinked: self._linked,
            PeerUnlinked: self._unlinked,
            RoomJoined: self._our_rooms_changed,
            RoomLeft: self._our_rooms_changed,
            CustodyBegun: self._custody_changed,
            CustodyEnded: self._custody_changed,
        }
        self.frames = {Interest: self._told, Keeps: self._keeps_heard}

    def linked(self) -> list[PeerId]:
        """The linked peers, sorted."""
        return sorted(self._rooms)

    def is_linked(self, peer: PeerId) -> bool:
        """Whether the peer is linked."""
        return peer in self._rooms

    def store_of(self, peer: PeerId) -> tuple[bytes, int]:
        """The id and the generation of a linked peer's store."""
        return self._stores[peer]

    def rooms_of(self, peer: PeerId) -> frozenset[RoomId]:
        """The rooms that a linked peer says it is in."""
        return self._rooms.get(peer, frozenset())

    def kept_by(self, peer: PeerId) -> frozenset[RoomId]:
        """The rooms that a linked peer says it keeps for others."""
        return self._kept.get(peer, frozenset())

    def rooms_told(self) -> list[RoomId]:
        """All rooms that linked peers are in or keep, sorted."""
        return sorted(set().union(*self._rooms.values(), *self._kept.values()))

    def takes_part(self, peer: PeerId, room: RoomId) -> bool:
        """Whether a linked peer is in this room or keeps it."""
        return room in self._rooms.get(peer, ()) or room in self._kept.get(peer, ())

    def shared_with(self, peer: PeerId) -> list[RoomId]:
        """The rooms that both are in or keep, sorted."""
        return [room for room in self._ledger.shared_rooms() if self.takes_part(peer, room)]

    def peers_in(self, room: RoomId) -> tuple[PeerId, ...]:
        """The linked peers that are in this room or keep it, sorted; the same object as long as nothing changes."""
        peers = self._peers_in.get(room)
        if peers is None:
            peers = tuple(peer for peer in sorted(self._rooms) if self.takes_part(peer, room))
            self._peers_in[room] = peers
        return peers

    def members_in(self, room: RoomId) -> tuple[PeerId, ...]:
        """The linked peers that are in this room, without its keepers; as `peers_in`."""
        peers = self._members_in.get(room)
        if peers is None:
            peers = tuple(peer for peer in sorted(self._rooms) if room in self._rooms[peer])
            self._members_in[room] = peers
        return peers

    def keepers_of(self, room: RoomId) -> tuple[PeerId, ...]:
        """The linked peers that say they keep this room, sorted."""
        members = self.members_in(room)
        return tuple(peer for peer in self.peers_in(room) if peer not in members)

    def _linked(self, fact: PeerLinked, _at: Instant) -> None:
        self._rooms[fact.peer] = frozenset()
        self._stores[fact.peer] = (fact.store, fact.generation)
        self._forget_peers()
        self._tell(fact.peer)

    def _unlinked(self, fact: PeerUnlinked, _at: Instant) -> None:
        self._rooms.pop(fact.peer, None)
        self._stores.pop(fact.peer, None)
        self._kept.pop(fact.peer, None)
        self._forget_peers()

    def _forget_peers(self) -> None:
        self._peers_in.clear()
        self._members_in.clear()

    def _our_rooms_changed(self, _fact: RoomJoined | RoomLeft, _at: Instant) -> None:
        for peer in self.linked():
            self._tell(peer)

    def _custody_changed(self, _fact: CustodyBegun | CustodyEnded, _at: Instant) -> None:
        payload = self.frames_told()[-1]
        for peer in self.linked():
            self.outbox.append(SendFrame(peer=peer, payload=payload))

    def _tell(self, peer: PeerId) -> None:
        for payload in self.frames_told():
            self.outbox.append(SendFrame(peer=peer, payload=payload))

    def frames_told(self) -> list[bytes]:
        """Our INTEREST, and KEEPS if need be; `sync` repeats them before each exchange: a lost one is made good."""
        joined = self._ledger.joined_rooms()
        told = [encode(Interest(rooms=tuple(joined)))]
        kept = tuple(room for room in self._ledger.shared_rooms() if not self._ledger.rooms[room].joined)
        if kept or self._keeps_told:
            self._keeps_told = True
            told.append(encode(Keeps(rooms=kept)))
        return told

    def _told(self, peer: PeerId, frame: Interest, _at: Instant) -> None:
        self._replace(self._rooms, peer, frame.rooms)

    def _keeps_heard(self, peer: PeerId, frame: Keeps, _at: Instant) -> None:
        self._replace(self._kept, peer, frame.rooms)

    def _replace(self, told: dict[PeerId, frozenset[RoomId]], peer: PeerId, rooms: tuple[RoomId, ...]) -> None:
        if peer not in self._rooms:
            return
        before = self.shared_with(peer)
        told[peer] = frozenset(rooms)
        self._forget_peers()
        added = tuple(room for room in self.shared_with(peer) if room not in before)
        self.outbox.append(InterestTold(peer=peer, added=added))
