"""Identifiers: fixed-width bytes inside, lower-case base32 where a person reads them.

A peer id is an Ed25519 public key whose top bit is clear (two keys that differ only in
the sign bit are one X25519 key, so only one of the two may be an identity).
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import struct
import unicodedata
from typing import Final, NamedTuple, NewType, Protocol

from zmqchat.model.errors import BadPeerId, BadRoomName

PeerId = NewType("PeerId", bytes)
RoomId = NewType("RoomId", bytes)
MeshId = NewType("MeshId", bytes)

PEER_ID_BYTES: Final = 32
ROOM_ID_BYTES: Final = 16
MESH_ID_BYTES: Final = 32
DIGEST_BYTES: Final = 32
BRANCH_BYTES: Final = 8
MAIN_BRANCH: Final = bytes(BRANCH_BYTES)
"""The branch of a log that was never forked, and of what precedes a fork."""

ROOM_NAME_CHARACTERS_MAX: Final = 128

_MESSAGE_ID = struct.Struct(">32sQQ8s")


class LogKey(NamedTuple):
    """Which log of a room: its author, the log number and the branch (MAIN_BRANCH unless forked)."""

    author: PeerId
    log: int
    branch: bytes = MAIN_BRANCH


class MessageId(NamedTuple):
    """Where an event stands, and the first 8 bytes of its digest: found in a store without an index."""

    author: PeerId
    log: int
    number: int
    digest8: bytes

    def __str__(self) -> str:
        """The 90 characters of base32 that `parse_message_id` reads back."""
        return _base32(_MESSAGE_ID.pack(*self))


def parse_message_id(text: str) -> MessageId | None:
    """The id that `str(id)` printed, or None where the text is none."""
    raw = _unbase32(text)
    if raw is None or len(raw) != _MESSAGE_ID.size:
        return None
    author, log, number, digest8 = _MESSAGE_ID.unpack(raw)
    return MessageId(PeerId(author), log, number, digest8)


def peer_text(peer: PeerId) -> str:
    """A peer id in full: 52 characters of base32."""
    return _id_base32(peer)


def peer_short(peer: PeerId) -> str:
    """The first 8 characters of a peer id in two groups of 4, as people compare them."""
    text = _id_base32(peer[:5])
    return f"{text[:4]}-{text[4:8]}"


class Person(Protocol):
    """What is told of a peer: who it is, and what people call it."""

    @property
    def id(self) -> PeerId:
        """Its peer id."""

    @property
    def name(self) -> str:
        """Its nickname."""


def is_peer_id(raw: object) -> bool:
    """Whether these are 32 bytes with the top bit clear; whether they lie on the curve, `crypto` says."""
    return isinstance(raw, bytes) and len(raw) == PEER_ID_BYTES and raw[31] < 0x80


def parse_peer_id(text: str) -> PeerId:
    """The peer id that `peer_text` printed; raises BadPeerId."""
    raw = _unbase32(text)
    if raw is None or not is_peer_id(raw):
        raise BadPeerId(text)
    return PeerId(raw)


def mesh_id(name: str) -> MeshId:
    """The id of the open mesh of this name: BLAKE2b-256 of the name as NFKC, case-folded."""
    return MeshId(_blake2b(b"zmqchat-mesh-1", 32, _folded(name)))


def room_name_checked(name: str) -> str:
    """The name stripped of outer blanks; raises BadRoomName when empty, too long, unprintable or no text."""
    stripped = name.strip() if isinstance(name, str) else ""
    if not stripped or len(stripped) > ROOM_NAME_CHARACTERS_MAX or not stripped.isprintable():
        raise BadRoomName(str(name))
    return stripped


def room_id(mesh: MeshId, name: str) -> RoomId:
    """The id of the open room of this name in this mesh: BLAKE2b-128 of mesh id and folded name."""
    return RoomId(_blake2b(b"zmqchat-room-1", ROOM_ID_BYTES, mesh + _folded(room_name_checked(name))))


def _folded(name: str) -> bytes:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).encode()


def _blake2b(label: bytes, size: int, data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=size, person=label).digest()


def _base32(raw: bytes) -> str:
    return base64.b32encode(raw).decode("ascii").rstrip("=").lower()


@functools.lru_cache(maxsize=256)  # the same few stand in record after record
def _id_base32(raw: bytes) -> str:
    return _base32(raw)


def _unbase32(text: str) -> bytes | None:
    padded = text.strip().upper() + "=" * (-len(text.strip()) % 8)
    try:
        return base64.b32decode(padded)
    except (binascii.Error, ValueError):
        return None
