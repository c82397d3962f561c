"""The digests of a room's authors, joined in the order of their ids, and the one hash over them.

How it works. A digest is made anew only of an author whose logs have changed since the hash was last asked for. The
digests of all lie joined in one run of bytes that is never changed, so that copies have it in common; what changed
since lies beside it by place, and is hashed in its stead. When there is much of that, or an author comes or goes, they
are joined anew. So in a room of a thousand who chat a message costs one digest and a hash over 16 KB, and nothing is
looked up a thousand times. Authors of whom nothing is held are left out.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable
from typing import Final

from zmqchat.model.ids import PeerId

HASH_BYTES: Final = 16
_FRONTIER_LABEL: Final = b"zmqchat-front-1"

_BESIDE_MAX: Final = 32
"""Digests that may lie beside the joined ones."""


class AuthorDigests:
    """The digests; digest_of makes one, b"" for an author of whom nothing is held."""

    def __init__(self) -> None:
        self._authors: tuple[PeerId, ...] = ()
        self._joined = b""
        self._beside: dict[int, bytes] = {}
        self._changed: dict[PeerId, None] = {}
        self._hash: bytes | None = None

    def copy(self) -> AuthorDigests:
        """Another one that begins as this."""
        other = AuthorDigests()
        other._authors, other._joined, other._hash = self._authors, self._joined, self._hash
        other._beside, other._changed = dict(self._beside), dict(self._changed)
        return other

    def mark(self, author: PeerId) -> None:
        """What is held of this author has changed."""
        self._changed[author] = None
        self._hash = None

    def hash(self, digest_of: Callable[[PeerId], bytes]) -> bytes:
        """The hash over all."""
        if self._hash is None:
            self._bring_up_to_date(digest_of)
            self._hash = self._hashed()
        return self._hash

    def _bring_up_to_date(self, digest_of: Callable[[PeerId], bytes]) -> None:
        authors = self._authors
        come_or_gone: dict[PeerId, bytes] = {}
        for author in self._changed:
            digest, place = digest_of(author), bisect_left(authors, author)
            if digest and place < len(authors) and authors[place] == author:
                self._beside[place] = digest
            else:
                come_or_gone[author] = digest
        self._changed = {}
        if come_or_gone:
            self._join_all(come_or_gone)
        elif len(self._beside) > _BESIDE_MAX:
            joined = bytearray(self._joined)
            for place, digest in self._beside.items():
                joined[place * HASH_BYTES : (place + 1) * HASH_BYTES] = digest
            self._joined, self._beside = bytes(joined), {}

    def _join_all(self, come_or_gone: dict[PeerId, bytes]) -> None:
        starts = range(0, len(self._joined), HASH_BYTES)
        digests = dict(zip(self._authors, [self._joined[at : at + HASH_BYTES] for at in starts], strict=True))
        digests.update((self._authors[place], digest) for place, digest in self._beside.items())
        digests.update(come_or_gone)
        self._authors = tuple(sorted(author for author, digest in digests.items() if digest))
        self._joined, self._beside = b"".join([digests[author] for author in self._authors]), {}

    def _hashed(self) -> bytes:
        hasher = hashlib.blake2b(digest_size=HASH_BYTES, person=_FRONTIER_LABEL)
        joined, at = memoryview(self._joined), 0
        for place, digest in sorted(self._beside.items()):
            hasher.update(joined[at : place * HASH_BYTES])
            hasher.update(digest)
            at = (place + 1) * HASH_BYTES
        hasher.update(joined[at:])
        return hasher.digest()
