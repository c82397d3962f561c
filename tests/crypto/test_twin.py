"""The twin: what it promises beyond the contract that test_signing.py plays over both."""

from __future__ import annotations

from zmqchat.crypto.twin import TwinCrypto
from zmqchat.model.ids import PeerId


def test_a_twin_takes_any_id() -> None:
    """Simulated nodes need no curve: 32 bytes are an id, and its signature verifies everywhere."""
    ann, bob = TwinCrypto(PeerId(b"a" * 32)), TwinCrypto(PeerId(b"b" * 32))
    assert ann.peer == b"a" * 32
    assert bob.verify(ann.peer, b"label", b"data", ann.sign(b"label", b"data"))
