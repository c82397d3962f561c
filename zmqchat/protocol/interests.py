"""Interests: which linked peer is in which room.

How it works. A new link gets INTEREST with all our rooms; each join or leave sends it again to all. What
a peer says replaces what it said before; a peer that has said nothing yet gets no batch. The other data
machines read `peers_in` and `rooms_of`; all lists are sorted, so that effects never follow a set's order.
"""

from __future__ import annotations

from zmqchat.model.ids import PeerId, RoomId
from zmqchat.protocol.data_facts import InterestTold, RoomJoined, RoomLeft
from zmqchat.protocol.facts import Instant
from zmqchat.protocol.ledger import Ledger
from zmqchat.protocol.machine import Machine, PeerLinked, PeerUnlinked, SendFrame
from zmqchat.wire.frames import Interest, encode


class Interests(Machine):
    """The table of peers and rooms; emits InterestTold."""

    timer = "interests"

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger
        self._rooms: dict[PeerId, frozenset[RoomId]] = {}
        self._stores: dict[PeerId, tuple[bytes, int]] = {}
        self._peers_in: dict[RoomId, tuple[PeerId, ...]] = {}
        self.facts = {
            PeerLinked: self._linked,
            PeerUnlinked: self._unlinked,
            RoomJoined: self._our_rooms_changed,
            RoomLeft: self._our_rooms_changed,
        }
        self.frames = {Interest: self._told}

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

    def shared_with(self, peer: PeerId) -> list[RoomId]:
        """The rooms that both are in, sorted."""
        return [room for room in self._ledger.joined_rooms() if room in self._rooms.get(peer, ())]

    def peers_in(self, room: RoomId) -> tuple[PeerId, ...]:
        """The linked peers that are in this room, sorted; the same object as long as nothing changes."""
        peers = self._peers_in.get(room)
        if peers is None:
            peers = tuple(peer for peer in sorted(self._rooms) if room in self._rooms[peer])
            self._peers_in[room] = peers
        return peers

    def _linked(self, fact: PeerLinked, _at: Instant) -> None:
        self._rooms[fact.peer] = frozenset()
        self._stores[fact.peer] = (fact.store, fact.generation)
        self._peers_in.clear()
        self._tell(fact.peer)

    def _unlinked(self, fact: PeerUnlinked, _at: Instant) -> None:
        self._rooms.pop(fact.peer, None)
        self._stores.pop(fact.peer, None)
        self._peers_in.clear()

    def _our_rooms_changed(self, _fact: RoomJoined | RoomLeft, _at: Instant) -> None:
        for peer in self.linked():
            self._tell(peer)

    def _tell(self, peer: PeerId) -> None:
        self.outbox.append(SendFrame(peer=peer, payload=self.frame()))

    def frame(self) -> bytes:
        """Our INTEREST; `sync` repeats it before each exchange, so that a lost one is made good."""
        return encode(Interest(rooms=tuple(self._ledger.joined_rooms())))

    def _told(self, peer: PeerId, frame: Interest, _at: Instant) -> None:
        if peer not in self._rooms:
            return
        before = self._rooms[peer]
        self._rooms[peer] = frozenset(frame.rooms)
        self._peers_in.clear()
        added = tuple(room for room in self.shared_with(peer) if room not in before)
        self.outbox.append(InterestTold(peer=peer, added=added))
