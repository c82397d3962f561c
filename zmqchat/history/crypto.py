"""Hashing and signing as the pure core sees them: the real ones in `zmqchat.crypto`, and a cheap twin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from zmqchat.model.ids import PeerId


class Crypto(Protocol):
    """What batches need: digests of 32 bytes, signatures of 64 bytes, and whose key signs here."""

    @property
    def peer(self) -> PeerId:
        """The peer id whose key `sign` uses."""
        ...

    def event_digest(self, raw: bytes) -> bytes:
        """The digest of one packed event."""
        ...

    def event_digests(self, events: Sequence[bytes]) -> list[bytes]:
        """The digests of many packed events, in order."""
        ...

    def batch_digest(self, header: bytes, digests: Sequence[bytes]) -> bytes:
        """The digest of a batch: over its header and the digests of its events."""
        ...

    def sign(self, label: bytes, data: bytes) -> bytes:
        """Our signature over (label, data)."""
        ...

    def verify(self, peer: PeerId, label: bytes, data: bytes, signature: bytes) -> bool:
        """Whether `peer` signed (label, data); never raises."""
        ...
