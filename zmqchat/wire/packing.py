"""MessagePack with the guards that bytes from a network need.

A whole frame is unpacked in one call, with array and map sizes bounded before anything is allocated and
the number of arrays and maps counted while it runs; then a walk of our own bounds the depth and refuses
what other languages read differently. Whatever msgpack raises (its exceptions share no root) leaves here
as `Malformed`, and `Malformed` never leaves `wire/`.
"""

from __future__ import annotations

from typing import Any, Final, cast

import msgpack

from zmqchat.model.limits import FRAME_BYTES_MAX, PACK_DEPTH_MAX

Packable = Any  # reason: MessagePack values are open; what may go in is checked field by field

ARRAY_MAX: Final = 2_048
"""Items an array: msgpack allots 8 B for each when it reads the header, in up to 1,024 levels (16 MiB)."""

MAP_MAX: Final = 1_024

CONTAINERS_MAX: Final = 32_768
"""Arrays and maps in one value: an empty one is a byte on the wire and 72 here. The fullest frame has 20,000."""

_UNCOUNTED_BYTES_MAX: Final = 4_096
"""Shorter values are not counted, which costs a call an array: they cannot hold more than 300 KB."""


class Malformed(Exception):
    """Bytes that are no value of ours; internal to `wire/`."""


def pack(value: Packable) -> bytes:
    """One value as MessagePack; tuples go as arrays.

    Raises TypeError for other subclasses and types, ValueError for what is too deep, OverflowError for ints of
    more than 64 bits.
    """
    return cast("bytes", msgpack.packb(_plain(value, PACK_DEPTH_MAX), strict_types=True, use_bin_type=True))


def _plain(value: Packable, levels: int) -> Packable:
    """Tuples, named ones included, as lists: strict_types takes no subclass."""
    if isinstance(value, (tuple, list)):
        if levels == 0:
            raise ValueError("too deep")
        return [_plain(item, levels - 1) for item in value]
    if type(value) is dict:
        if levels == 0:
            raise ValueError("too deep")
        return {key: _plain(item, levels - 1) for key, item in value.items()}
    return value


def unpack(data: bytes | memoryview, *, array_max: int = ARRAY_MAX, map_max: int = 0) -> Packable:
    """The one value that these bytes are; raises Malformed for anything else.

    map_max is 0 where the structure has no maps (all but the value of an app event).
    """
    if len(data) > FRAME_BYTES_MAX:
        raise Malformed("too long")
    count = _Count() if len(data) > _UNCOUNTED_BYTES_MAX else None
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
            object_pairs_hook=_no_map if map_max == 0 else _unique if count is None else count.map,
            list_hook=None if count is None else count.array,
            ext_hook=_no_extension,
        )
    except Malformed:
        raise
    except Exception as error:  # noqa: BLE001 - msgpack's exceptions share no root, and none may leave wire/
        raise Malformed(type(error).__name__) from None
    check_depth(value)
    return value


def check_depth(value: Packable) -> None:
    """Raise Malformed where a value nests deeper than PACK_DEPTH_MAX or holds an extension."""
    level: list[Packable] = [value]
    for _ in range(PACK_DEPTH_MAX):
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


class _Count:
    """Ends the unpacking of one value after so many arrays and maps."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = CONTAINERS_MAX

    def array(self, items: list[Packable]) -> list[Packable]:
        self._left -= 1
        if self._left < 0:
            raise Malformed("too many arrays")
        return items

    def map(self, pairs: list[tuple[Packable, Packable]]) -> dict[str, Packable]:
        self._left -= 1
        if self._left < 0:
            raise Malformed("too many maps")
        return _unique(pairs)


def _no_map(_pairs: list[tuple[Packable, Packable]]) -> Packable:
    raise Malformed("map")


def _unique(pairs: list[tuple[Packable, Packable]]) -> dict[str, Packable]:
    found: dict[str, Packable] = {}
    for key, value in pairs:
        if type(key) is not str or key in found:
            raise Malformed("map key")
        found[key] = value
    return found


def _no_extension(_code: int, _data: bytes) -> Packable:
    raise Malformed("extension")
