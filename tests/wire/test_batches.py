"""Batches as bytes: taken apart without trust, put together byte for byte."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.hostile_bytes import BOMBS, MEMORY_BYTES_MAX, SECONDS_MAX, cost_of, damaged
from zmqchat.model.faults import Fault
from zmqchat.model.limits import BATCH_EVENTS_MAX, FRAME_BYTES_MAX
from zmqchat.wire.batches import BATCH_LABEL, BATCH_VERSION, HEADER, pack_batch, peek_header, unpack_batch

HEADER_BYTES = HEADER.pack(BATCH_LABEL, BATCH_VERSION, bytes(16), bytes(32), 1, 2, 3, bytes(32), 4)
SIGNATURE = bytes(64)


def packed(*parts: Any) -> bytes:
    """An array of these parts, whatever they are."""
    return bytes(msgpack.packb(list(parts), use_bin_type=True))


def is_malformed(raw: bytes) -> bool:
    """Whether these bytes are a malformed batch."""
    unpacked = unpack_batch(raw)
    return isinstance(unpacked, Fault) and unpacked.reason == "malformed"


def test_the_header_is_fixed_width() -> None:
    """124 bytes, the label first: what is signed depends on no encoder."""
    assert HEADER.size == 124 == len(HEADER_BYTES)
    assert HEADER_BYTES[:16] == b"zmqchat-batch-1\x01"


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_a_batch_comes_back(events: list[bytes]) -> None:
    """Header, events and signature survive, and the header is found where it is promised."""
    raw = pack_batch(HEADER_BYTES, events, SIGNATURE)
    assert unpack_batch(raw) == (HEADER_BYTES, events, SIGNATURE)
    assert peek_header(raw) == HEADER_BYTES


@given(st.binary(max_size=300) | damaged(st.just(pack_batch(HEADER_BYTES, [b"one", b"two"], SIGNATURE))))
def test_random_and_damaged_bytes_give_a_batch_or_a_fault(raw: bytes) -> None:
    """Nothing raises, whatever the bytes."""
    assert isinstance(unpack_batch(raw), (tuple, Fault))


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("inside", [False, True])
def test_bombs_are_faults_and_cost_little(name: str, inside: bool) -> None:
    """Whole or in the place of the events, a bomb is malformed within 20 MiB and 50 ms."""
    raw = BOMBS[name]
    if inside:
        raw = b"\x93\xc4\x7c" + HEADER_BYTES + BOMBS[name][: FRAME_BYTES_MAX - 300] + packed(SIGNATURE)[1:]
    fault, peak_bytes, seconds = cost_of(lambda: unpack_batch(raw))
    assert isinstance(fault, Fault)
    assert peak_bytes <= MEMORY_BYTES_MAX
    assert seconds < SECONDS_MAX


@pytest.mark.parametrize(
    "raw",
    [
        packed(),
        packed(HEADER_BYTES, []),
        packed(HEADER_BYTES, [], SIGNATURE, "more"),
        packed(HEADER_BYTES[:-1], [], SIGNATURE),
        packed("x" * 124, [], SIGNATURE),
        packed(HEADER_BYTES, [], SIGNATURE[:-1]),
        packed(HEADER_BYTES, b"", SIGNATURE),
        packed(HEADER_BYTES, ["text"], SIGNATURE),
        packed(HEADER_BYTES, [b"x", 1], SIGNATURE),
        packed(HEADER_BYTES, [[b"x"]], SIGNATURE),
        packed(HEADER_BYTES, {}, SIGNATURE),
        packed(HEADER_BYTES, [b""] * (BATCH_EVENTS_MAX + 1), SIGNATURE),
        packed(HEADER_BYTES, [], SIGNATURE) + b"\x00",
        packed(HEADER_BYTES, [msgpack.Timestamp(1)], SIGNATURE),
        b"",
        b"\xc0",
    ],
)
def test_odd_parts_are_malformed(raw: bytes) -> None:
    """Header, events and signature have their types, lengths and number."""
    assert is_malformed(raw)


def test_a_batch_is_not_larger_than_a_frame() -> None:
    """More bytes than a frame are refused unread."""
    fault = unpack_batch(bytes(FRAME_BYTES_MAX + 1))
    assert isinstance(fault, Fault)
    assert fault.reason == "limit"


def test_a_batch_has_one_form() -> None:
    """Longer encodings around the events are refused: nobody can make a second batch of the same events."""
    longer = (
        b"\xdc\x00\x03\xc4\x7c" + HEADER_BYTES + packed([b"x"], SIGNATURE)[1:],
        b"\x93\xc5\x00\x7c" + HEADER_BYTES + packed([b"x"], SIGNATURE)[1:],
        b"\x93\xc4\x7c" + HEADER_BYTES + b"\xdc\x00\x01\xc4\x01x" + packed(SIGNATURE)[1:],
        b"\x93\xc4\x7c" + HEADER_BYTES + b"\x91\xc5\x00\x01x" + packed(SIGNATURE)[1:],
        b"\x93\xc4\x7c" + HEADER_BYTES + b"\x91\xc4\x01x\xc5\x00\x40" + SIGNATURE,
    )
    for raw in longer:
        assert msgpack.unpackb(raw) == [HEADER_BYTES, [b"x"], SIGNATURE]
        assert is_malformed(raw)


def test_events_are_kept_byte_for_byte() -> None:
    """What an event's bytes are is its author's choice: the digest covers them as they came."""
    event = b"\xdc\x00\x05 whatever"
    assert unpack_batch(pack_batch(HEADER_BYTES, [event], SIGNATURE)) == (HEADER_BYTES, [event], SIGNATURE)
