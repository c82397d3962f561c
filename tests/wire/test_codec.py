"""The parts of the tables of frames, and how the tables of several files are one."""

from __future__ import annotations

import pytest

from zmqchat.wire import codec
from zmqchat.wire.fields import Field
from zmqchat.wire.frames import FRAME_TYPES, type_byte
from zmqchat.wire.packing import Malformed


def test_every_frame_has_a_type_byte_of_its_own() -> None:
    """Tables of several files are joined without one hiding another's frame."""
    type_bytes = [type_byte(kind) for kind in FRAME_TYPES]
    assert len(set(type_bytes)) == len(type_bytes)
    assert all(0 < byte < 256 for byte in type_bytes)


@pytest.mark.parametrize(
    ("check", "size"),
    [
        (codec.PEER, 32),
        (codec.ROOM, 16),
        (codec.BRANCH, 8),
        (codec.DIGEST, 32),
        (codec.NONCE, 16),
        (codec.SIGNATURE, 64),
    ],
)
def test_fields_of_fixed_width_take_exactly_that(check: Field, size: int) -> None:
    """A byte more or less is malformed."""
    assert check(bytes(size)) == bytes(size)
    for wrong in (bytes(size - 1), bytes(size + 1), "a" * size):
        with pytest.raises(Malformed):
            check(wrong)


def test_numbers_and_u64_end_where_they_should() -> None:
    """A number ends at 2^53, a u64 at 2^64 - 1."""
    assert codec.NUMBER(2**53) == 2**53
    assert codec.U64(2**64 - 1) == 2**64 - 1
    for check, beyond in ((codec.NUMBER, 2**53 + 1), (codec.U64, 2**64)):
        with pytest.raises(Malformed):
            check(beyond)
