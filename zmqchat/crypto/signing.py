"""Digests and signatures as `history.crypto.Crypto` wants them, with the real keys.

Everything hashed or signed starts with a label of its own: BLAKE2b's person parameter for digests, the
label and a zero byte before a signed message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import nacl.bindings
import nacl.exceptions

from zmqchat.crypto.keys import Identity, curve_key
from zmqchat.model.ids import PeerId

EVENT_PERSON: Final = b"zmqchat-event-1"
BATCH_PERSON: Final = b"zmqchat-batch-1"

_blake2b = hashlib.blake2b


class IdentityCrypto:
    """The real crypto of one node; safe to use from several threads."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    @property
    def peer(self) -> PeerId:
        """The peer id whose key `sign` uses."""
        return self._identity.peer

    def event_digest(self, raw: bytes) -> bytes:
        """BLAKE2b-256 of a packed event."""
        return _blake2b(raw, digest_size=32, person=EVENT_PERSON).digest()

    def event_digests(self, events: Sequence[bytes]) -> list[bytes]:
        """The same of many."""
        hashed, person = _blake2b, EVENT_PERSON
        return [hashed(raw, digest_size=32, person=person).digest() for raw in events]

    def batch_digest(self, header: bytes, digests: Sequence[bytes]) -> bytes:
        """BLAKE2b-256 over a batch's header and the digests of its events."""
        return _blake2b(header + b"".join(digests), digest_size=32, person=BATCH_PERSON).digest()

    def sign(self, label: bytes, data: bytes) -> bytes:
        """Our signature over label, a zero byte and data."""
        return self._identity.sign(label + b"\0" + data)

    def verify(self, peer: PeerId, label: bytes, data: bytes, signature: bytes) -> bool:
        """Whether this peer signed it. Never raises."""
        if len(signature) != 64 or curve_key(peer) is None:
            return False
        try:
            nacl.bindings.crypto_sign_open(signature + label + b"\0" + data, peer)
        except (nacl.exceptions.CryptoError, ValueError, TypeError):
            return False
        return True
