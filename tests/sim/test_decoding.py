"""Frames that many simulated nodes get are decoded once."""

from __future__ import annotations

import pytest

from zmqchat.sim import decoding
from zmqchat.sim.decoding import BYTES_KEPT_MAX, Decoding
from zmqchat.wire.frames import Ping, Push, decode, encode


def test_what_comes_again_is_the_same_frame() -> None:
    """As decoding would have it, and also where it is no frame at all."""
    shared = Decoding()
    for payload in (encode(Ping(token=1, wall_ms=2)), b"", b"\x12", b"\xfe"):
        frame = shared.decode(payload)
        assert frame == decode(payload)
        assert shared.decode(bytes(bytearray(payload))) is frame
    assert shared.decoded == 4


def test_long_payloads_and_too_many_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has a bound; what is decoded anew is right all the same."""
    monkeypatch.setattr(decoding, "FRAMES_KEPT_MAX", 4)
    shared = Decoding()
    long = encode(Push(batch=bytes(BYTES_KEPT_MAX)))
    assert shared.decode(long) == shared.decode(long) == decode(long)
    assert shared.decoded == 2
    for token in range(10):
        payload = encode(Ping(token=token, wall_ms=2))
        assert shared.decode(payload) is shared.decode(payload)
        assert len(shared._kept) <= 4
