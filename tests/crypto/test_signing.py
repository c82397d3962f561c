"""One contract over the real crypto and its twin; and what only the real one must withstand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.crypto.test_keys import HOSTILE_IDS, flipped
from zmqchat.crypto.keys import Identity
from zmqchat.crypto.signing import BATCH_PERSON, EVENT_PERSON, IdentityCrypto
from zmqchat.crypto.twin import TwinCrypto
from zmqchat.history.crypto import Crypto
from zmqchat.model.ids import PeerId

_IDENTITIES: list[Identity] = []
for _seed in range(16):
    try:
        _IDENTITIES.append(Identity(bytes([_seed]) * 32))
    except ValueError:
        continue

_L = 2**252 + 27742317777372353535851937790883648493


def _real(number: int) -> Crypto:
    return IdentityCrypto(_IDENTITIES[number])


def _twin(number: int) -> Crypto:
    return TwinCrypto(_IDENTITIES[number].peer)


both = pytest.mark.parametrize("make", [_real, _twin], ids=["real", "twin"])


@both
def test_a_signature_is_verified_by_who_made_it(make: Callable[[int], Crypto]) -> None:
    """Only the signer's id, the label and the data as signed verify."""
    ann, bob = make(0), make(1)
    signature = ann.sign(b"label", b"data")
    assert len(signature) == 64
    assert bob.verify(ann.peer, b"label", b"data", signature)
    assert not bob.verify(bob.peer, b"label", b"data", signature)
    assert not bob.verify(ann.peer, b"other", b"data", signature)
    assert not bob.verify(ann.peer, b"label", b"date", signature)
    assert not bob.verify(ann.peer, b"label\0data", b"", signature)


@both
def test_signing_is_repeatable(make: Callable[[int], Crypto]) -> None:
    """The same message has the same signature: vectors and simulations rest on it."""
    assert make(0).sign(b"l", b"d") == make(0).sign(b"l", b"d")
    assert make(0).sign(b"l", b"d") != make(1).sign(b"l", b"d")


@both
@given(signature=st.binary(max_size=70), peer=st.binary(max_size=40), data=st.binary(max_size=40))
def test_verifying_never_raises(make: Callable[[int], Crypto], signature: bytes, peer: bytes, data: bytes) -> None:
    """Random ids and signatures are simply wrong."""
    assert make(0).verify(PeerId(peer), b"label", data, signature) is False
    assert make(0).verify(make(0).peer, b"label", data, signature) is False


@both
def test_one_changed_bit_is_a_forgery(make: Callable[[int], Crypto]) -> None:
    """Each bit of a signature matters, and so does its length."""
    crypto = make(0)
    signature = crypto.sign(b"label", b"data")
    for bit in range(0, 512, 7):
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        assert not crypto.verify(crypto.peer, b"label", b"data", bytes(changed))
    assert not crypto.verify(crypto.peer, b"label", b"data", signature[:-1])
    assert not crypto.verify(crypto.peer, b"label", b"data", signature + b"\0")


@both
def test_digests_are_32_bytes_and_differ(make: Callable[[int], Crypto]) -> None:
    """Different events and headers have different digests, whoever computes them; many are as one by one."""
    crypto, other = make(0), make(1)
    events = [b"", b"one", b"two", b"two "]
    digests = crypto.event_digests(events)
    assert digests == [other.event_digest(event) for event in events]
    assert len(set(digests)) == 4
    assert {len(digest) for digest in digests} == {32}
    assert crypto.batch_digest(b"head", digests) == other.batch_digest(b"head", digests)
    assert crypto.batch_digest(b"head", digests) != crypto.batch_digest(b"tail", digests)
    assert crypto.batch_digest(b"head", digests) != crypto.batch_digest(b"head", digests[::-1])
    assert crypto.event_digests([]) == []


def test_real_digests_are_labelled_blake2b() -> None:
    """The labels are BLAKE2b's person parameter, so an event's digest is never a batch's."""
    crypto = _real(0)
    assert crypto.event_digest(b"x") == hashlib.blake2b(b"x", digest_size=32, person=EVENT_PERSON).digest()
    expected = hashlib.blake2b(b"h" + b"d" * 32, digest_size=32, person=BATCH_PERSON).digest()
    assert crypto.batch_digest(b"h", [b"d" * 32]) == expected
    assert crypto.event_digest(b"x") != crypto.batch_digest(b"x", [])


@pytest.mark.parametrize("name", HOSTILE_IDS)
def test_hostile_ids_sign_nothing(name: str) -> None:
    """No signature verifies for an id that is no valid point; zeros pass for small orders elsewhere, not here."""
    crypto = _real(0)
    for signature in (bytes(64), HOSTILE_IDS["identity element"] + bytes(32), crypto.sign(b"l", b"d")):
        assert not crypto.verify(PeerId(HOSTILE_IDS[name]), b"l", b"d", signature)


def test_the_sign_flipped_id_signs_nothing() -> None:
    """Whoever owns a key could sign as its twin: the twin is no id."""
    crypto = _real(0)
    assert not crypto.verify(PeerId(flipped(crypto.peer)), b"l", b"d", crypto.sign(b"l", b"d"))


def test_a_signature_can_not_be_varied() -> None:
    """S plus the group's order verifies in a lax library, and not here."""
    crypto = _real(0)
    signature = crypto.sign(b"l", b"d")
    scalar = int.from_bytes(signature[32:], "little") + _L
    assert not crypto.verify(crypto.peer, b"l", b"d", signature[:32] + scalar.to_bytes(32, "little"))
