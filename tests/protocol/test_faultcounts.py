"""Faults of any peer are counted by reason."""

from __future__ import annotations

from zmqchat.model.faults import Fault
from zmqchat.model.ids import PeerId
from zmqchat.protocol.facts import Instant, PeerAbused
from zmqchat.protocol.faultcounts import FaultCounts
from zmqchat.protocol.machine import PeerFaulted, PeerPenalised

PEER = PeerId(bytes(31) + b"\x01")


def test_faults_are_counted_by_reason_and_nothing_is_wanted() -> None:
    """Faults, abuses that the transport saw, and penalties each have a number."""
    counts, at = FaultCounts(), Instant(0.0, 0)
    for fact in (
        PeerFaulted(peer=PEER, fault=Fault(reason="malformed")),
        PeerFaulted(peer=PEER, fault=Fault(reason="malformed")),
        PeerAbused(peer=PEER, reason="parts"),
        PeerPenalised(peer=PEER, until_s=1.0),
    ):
        counts.facts[type(fact)](fact, at)
    assert counts.counts == {"malformed": 2, "parts": 1, "penalties": 1}
    assert not counts.outbox
