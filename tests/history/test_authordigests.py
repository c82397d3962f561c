"""The hash over the digests of all authors of a room: what it is, however they came to be as they are."""

from __future__ import annotations

import hashlib
from random import Random

from zmqchat.history.authordigests import AuthorDigests
from zmqchat.model.ids import PeerId
from zmqchat.sim.author import peer_of


def plain_hash(held: dict[PeerId, bytes]) -> bytes:
    """The hash as the protocol's page defines it."""
    joined = b"".join(held[author] for author in sorted(held))
    return hashlib.blake2b(joined, digest_size=16, person=b"zmqchat-front-1").digest()


def test_the_hash_is_that_of_all_digests_in_the_order_of_authors() -> None:
    """Whatever changes, comes and goes between two questions, few or many at a time, in this one and in copies."""
    rng = Random(1)
    authors = [peer_of(f"author {number}") for number in range(80)]
    held: dict[PeerId, bytes] = {}
    digests = AuthorDigests()
    for round_number in range(200):
        for author in rng.sample(authors, rng.choice((0, 1, 2, 50))):
            held[author] = rng.randbytes(16)
            if rng.random() < 0.1:
                del held[author]
            digests.mark(author)
        if rng.random() < 0.2:
            digests = digests.copy()
        assert digests.hash(lambda author: held.get(author, b"")) == plain_hash(held), round_number


def test_only_what_changed_is_digested_again() -> None:
    """In a room of many a message costs one digest, and nothing where nothing changed."""
    authors = [peer_of(f"author {number}") for number in range(100)]
    asked: list[PeerId] = []

    def digest_of(author: PeerId) -> bytes:
        asked.append(author)
        return author[:16]

    digests = AuthorDigests()
    for author in authors:
        digests.mark(author)
    digests.hash(digest_of)
    asked.clear()
    for author in authors[:50]:
        digests.mark(author)
        digests.hash(digest_of)
        digests.copy().hash(digest_of)
    assert asked == authors[:50]
