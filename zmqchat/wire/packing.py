"""MessagePack with the guards that bytes from a network need.

A whole frame is unpacked in one call, with array and map sizes bounded before anything is allocated;
then a walk of our own bounds the depth and refuses what other languages read differently. Whatever
msgpack raises (its exceptions share no root) leaves here as `Malformed`, and `Malformed` never leaves
`wire/`.
"""

from __future__ import annotations

from typing import Any, Final, cast

import msgpack

from zmqchat.model.limits import FRAME_BYTES_MAX, PACK_DEPTH_MAX

Packable = Any  # reason: MessagePack values are open; what may go in is checked field by field

ARRAY_MAX: Final = 4_096
MAP_MAX: Final = 1_024


class Malformed(Exception):
    """Bytes that are no value of ours; internal to `wire/`."""


def pack(value: Packable) -> bytes:
    """One value as MessagePack; tuples go as arrays, subclasses are refused."""
    return cast("bytes", msgpack.packb(_plain(value), strict_types=True, use_bin_type=True))


def _plain(value: Packable) -> Packable:
    """Tuples, named ones included, as lists: strict_types takes no subclass."""
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def unpack(data: bytes | memoryview, *, array_max: int = ARRAY_MAX, map_max: int = 0) -> Packable:
    """The one value that these bytes are; raises Malformed for anything else.

    map_max is 0 where the structure has no maps (all but the value of an app event).
    """
    if len(data) > FRAME_BYTES_MAX:
        raise Malformed("too long")
    try:
        value = msgpack.unpackb(
            data,
            raw=False,
            use_list=True,
            strict_map_key=True,
            max_array_len=array_max,
            max_map_len=map_max,
            max_str_len=len(data),
            max_bin_len=len(data),
            max_ext_len=0,
            object_pairs_hook=_unique,
            ext_hook=_no_extension,
        )
    except Malformed:
        raise
    except Exception as error:
        # msgpack raises ValueError, UnicodeDecodeError, TypeError, OverflowError, RecursionError, MemoryError, …
        raise Malformed(type(error).__name__) from None
    check_depth(value)
    return value


def check_depth(value: Packable) -> None:
    """Raise Malformed where a value nests deeper than PACK_DEPTH_MAX or holds an extension."""
    level: list[Packable] = [value]
    for _ in range(PACK_DEPTH_MAX + 1):
        following: list[Packable] = []
        for item in level:
            if type(item) is list:
                following += item
            elif type(item) is dict:
                following += item.values()
            elif type(item) is msgpack.Timestamp:
                raise Malformed("extension")
        level = [item for item in following if type(item) in (list, dict, msgpack.Timestamp)]
        if not level:
            return
    raise Malformed("too deep")


def _unique(pairs: list[tuple[Packable, Packable]]) -> dict[str, Packable]:
    found: dict[str, Packable] = {}
    for key, value in pairs:
        if type(key) is not str or key in found:
            raise Malformed("map key")
        found[key] = value
    return found


def _no_extension(_code: int, _data: bytes) -> Packable:
    raise Malformed("extension")
