"""Codecs of single fields: each checks the exact type and range before a frame object is built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zmqchat.model.addresses import HOST_BYTES_MAX, Endpoint
from zmqchat.model.limits import NUMBER_MAX
from zmqchat.wire.packing import Malformed

Field = Callable[[Any], Any]
"""Takes an unpacked value, gives the checked one; raises Malformed."""

U64_MAX = 2**64 - 1


def integer(maximum: int = NUMBER_MAX) -> Field:
    """An int (no bool) of 0..maximum."""

    def check(value: Any) -> int:
        if type(value) is not int or not 0 <= value <= maximum:
            raise Malformed("integer")
        return value

    return check


def fixed(size: int) -> Field:
    """Exactly this many bytes."""

    def check(value: Any) -> bytes:
        if type(value) is not bytes or len(value) != size:
            raise Malformed(f"{size} bytes")
        return value

    return check


def binary(value: Any) -> bytes:
    """Any bytes."""
    if type(value) is not bytes:
        raise Malformed("bytes")
    return value


def flag(value: Any) -> bool:
    """True or False, nothing like them."""
    if type(value) is not bool:
        raise Malformed("flag")
    return value


def string(bytes_max: int) -> Field:
    """Text of at most this many bytes of UTF-8."""

    def check(value: Any) -> str:
        if type(value) is not str or len(value) > bytes_max or len(value.encode()) > bytes_max:
            raise Malformed("text")
        return value

    return check


def many(item: Field, most: int) -> Field:
    """An array of at most this many, as a tuple."""

    def check(value: Any) -> tuple[Any, ...]:
        if type(value) is not list or len(value) > most:
            raise Malformed("array")
        return tuple([item(one) for one in value])

    return check


def record(build: Callable[..., Any], *fields: Field) -> Field:
    """A fixed array built into a named tuple; what later versions append is ignored."""

    def check(value: Any) -> Any:
        if type(value) is not list or len(value) < len(fields):
            raise Malformed("record")
        return build(*[field(one) for field, one in zip(fields, value, strict=False)])

    return check


endpoint = record(Endpoint, string(HOST_BYTES_MAX), integer(65535), integer(65535), integer(65535))
