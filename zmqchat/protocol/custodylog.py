"""What is kept for others of one log: pieces of at most an hour and some bytes, remembered in a few numbers each.

A log's pieces are in rising order of their numbers, disjoint. Each is as old as the newest batch in it: when the author
sealed it, or when it came where it was pushed, or his clock is ahead of ours. Of a log of which nothing is held any
more one empty piece stays, so that what was let go is not fetched again.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from zmqchat.model.ids import PEER_ID_BYTES, ROOM_ID_BYTES, PeerId, RoomId

Place = tuple[RoomId, PeerId, int]
"""A log, with all of its branches: room, author, log number."""

KEPT_TABLE: Final = "kept"

PIECE_MS_MAX: Final = 3_600_000

_VERSION: Final = 1
_PIECE = struct.Struct(">QQQQ")


class Piece(NamedTuple):
    """Numbers [first, end) of a log, what they take on the disk, and when the newest was said."""

    first: int
    end: int
    size_bytes: int
    at_ms: int


def with_batch(pieces: Sequence[Piece], new: Piece, bytes_max: int) -> list[Piece]:
    """The pieces with one more batch: in the piece beside it where both are of one time, else on its own."""
    rest = [piece for piece in pieces if piece.size_bytes]
    for index, piece in enumerate(rest):
        beside = piece.end == new.first or new.end == piece.first
        small = piece.size_bytes + new.size_bytes <= bytes_max
        if beside and small and abs(piece.at_ms - new.at_ms) <= PIECE_MS_MAX:
            rest[index] = Piece(
                min(piece.first, new.first),
                max(piece.end, new.end),
                piece.size_bytes + new.size_bytes,
                max(piece.at_ms, new.at_ms),
            )
            return rest
    return sorted([*rest, new])


def without_below(pieces: Sequence[Piece], number: int, dropped_bytes: int, now_ms: int) -> list[Piece]:
    """The pieces without what lies below this number, where a batch ends; an empty one where nothing is left."""
    rest = []
    for piece in pieces:
        if piece.end > number:
            if piece.first < number:
                piece = piece._replace(first=number, size_bytes=max(1, piece.size_bytes - dropped_bytes))
            rest.append(piece)
        else:
            dropped_bytes = max(0, dropped_bytes - piece.size_bytes)
    return rest or [Piece(number, number, 0, now_ms)]


def pack(pieces: Sequence[Piece]) -> bytes:
    """The row that the store keeps."""
    return bytes((_VERSION,)) + b"".join(_PIECE.pack(*piece) for piece in pieces)


def unpack(row: bytes) -> list[Piece] | None:
    """The pieces that `pack` packed; None where the row is damaged."""
    if row[:1] != bytes((_VERSION,)) or (len(row) - 1) % _PIECE.size:
        return None
    return [Piece(*fields) for fields in _PIECE.iter_unpack(row[1:])]


def pack_place(place: Place) -> bytes:
    """The key of a log's row."""
    return place[0] + place[1] + place[2].to_bytes(8, "big")


def unpack_place(key: bytes) -> Place | None:
    """The log of a row; None where the key is damaged."""
    author_end = ROOM_ID_BYTES + PEER_ID_BYTES
    if len(key) != author_end + 8:
        return None
    return RoomId(key[:ROOM_ID_BYTES]), PeerId(key[ROOM_ID_BYTES:author_end]), int.from_bytes(key[author_end:], "big")
