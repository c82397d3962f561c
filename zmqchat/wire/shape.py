"""The shape of MessagePack bytes, read before anything is allotted for them.

msgpack allots a list as soon as its length is announced: a thousand nested lengths in 3 KB, which fit
through the door, took 16 MB and 16 ms before they failed; and what nests a thousand deep unpacks well and
then breaks whoever formats it. So one walk over the lengths comes first, at about 60 ns a value: it skips what
texts hold, and lets through nothing but one whole value within the limits. (Rejected: to count in
msgpack's list_hook, which is called when an array is complete, so never for these.)
"""

from __future__ import annotations

from typing import Final

from zmqchat.model.limits import PACK_DEPTH_MAX, PACK_VALUES_MAX


class Malformed(Exception):
    """Bytes that are no value of ours; internal to `wire/`."""


def _sizes() -> bytes:
    """By first byte: how many bytes the whole value takes; 0 where more must be read to know."""
    sizes = bytearray(256)
    sizes[0x00:0x80] = bytes([1]) * 128  # positive fixint
    sizes[0xA0:0xC0] = range(1, 33)  # fixstr
    sizes[0xE0:0x100] = bytes([1]) * 32  # negative fixint
    sizes[0xC0] = sizes[0xC2] = sizes[0xC3] = 1  # nil, false, true
    for first_byte, size in zip(range(0xCA, 0xD4), (5, 9, 2, 3, 5, 9, 2, 3, 5, 9), strict=True):
        sizes[first_byte] = size  # float32, float64, uint8 to uint64, int8 to int64
    return bytes(sizes)


_SIZES: Final = _sizes()
_LENGTH_BYTES: Final = {0xC4: 1, 0xD9: 1, 0xC5: 2, 0xDA: 2, 0xC6: 4, 0xDB: 4}
"""Of bin and str: how many bytes of length follow the first byte."""


def check_shape(data: bytes | memoryview, *, array_max: int, map_max: int) -> None:
    """Raise Malformed unless the data is exactly one value within these limits, without extensions.

    Depth and the sum of all values are bounded by PACK_DEPTH_MAX and PACK_VALUES_MAX.
    """
    size = len(data)
    at = 0
    left = 1
    open_containers: list[int] = []
    promised = 0
    values_max = min(PACK_VALUES_MAX, size)
    try:
        while True:
            while not left:
                if not open_containers:
                    if at != size:
                        raise Malformed("trailing or missing bytes")
                    return
                left = open_containers.pop()
            left -= 1
            first_byte = data[at]
            width = _SIZES[first_byte]
            if width:
                at += width
            elif first_byte == 0xC4 or first_byte == 0xD9:
                at += 2 + data[at + 1]
            elif first_byte in _LENGTH_BYTES:
                width = _LENGTH_BYTES[first_byte] + 1
                at += width + int.from_bytes(data[at + 1 : at + width], "big")
            else:
                if 0x90 <= first_byte < 0xA0:
                    count, width = first_byte & 0x0F, 1
                else:
                    count, width = _container(data, at, array_max, map_max)
                at += width
                promised += count
                if promised > values_max:
                    raise Malformed("too many values")
                if len(open_containers) >= PACK_DEPTH_MAX:
                    raise Malformed("too deep")
                open_containers.append(left)
                left = count
    except IndexError:
        raise Malformed("cut short") from None


def _container(data: bytes | memoryview, at: int, array_max: int, map_max: int) -> tuple[int, int]:
    """How many values an array or map holds, and how wide its own bytes are."""
    first_byte = data[at]
    if first_byte < 0x90:
        is_map, count, width = True, first_byte & 0x0F, 1
    elif 0xDC <= first_byte <= 0xDF:
        is_map, width = first_byte >= 0xDE, 5 if first_byte & 1 else 3
        count = int.from_bytes(data[at + 1 : at + width], "big")
    else:
        raise Malformed("extension")
    if is_map:
        if not map_max or count > map_max:
            raise Malformed("map")
        return 2 * count, width
    if count > array_max:
        raise Malformed("array length")
    return count, width
