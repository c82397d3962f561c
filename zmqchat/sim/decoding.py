"""Frames, each decoded once for all nodes of a run: what is relayed or told to many comes in the same bytes to each.

Decoded frames can't be changed, so nodes may have them in common. Long ones are not kept: they carry batches, which
cost little to decode and much to keep.
"""

from __future__ import annotations

from typing import Final

from zmqchat.model.faults import Fault
from zmqchat.wire.frames import Frame, UnknownFrame, decode

FRAMES_KEPT_MAX: Final = 16_384
BYTES_KEPT_MAX: Final = 2_048
"""Of a payload whose frame is kept."""


class Decoding:
    """Decodes; decoded counts how often that was done."""

    def __init__(self) -> None:
        self.decoded = 0
        self._kept: dict[bytes, Frame | UnknownFrame | Fault] = {}

    def decode(self, payload: bytes) -> Frame | UnknownFrame | Fault:
        """The frame that these bytes are."""
        frame = self._kept.get(payload)
        if frame is None:
            self.decoded += 1
            frame = decode(payload)
            if len(payload) <= BYTES_KEPT_MAX:
                if len(self._kept) >= FRAMES_KEPT_MAX:
                    self._kept.clear()
                self._kept[payload] = frame
        return frame
