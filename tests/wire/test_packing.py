"""MessagePack with guards: one value out or Malformed, within bounds of memory, depth and time."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import sources
from tests.support.hostile_bytes import BOMBS, MEMORY_BYTES_MAX, SECONDS_MAX, cost_of
from zmqchat.model.limits import FRAME_BYTES_MAX, PACK_DEPTH_MAX
from zmqchat.wire.packing import Malformed, pack, unpack

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def nested(depth: int) -> bytes:
    """An array in an array, so many deep."""
    return b"\x91" * depth + b"\x00"


@given(VALUES)
def test_what_is_packed_comes_back(value: Any) -> None:
    """A value of any kind that MessagePack knows survives the way there and back."""
    assert unpack(pack(value), map_max=16) == value


def test_tuples_go_as_arrays_wherever_they_stand() -> None:
    """Tuples are packed as arrays, inside arrays and maps too."""
    assert unpack(pack((1, (2, {"a": (3,)}))), map_max=1) == [1, [2, {"a": [3]}]]


def test_values_of_other_types_are_refused() -> None:
    """Objects, sets and subclasses of numbers do not slip in under another type."""

    class Special(int):
        """An int that is not quite one."""

    for value in (object(), {1}, Special(3)):
        with pytest.raises(TypeError):
            pack(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    """A list without an end raises ValueError, not RecursionError."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError):
        pack(endless)


@given(st.binary(max_size=200))
def test_random_bytes_give_a_value_or_malformed(raw: bytes) -> None:
    """Nothing but Malformed leaves, whatever msgpack itself would raise."""
    with contextlib.suppress(Malformed):
        repr(unpack(raw, map_max=16))


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("map_max", [0, 1024])
def test_bombs_cost_little(name: str, map_max: int) -> None:
    """A full frame of tiny elements costs at most 20 MiB and 50 ms."""

    def attempt() -> bool:
        try:
            unpack(BOMBS[name], map_max=map_max)
        except Malformed:
            return False
        return True

    _, peak_bytes, seconds = cost_of(attempt)
    assert peak_bytes <= MEMORY_BYTES_MAX
    assert seconds < SECONDS_MAX


def test_more_than_a_frame_is_not_looked_at() -> None:
    """Bytes beyond the largest frame are refused before they are unpacked."""
    with pytest.raises(Malformed, match="too long"):
        unpack(msgpack.packb(bytes(FRAME_BYTES_MAX + 1)))


@pytest.mark.parametrize("depth", [PACK_DEPTH_MAX, PACK_DEPTH_MAX + 1, 100, 1000])
def test_depth_is_bounded(depth: int) -> None:
    """Sixteen levels pass, the seventeenth does not."""
    if depth <= PACK_DEPTH_MAX:
        assert unpack(nested(depth)) is not None
    else:
        with pytest.raises(Malformed):
            unpack(nested(depth))


def test_maps_count_as_levels_too() -> None:
    """Seventeen maps, one in another, are refused as arrays are."""
    with pytest.raises(Malformed):
        unpack(b"\x81\xa1a" * 17 + b"\x00", map_max=4)
    assert unpack(b"\x81\xa1a" * 16 + b"\x00", map_max=4)


def test_one_byte_too_many_or_too_few_is_refused() -> None:
    """Trailing bytes and every truncation are malformed."""
    raw = pack([1, "two", b"three", [4.0, None]])
    with pytest.raises(Malformed):
        unpack(raw + b"\x00")
    for end in range(len(raw)):
        with pytest.raises(Malformed):
            unpack(raw[:end])


@pytest.mark.parametrize(
    "raw",
    [
        b"\x82\xa1a\x01\xa1a\x02",
        b"\x81\x01\x02",
        b"\x81\xc4\x01a\x02",
        b"\x81\xc0\x02",
        b"\x81\x90\x02",
        b"\x81\xca\x7f\xc0\x00\x00\x02",
    ],
    ids=["key twice", "number", "bytes", "nil", "array", "NaN"],
)
def test_odd_map_keys_are_refused(raw: bytes) -> None:
    """A key is a str, and once."""
    with pytest.raises(Malformed):
        unpack(raw, map_max=8)


def test_maps_are_refused_where_none_belong() -> None:
    """Without map_max not even an empty map passes."""
    for raw in (b"\x80", b"\x91\x80", b"\x81\xa1a\x01"):
        with pytest.raises(Malformed):
            unpack(raw)


@pytest.mark.parametrize("code", [-1, 0, 5, 127])
@pytest.mark.parametrize("size", [0, 1, 4, 8, 12])
def test_extensions_and_timestamps_are_refused(code: int, size: int) -> None:
    """No extension type passes, MessagePack's own timestamp included."""
    with pytest.raises(Malformed):
        unpack(
            msgpack.packb([msgpack.ExtType(code, bytes(size))])
            if code >= 0
            else b"\x91\xc7" + bytes([size, 255]) + bytes(size)
        )


def test_not_a_number_is_a_value_of_its_own() -> None:
    """NaN is a float like any other here: the fields decide whether floats belong."""
    assert math.isnan(unpack(msgpack.packb(math.nan)))


def test_without_its_compiled_part_msgpack_gives_the_same() -> None:
    """Every vector and every bomb, with the part of msgpack that is written in Python."""
    tests = ["tests/wire/test_vectors.py", "tests/wire/test_packing.py", "-k", "not compiled_part"]
    program = "import sys, pytest; from zmqchat.wire.packing import IS_COMPILED; assert not IS_COMPILED; "
    done = subprocess.run(
        [sys.executable, "-c", f"{program}sys.exit(pytest.main(sys.argv[1:]))", "-q", "-p", "no:cacheprovider", *tests],
        env={**os.environ, "MSGPACK_PUREPYTHON": "1", "ZMQCHAT_HYPOTHESIS": "default"},
        cwd=sources.REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
