"""Batches as bytes: [header, events, signature], stored and relayed byte for byte.

The header is fixed-width and big-endian, so that what a signature covers never depends on an encoder.
What the header says is `history`'s to judge; here only the form is.

The array around header and events is covered by no signature, so it has one form, the shortest: a relay
can't make a second batch out of one, and the header stands at HEADER_OFFSET in whatever is stored. The
events' own bytes are free to be packed in any way: their digests are over the bytes as they came.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import islice
from typing import Final

import msgpack

from zmqchat.model.faults import Fault
from zmqchat.model.limits import BATCH_EVENTS_MAX, FRAME_BYTES_MAX

BATCH_LABEL: Final = b"zmqchat-batch-1"
BATCH_VERSION: Final = 1
HEADER: Final = struct.Struct(">15sB16s32sQQI32sQ")
"""label, version, room, author, log, first, count, previous, sealed_at: 124 bytes."""

HEADER_OFFSET: Final = 3
"""Where the header begins in a batch: behind an array of three and a bin8's two bytes."""

_SIGNATURE_BYTES: Final = 64
_START: Final = bytes((0x93, 0xC4, HEADER.size))
_SIGNATURE_START: Final = bytes((0xC4, _SIGNATURE_BYTES))
_EVENTS_AT: Final = HEADER_OFFSET + HEADER.size
_SIGNATURE_PLACE_BYTES: Final = len(_SIGNATURE_START) + _SIGNATURE_BYTES
_ARRAY16: Final = 0xDC
_BYTES_ONLY: Final = frozenset({bytes})


def pack_batch(header: bytes, events: Sequence[bytes], signature: bytes) -> bytes:
    """The bytes of a batch."""
    packed: bytes = msgpack.packb([header, list(events), signature], use_bin_type=True)
    return packed


def unpack_batch(raw: bytes) -> tuple[bytes, list[bytes], bytes] | Fault:
    """Header bytes, events and signature of a batch; never raises. The hot path of intake."""
    if len(raw) > FRAME_BYTES_MAX:
        return Fault(reason="limit", detail=f"batch of {len(raw)} bytes")
    events_end = len(raw) - _SIGNATURE_PLACE_BYTES
    if raw[:HEADER_OFFSET] != _START or events_end <= _EVENTS_AT:
        return Fault(reason="malformed", detail="batch form")
    header, signature = raw[HEADER_OFFSET:_EVENTS_AT], raw[-_SIGNATURE_BYTES:]
    events = _events(raw[_EVENTS_AT:events_end])
    if not _BYTES_ONLY.issuperset(map(type, events)) or pack_batch(header, events, signature) != raw:
        return Fault(reason="malformed", detail="batch events")
    return header, events, signature


def _events(packed: bytes) -> list[bytes]:
    """The items of a packed array, at most BATCH_EVENTS_MAX; whether they are all of it, the caller compares.

    A streaming unpacker, as its limit for arrays can be 0 behind the first one: nothing nests, so nothing
    is allotted that is not there.
    """
    first_byte = packed[0]
    count, start = (int.from_bytes(packed[1:3], "big"), 3) if first_byte == _ARRAY16 else (first_byte & 0x0F, 1)
    unpacker = msgpack.Unpacker(
        raw=False, max_buffer_size=len(packed), max_array_len=0, max_map_len=0, max_ext_len=0, max_str_len=0
    )
    try:
        unpacker.feed(memoryview(packed)[start:])
        return list(islice(unpacker, min(count, BATCH_EVENTS_MAX)))
    except Exception:  # noqa: BLE001 - msgpack's exceptions share no root; what is missing the caller finds
        return []


def peek_header(raw: bytes) -> bytes:
    """The header's bytes without unpacking the events; only for a batch that was verified before."""
    return raw[HEADER_OFFSET : HEADER_OFFSET + HEADER.size]
