"""The walk over lengths: exactly what msgpack would take within the limits, and before anything is allotted."""

from __future__ import annotations

import contextlib
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.hostile_bytes import BOMBS, cost_of, damaged
from zmqchat.model.limits import DOOR_FRAME_BYTES_MAX, KIB, PACK_DEPTH_MAX, PACK_VALUES_MAX
from zmqchat.wire.shape import Malformed, check_shape

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner, max_size=20),
    max_leaves=40,
)


def passes(raw: bytes, array_max: int = 1_000, map_max: int = 1_000) -> bool:
    """Whether the walk lets these bytes through."""
    try:
        check_shape(raw, array_max=array_max, map_max=map_max)
    except Malformed:
        return False
    return True


@given(VALUES)
def test_what_msgpack_packs_passes(value: Any) -> None:
    """Every type and width of MessagePack is stepped over to its end, to the byte."""
    raw = msgpack.packb(value)
    assert passes(raw)
    assert not passes(raw + b"\x00")
    assert not any(passes(raw[:end]) for end in range(min(len(raw), 200)))


@pytest.mark.parametrize("size", [0, 31, 32, 255, 256, 65_535, 65_536])
@pytest.mark.parametrize("kind", [str, bytes])
def test_texts_and_bytes_of_every_width_pass(size: int, kind: type) -> None:
    """Each form of length is read as it is written."""
    raw = msgpack.packb("x" * size if kind is str else bytes(size))
    assert passes(raw) and not passes(raw[:-1]) and not passes(raw + b"\x00")


@given(damaged(VALUES.map(msgpack.packb)) | st.binary(max_size=100))
def test_what_passes_msgpack_can_unpack(raw: bytes) -> None:
    """Only texts that are no UTF-8 and odd keys are left to find for whoever unpacks."""
    if passes(raw):
        with contextlib.suppress(UnicodeDecodeError, ValueError):
            repr(msgpack.unpackb(raw))


@pytest.mark.parametrize("first_byte", [0xC1, 0xC7, 0xC8, 0xC9, *range(0xD4, 0xD9)])
def test_extensions_and_the_unused_byte_are_refused(first_byte: int) -> None:
    """No length makes one acceptable."""
    assert not any(passes(bytes([first_byte]) + bytes(size)) for size in range(20))


def test_limits_are_exact() -> None:
    """Depth, arrays, maps and the sum of values: the limit passes, one more does not."""
    assert passes(msgpack.packb(1.5, use_single_float=True))
    assert passes(b"\x91" * PACK_DEPTH_MAX + b"\x00") and not passes(b"\x91" * (PACK_DEPTH_MAX + 1) + b"\x00")
    assert passes(b"\xdc\x00\x01\x00", array_max=1) and not passes(b"\xdc\x00\x02\x00\x00", array_max=1)
    assert passes(b"\x81\xa0\x00", map_max=1) and not passes(b"\x82\xa0\x00\xa1a\x00", map_max=1)
    assert not passes(b"\x80", map_max=0)
    full = b"\xdd" + (PACK_VALUES_MAX).to_bytes(4, "big") + bytes(PACK_VALUES_MAX)
    assert passes(full, array_max=PACK_VALUES_MAX + 1)
    over = b"\xdd" + (PACK_VALUES_MAX + 1).to_bytes(4, "big") + bytes(PACK_VALUES_MAX + 1)
    assert not passes(over, array_max=PACK_VALUES_MAX + 1)


def test_a_long_length_is_not_believed() -> None:
    """More is promised than there are bytes: refused at the length, with nothing allotted."""
    for raw in (
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"",
    ):
        assert not passes(raw, array_max=2**33, map_max=2**33)


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_cost_the_walk_no_memory(name: str) -> None:
    """Whatever it says, nothing grows with it but the list of open arrays."""
    _, peak_bytes, _ = cost_of(lambda: passes(BOMBS[name]))
    assert peak_bytes < 64 * KIB


def test_a_door_frame_of_nested_lengths_is_cheap() -> None:
    """3 KB from a stranger that announce 2,048 items a thousand times end at the seventeenth."""
    raw = (b"\xdc\x08\x00" * 1_400)[: DOOR_FRAME_BYTES_MAX - 1]
    passed, peak_bytes, seconds = cost_of(lambda: passes(raw, array_max=2_048, map_max=0))
    assert not passed
    assert peak_bytes < 16 * KIB and seconds < 0.001
