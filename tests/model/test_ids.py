"""Ids: fixed widths, one text form each, and names that fold to one room."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqchat.model.errors import BadPeerId, BadRoomName
from zmqchat.model.ids import (
    MAIN_BRANCH,
    LogKey,
    MessageId,
    PeerId,
    is_peer_id,
    mesh_id,
    parse_message_id,
    parse_peer_id,
    peer_short,
    peer_text,
    room_id,
    room_name_checked,
)

peer_ids = st.binary(min_size=32, max_size=32).map(lambda raw: PeerId(raw[:31] + bytes([raw[31] & 0x7F])))
u64 = st.integers(0, 2**64 - 1)


@given(peer_ids)
def test_a_peer_id_survives_its_text_form(peer: PeerId) -> None:
    """52 characters of base32, read back in either case and with blanks around."""
    text = peer_text(peer)
    assert len(text) == 52
    assert parse_peer_id(text) == parse_peer_id(f" {text.upper()}\n") == peer


@given(peer_ids)
def test_the_short_form_begins_the_long_one(peer: PeerId) -> None:
    """Two groups of four characters, so that people can compare them."""
    assert peer_short(peer).replace("-", "") == peer_text(peer)[:8]
    assert len(peer_short(peer)) == 9


@given(st.text(max_size=80))
def test_any_other_text_is_refused_as_a_peer_id(text: str) -> None:
    """A text is a peer id or BadPeerId, and never another exception."""
    with suppress(BadPeerId):
        assert is_peer_id(parse_peer_id(text))


@pytest.mark.parametrize("raw", [bytes(31), bytes(33), bytes(31) + b"\x80", "x" * 32, None])
def test_other_widths_types_and_the_top_bit_make_no_peer_id(raw: object) -> None:
    """An id with its top bit set would share a CURVE key with another one."""
    assert not is_peer_id(raw)


def test_a_peer_id_with_its_top_bit_set_is_refused_as_text() -> None:
    """The text form is no way around the rule."""
    with pytest.raises(BadPeerId):
        parse_peer_id(peer_text(PeerId(bytes(31) + b"\x80")))


@given(peer_ids, u64, u64, st.binary(min_size=8, max_size=8))
def test_a_message_id_survives_its_text_form(peer: PeerId, log: int, number: int, digest8: bytes) -> None:
    """What `str` prints, `parse_message_id` reads back."""
    message = MessageId(peer, log, number, digest8)
    assert parse_message_id(str(message)) == message


@given(st.text(max_size=120))
def test_any_other_text_is_no_message_id(text: str) -> None:
    """It gives None, never an exception."""
    found = parse_message_id(text)
    assert found is None or len(str(found)) == 90


def test_a_log_key_means_the_main_branch_unless_told() -> None:
    """Most logs are never forked."""
    assert LogKey(PeerId(bytes(32)), 1).branch == MAIN_BRANCH == bytes(8)


@pytest.mark.parametrize(("one", "other"), [("Lobby", "lobby"), ("ﬁsh", "FISH"), (" straße ", "STRASSE"), ("é", "é")])
def test_names_that_read_alike_are_one_room(one: str, other: str) -> None:
    """NFKC and case folding come before the hash."""
    assert room_id(mesh_id("m"), one) == room_id(mesh_id("M"), other)


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_a_room_id_is_sixteen_bytes_and_of_its_mesh(mesh: str, other: str) -> None:
    """One room name in two meshes gives two ids unless the mesh names fold to one."""
    one, two = mesh_id(mesh), mesh_id(other)
    assert len(room_id(one, "lobby")) == 16
    assert (room_id(one, "lobby") == room_id(two, "lobby")) == (one == two)


def test_the_hashes_are_the_published_ones() -> None:
    """A second implementation relies on these."""
    assert len(mesh_id("zmqchat")) == 32
    assert mesh_id("zmqchat") != mesh_id("zmqchat2")


@pytest.mark.parametrize("name", ["", "   ", "a" * 129, "a\nb", "\x1b[31m", "a\u202eb"])
def test_a_room_name_must_be_printable_and_short(name: str) -> None:
    """Empty, long and unprintable names raise BadRoomName, which shows at most 80 characters of it."""
    with pytest.raises(BadRoomName) as caught:
        room_name_checked(name)
    assert caught.value.name == name
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", [None, 5, b"lobby"])
def test_a_room_name_is_text(name: object) -> None:
    """What is no text gets the same error, not one about a missing attribute."""
    with pytest.raises(BadRoomName):
        room_name_checked(name)  # type: ignore[arg-type]  # what the test is about


def test_a_room_name_is_stripped() -> None:
    """Blanks around a name are no part of it."""
    assert room_name_checked("  tea kitchen ") == "tea kitchen"
