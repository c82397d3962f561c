"""Fields: the exact type and range, nothing that only looks like it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqchat.model.addresses import Endpoint
from zmqchat.model.limits import NUMBER_MAX
from zmqchat.wire.fields import U64_MAX, binary, endpoint, fixed, flag, integer, many, record, string
from zmqchat.wire.packing import Malformed

_ODD: list[Any] = [None, True, False, 1.0, math.nan, math.inf, "1", b"1", [], {}, -1]


def refuses(check: Callable[[Any], Any], value: Any) -> bool:
    """Whether the field refuses the value as malformed."""
    try:
        check(value)
    except Malformed:
        return True
    return False


@pytest.mark.parametrize("value", _ODD)
def test_a_number_is_an_int_in_its_range(value: Any) -> None:
    """Neither True nor a float nor anything below zero is a number."""
    assert refuses(integer(), value)


def test_numbers_end_at_their_bound() -> None:
    """2^53 passes where numbers of events stand, one more does not; 2^64-1 where 64 bits are meant."""
    assert integer()(NUMBER_MAX) == NUMBER_MAX
    assert refuses(integer(), NUMBER_MAX + 1)
    assert integer(U64_MAX)(2**64 - 1) == 2**64 - 1


@pytest.mark.parametrize("value", [None, 1, "ab", b"a", b"abc", [97, 98], bytearray(b"ab")])
def test_fixed_bytes_have_their_length_and_type(value: Any) -> None:
    """Two bytes are two bytes, not text and not a list of numbers."""
    assert fixed(2)(b"ab") == b"ab"
    assert refuses(fixed(2), value)


@pytest.mark.parametrize("value", [0, 1, None, "true", b"\x01", 1.0])
def test_a_flag_is_true_or_false(value: Any) -> None:
    """Zero and one are numbers, no flags."""
    assert flag(True) is True
    assert flag(False) is False
    assert refuses(flag, value)


def test_text_is_measured_in_bytes() -> None:
    """Three letters of two bytes each are six bytes; bytes are no text."""
    assert string(6)("äöü") == "äöü"
    assert refuses(string(5), "äöü")
    assert refuses(string(5), "abcdef")
    assert refuses(string(5), b"abc")


def test_bytes_are_not_text() -> None:
    """Each field takes one of the two, never either."""
    assert binary(b"") == b""
    assert refuses(binary, "")


def test_arrays_are_bounded_and_checked_through() -> None:
    """Every item is checked, and there are no more than allowed."""
    numbers = many(integer(), 2)
    assert numbers([1, 2]) == (1, 2)
    for value in ([1, 2, 3], [1, True], (1, 2), None, "12"):
        assert refuses(numbers, value)


def test_records_ignore_what_later_versions_append() -> None:
    """A record may grow at its end, and is never shorter."""

    class Pair(NamedTuple):
        """Two numbers."""

        first: int
        second: int

    pair = record(Pair, integer(), integer())
    assert pair([1, 2]) == Pair(1, 2)
    assert pair([1, 2, "new", {}]) == Pair(1, 2)
    assert refuses(pair, [1])
    assert refuses(pair, {})


def test_endpoints_have_a_host_and_three_ports() -> None:
    """Ports are 0 to 65535 and the host is at most 255 bytes."""
    assert endpoint(["::1", 1, 2, 65535]) == Endpoint("::1", 1, 2, 65535)
    for value in (["a" * 256, 1, 2, 3], ["a", 65536, 0, 0], ["a", 1, 2], ["a", -1, 0, 0], [b"a", 1, 2, 3]):
        assert refuses(endpoint, value)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(), st.lists))
def test_no_value_makes_a_field_raise_anything_else(value: Any) -> None:
    """Whatever was unpacked, a field gives a value or Malformed."""
    for check in (integer(), fixed(4), binary, flag, string(8), many(string(3), 3), endpoint):
        refuses(check, value)
