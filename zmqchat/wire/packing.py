"""MessagePack with the guards that bytes from a network need.

`shape` bounds depth, sizes and the number of values before a whole frame is unpacked in one call. Whatever
msgpack raises (its exceptions share no root) leaves here as `Malformed`, and `Malformed` never leaves
`wire/`.
"""

from __future__ import annotations

from typing import Any, Final, cast

import msgpack

from zmqchat.model.limits import FRAME_BYTES_MAX, PACK_DEPTH_MAX
from zmqchat.wire.shape import Malformed as Malformed
from zmqchat.wire.shape import check_shape

Packable = Any  # reason: MessagePack values are open; what may go in is checked field by field

ARRAY_MAX: Final = 2_048
"""Items an array: as many as any frame needs."""

MAP_MAX: Final = 1_024

IS_COMPILED: Final = msgpack.Packer.__module__ != "msgpack.fallback"
"""Whether msgpack has its compiled part; without it all is many times slower, and as right."""

_LEAVES: Final = frozenset({bytes, int, str, bool, type(None), float})
"""Types whose values hold no others: most of what is packed."""


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
        return [item if type(item) in _LEAVES else _plain(item, levels - 1) for item in value]
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
    check_shape(data, array_max=array_max, map_max=map_max)
    try:
        return msgpack.unpackb(data, raw=False, strict_map_key=True, object_pairs_hook=_unique)
    except Malformed:
        raise
    except Exception as error:  # noqa: BLE001 - msgpack's exceptions share no root, and none may leave wire/
        raise Malformed(type(error).__name__) from None


def _unique(pairs: list[tuple[Packable, Packable]]) -> dict[str, Packable]:
    found: dict[str, Packable] = {}
    for key, value in pairs:
        if type(key) is not str or key in found:
            raise Malformed("map key")
        found[key] = value
    return found
