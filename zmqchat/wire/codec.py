"""What every table of frames is made of: the root of all frames, a row of the table, and the fields that rows share.

Frames live in several files, each with its classes and its `CODECS`; `frames.py` joins these into one table.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from zmqchat.model.ids import BRANCH_BYTES, DIGEST_BYTES, PEER_ID_BYTES, ROOM_ID_BYTES
from zmqchat.wire.fields import U64_MAX, Field, fixed, integer

NONCE_BYTES: Final = 16
SIGNATURE_BYTES: Final = 64


class Frame:
    """The root of all frames."""

    __slots__ = ()


class Codec(NamedTuple):
    """A row of the table: the class, a check for each of its fields in order, and the most bytes of a payload."""

    frame: type[Any]
    checks: tuple[Field, ...]
    bytes_max: int


NUMBER: Final = integer()
U64: Final = integer(U64_MAX)
PEER: Final = fixed(PEER_ID_BYTES)
ROOM: Final = fixed(ROOM_ID_BYTES)
BRANCH: Final = fixed(BRANCH_BYTES)
DIGEST: Final = fixed(DIGEST_BYTES)
NONCE: Final = fixed(NONCE_BYTES)
SIGNATURE: Final = fixed(SIGNATURE_BYTES)
