"""Bytes that a hostile peer sends, and what a decoder may cost for them."""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import TypeVar

from hypothesis import strategies as st

from zmqchat.model.limits import FRAME_BYTES_MAX, MIB

MEMORY_BYTES_MAX = 20 * MIB
SECONDS_MAX = 0.05

Decoded = TypeVar("Decoded")

_FULL = FRAME_BYTES_MAX - 8


def _arrays_of(item: bytes, size: int = _FULL) -> bytes:
    """Arrays of 1,000 arrays of 256 items: as many items as fit, within every announced bound."""
    inner = b"\xdc\x01\x00" + item * 256
    return b"\xdc\x03\xe8" + inner * max(1, size // len(inner))


BOMBS: dict[str, bytes] = {
    "empty": b"",
    "array of 2^32": b"\xdd\xff\xff\xff\xff",
    "map of 2^32": b"\xdf\xff\xff\xff\xff",
    "text of 2^32": b"\xdb\xff\xff\xff\xff",
    "bytes of 2^32": b"\xc6\xff\xff\xff\xff",
    "extension of 2^32": b"\xc9\xff\xff\xff\xff\x05",
    "empty maps": b"\x80" * _FULL,
    "maps in maps": b"\x81" * _FULL,
    "arrays in arrays": b"\x91" * _FULL,
    "wide arrays in arrays": b"\xdc\x10\x00" * (_FULL // 3),
    "never used": b"\xc1" * _FULL,
    "many empty maps in arrays": _arrays_of(b"\x80"),
    "many empty arrays in arrays": _arrays_of(b"\x90"),
    "many small arrays in arrays": _arrays_of(b"\x91\x00"),
    "many maps of one in arrays": _arrays_of(b"\x81\xa0\x90"),
    "many floats in arrays": _arrays_of(b"\xca\x00\x00\x00\x01"),
    "many numbers in arrays": _arrays_of(b"\xcd\x7f\xff"),
    "many extensions in arrays": _arrays_of(b"\xc7\x00\x05"),
    "timestamp": b"\xd6\xff\x00\x00\x00\x01",
    "text that is no UTF-8": b"\xa2\xff\xfe",
    "lone surrogate": b"\xa3\xed\xa0\x80",
    "random": bytes(range(256)) * 16,
}
"""By name: MessagePack that is cheap to send and dear to take apart."""


def cost_of(call: Callable[[], Decoded]) -> tuple[Decoded, int, float]:
    """What a call gives, its peak memory in bytes, and the shortest of three runs in seconds of CPU.

    The time is 0 where coverage or a debugger traces each line: it would be theirs.
    """
    tracemalloc.start()
    try:
        result = call()
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    if sys.gettrace() is not None:
        return result, peak_bytes, 0.0
    times_s = []
    for _ in range(3):
        started_s = time.process_time()
        call()
        times_s.append(time.process_time() - started_s)
    return result, peak_bytes, min(times_s)


def damaged(originals: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Valid bytes with a few of them changed, cut, doubled or put in."""

    @st.composite
    def change(draw: st.DrawFn) -> bytes:
        raw = bytearray(draw(originals))
        for _ in range(draw(st.integers(1, 4))):
            at = draw(st.integers(0, len(raw)))
            how = draw(st.integers(0, 3))
            if how == 0:
                raw[at : at + 1] = draw(st.binary(max_size=2))
            elif how == 1:
                raw[at:at] = draw(st.binary(max_size=6))
            elif how == 2:
                del raw[at : at + draw(st.integers(1, 8))]
            else:
                raw[at:at] = raw[at : at + draw(st.integers(1, 64))]
        return bytes(raw)

    return change()
