"""Batches as bytes: [header, events, signature], stored and relayed byte for byte.

The header is fixed-width and big-endian, so that what a signature covers never depends on an encoder.
What the header says is `history`'s to judge; here only the form is.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
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
_BYTES_ONLY: Final = frozenset({bytes})


def pack_batch(header: bytes, events: Sequence[bytes], signature: bytes) -> bytes:
    """The bytes of a batch."""
    packed: bytes = msgpack.packb([header, list(events), signature], use_bin_type=True)
    return packed


def unpack_batch(raw: bytes) -> tuple[bytes, list[bytes], bytes] | Fault:
    """Header bytes, events and signature of a batch; never raises. The hot path of intake."""
    if len(raw) > FRAME_BYTES_MAX:
        return Fault(reason="limit", detail=f"batch of {len(raw)} bytes")
    try:
        value = msgpack.unpackb(
            raw, raw=False, max_array_len=BATCH_EVENTS_MAX, max_map_len=0, max_ext_len=0, max_str_len=0
        )
    except Exception as error:  # msgpack's exceptions share no root; nothing but a Fault may leave here
        return Fault(reason="malformed", detail=f"batch: {type(error).__name__}")
    if type(value) is not list or len(value) != 3:
        return Fault(reason="malformed", detail="batch parts")
    header, events, signature = value
    if type(header) is not bytes or len(header) != HEADER.size or type(events) is not list:
        return Fault(reason="malformed", detail="batch header")
    if type(signature) is not bytes or len(signature) != _SIGNATURE_BYTES:
        return Fault(reason="malformed", detail="batch signature")
    if not _BYTES_ONLY.issuperset(map(type, events)):
        return Fault(reason="malformed", detail="batch events")
    return header, events, signature


def peek_header(raw: bytes) -> bytes:
    """The header's bytes without unpacking the events; only for a batch that was verified before."""
    return raw[HEADER_OFFSET : HEADER_OFFSET + HEADER.size]
