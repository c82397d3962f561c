"""A cheap stand-in for the real crypto: deterministic, no secret, no security. For tests and simulations."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from zmqchat.model.ids import PeerId


class TwinCrypto:
    """Signs by hashing the peer id with the message, so that anybody could; forgeries are still noticed."""

    def __init__(self, peer: PeerId) -> None:
        self._peer = peer

    @property
    def peer(self) -> PeerId:
        """The peer id that `sign` signs as."""
        return self._peer

    def event_digest(self, raw: bytes) -> bytes:
        """A digest of a packed event."""
        return hashlib.blake2b(raw, digest_size=32).digest()

    def event_digests(self, events: Sequence[bytes]) -> list[bytes]:
        """The same of many."""
        return [self.event_digest(raw) for raw in events]

    def batch_digest(self, header: bytes, digests: Sequence[bytes]) -> bytes:
        """A digest of a batch."""
        return hashlib.blake2b(header + b"".join(digests), digest_size=32).digest()

    def sign(self, label: bytes, data: bytes) -> bytes:
        """What stands for this peer's signature."""
        return _mark(self._peer, label, data)

    def verify(self, peer: PeerId, label: bytes, data: bytes, signature: bytes) -> bool:
        """Whether `sign` of that peer made it."""
        return signature == _mark(peer, label, data)


def _mark(peer: PeerId, label: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(peer + label + b"\0" + data, digest_size=64).digest()
