"""What stands for the machines of links and members in a `FakeNet`: who is linked, and who is known to live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zmqchat.model.ids import PeerId
from zmqchat.protocol.effects import Effect
from zmqchat.protocol.machine import Machine, PeerFaulted, PeerLinked, PeerUnlinked, SendFrame

if TYPE_CHECKING:
    from tests.support.fakelink import FakeNet


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameOut(Effect):
    """A frame for a linked peer (what the real `peers` turns into Send)."""

    peer: PeerId
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSeen(Effect):
    """A peer was blamed."""

    fault: PeerFaulted


class FakeLinks(Machine):
    """Stands for `peers` and `presence`: knows who is linked, and passes frames and faults on."""

    def __init__(self) -> None:
        super().__init__()
        self.linked: set[PeerId] = set()
        self.facts = {
            PeerLinked: lambda fact, _at: self.linked.add(fact.peer),
            PeerUnlinked: lambda fact, _at: self.linked.discard(fact.peer),
            SendFrame: lambda fact, _at: self.outbox.append(FrameOut(peer=fact.peer, payload=fact.payload)),
            PeerFaulted: lambda fact, _at: self.outbox.append(FaultSeen(fault=fact)),
        }

    def is_linked(self, peer: PeerId) -> bool:
        """Whether the peer is linked."""
        return peer in self.linked

    def heard(self, _peer: PeerId, _now_s: float) -> None:
        """Signs of life are not of interest here."""


class FakeCensus:
    """The roster of a node: where the net tells of members, all that live; else nobody, in a mesh of any size."""

    def __init__(self, net: FakeNet, me: PeerId) -> None:
        self._net = net
        self._me = me

    @property
    def live_count(self) -> int:
        """How many other members live."""
        return len(self.members_live()) if self._net.tells_members else self._net.config.full_mesh_max

    def is_live(self, peer: PeerId) -> bool:
        """Whether this member lives."""
        return peer in self.members_live()

    def members_live(self) -> list[PeerId]:
        """All other live members."""
        told = self._net.nodes.values() if self._net.tells_members else ()
        return [node.peer for node in told if node.alive and node.peer != self._me]
