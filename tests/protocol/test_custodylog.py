"""The pieces of a log that is kept for others."""

from __future__ import annotations

import pytest

from tests.support.fakelink import lobby, peer_of
from zmqchat.protocol.custodylog import (
    PIECE_MS_MAX,
    Piece,
    pack,
    pack_place,
    unpack,
    unpack_place,
    with_batch,
    without_below,
)

MOST = 1_000


def test_neighbours_of_one_time_are_one_piece() -> None:
    """At either end, up to the size and the time that a piece may have."""
    pieces = with_batch([], Piece(5, 7, 100, 1_000), MOST)
    pieces = with_batch(pieces, Piece(7, 9, 100, 2_000), MOST)
    pieces = with_batch(pieces, Piece(3, 5, 100, 500), MOST)
    assert pieces == [Piece(3, 9, 300, 2_000)]


@pytest.mark.parametrize(
    "new",
    [Piece(7, 9, MOST, 1_000), Piece(7, 9, 100, 1_001 + PIECE_MS_MAX), Piece(8, 9, 100, 1_000)],
    ids=["too large", "another time", "not beside it"],
)
def test_others_are_pieces_of_their_own(new: Piece) -> None:
    """In the order of their numbers."""
    first = Piece(5, 7, 100, 1_000)
    assert with_batch([first], new, MOST) == [first, new]
    assert with_batch([new], first, MOST) == [first, new]


def test_an_empty_piece_gives_way() -> None:
    """It only stood for a log of which nothing was held."""
    assert with_batch([Piece(5, 5, 0, 1)], Piece(5, 6, 10, 2), MOST) == [Piece(5, 6, 10, 2)]


def test_what_lies_below_is_taken_off() -> None:
    """Whole pieces, and the part of one; an empty piece stands for nothing."""
    pieces = [Piece(0, 4, 100, 1), Piece(4, 8, 100, 2)]
    assert without_below(pieces, 4, 100, 9) == [Piece(4, 8, 100, 2)]
    assert without_below(pieces, 6, 130, 9) == [Piece(6, 8, 70, 2)]
    assert without_below(pieces, 8, 200, 9) == [Piece(8, 8, 0, 9)]


def test_rows_are_read_back() -> None:
    """And damaged ones are told."""
    pieces = [Piece(0, 4, 100, 1), Piece(4, 8, 100, 2)]
    assert unpack(pack(pieces)) == pieces
    assert unpack(b"") is None and unpack(pack(pieces)[:-1]) is None and unpack(b"\x09") is None
    place = (lobby("den"), peer_of("ann"), 2**53)
    assert unpack_place(pack_place(place)) == place
    assert unpack_place(b"short") is None
