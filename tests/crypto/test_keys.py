"""Identities: made once, kept with care, never replaced; peer ids are points that belong to one key."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import nacl.bindings
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqchat.crypto import keys
from zmqchat.crypto.keys import (
    DOOR_PUBLIC,
    DOOR_SECRET,
    Identity,
    create_identity,
    curve_key,
    is_valid_peer,
    load_or_create_identity,
    save_identity,
)
from zmqchat.model.errors import HomeUnusable, IdentityDamaged
from zmqchat.model.ids import PeerId

_ORDER_8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
_P = 2**255 - 19
HOSTILE_IDS = {
    "all zero": bytes(32),
    "all 0xff": b"\xff" * 32,
    "identity element": b"\x01" + bytes(31),
    "order 2": (_P - 1).to_bytes(32, "little"),
    "order 8": _ORDER_8,
    "not canonical zero": _P.to_bytes(32, "little"),
    "not canonical one": (_P + 1).to_bytes(32, "little"),
    "off the curve": b"\x02" + bytes(31),
    "short": b"\x01" * 31,
    "long": b"\x01" * 33,
    "empty": b"",
}


def flipped(peer: bytes) -> bytes:
    """The other key of the same X25519 key."""
    return peer[:31] + bytes([peer[31] ^ 0x80])


def identity() -> Identity:
    """An identity that is the same each time."""
    return next(made for seed in range(256) if (made := made_from(bytes([seed]) * 32)) is not None)


def made_from(seed: bytes) -> Identity | None:
    """The identity of a seed, None where its top bit is set."""
    try:
        return Identity(seed)
    except ValueError:
        return None


def test_identities_have_a_clear_top_bit_and_differ() -> None:
    """Keys are drawn until the id is valid, and no two are the same."""
    made = [create_identity() for _ in range(8)]
    assert all(one.peer[31] < 0x80 for one in made)
    assert len({one.peer for one in made}) == 8


def test_a_seed_whose_top_bit_is_set_is_refused() -> None:
    """Half of all seeds make no identity."""
    refused = [seed for seed in range(40) if made_from(bytes([seed]) * 32) is None]
    assert 0 < len(refused) < 40
    with pytest.raises(ValueError):
        Identity(b"short")


def test_the_curve_key_belongs_to_the_signing_key() -> None:
    """Who knows the peer id knows the CURVE key, and the secret fits it."""
    one = identity()
    assert curve_key(one.peer) == one.curve_public
    assert nacl.bindings.crypto_scalarmult_base(one.curve_secret) == one.curve_public


def test_the_secret_stays_out_of_reprs() -> None:
    """Neither repr nor str nor a format shows the seed."""
    one = identity()
    for text in (repr(one), str(one), f"{one}"):
        assert one.seed.hex()[:8] not in text
        assert one.curve_secret.hex()[:8] not in text


@pytest.mark.parametrize("name", HOSTILE_IDS)
def test_hostile_peer_ids_have_no_curve_key(name: str) -> None:
    """Points of small order, off the curve or not canonical are no peers, and raise nothing."""
    peer = HOSTILE_IDS[name]
    assert curve_key(PeerId(peer)) is None
    assert not is_valid_peer(peer)


def test_the_sign_flipped_id_is_no_peer() -> None:
    """The twin of a valid id converts to the same CURVE key, so it is refused everywhere."""
    one = identity()
    assert nacl.bindings.crypto_sign_ed25519_pk_to_curve25519(flipped(one.peer)) == one.curve_public
    assert curve_key(PeerId(flipped(one.peer))) is None
    assert is_valid_peer(one.peer)


@given(st.binary(max_size=40) | st.binary(min_size=32, max_size=32))
def test_any_bytes_are_a_peer_or_none(peer: bytes) -> None:
    """curve_key gives 32 bytes or None, whatever it is asked."""
    key = curve_key(PeerId(peer))
    assert key is None or len(key) == 32


def test_the_door_key_is_published() -> None:
    """All nodes have one door key; these are the bytes that docs/internals/protocol.md prints."""
    assert nacl.bindings.crypto_scalarmult_base(DOOR_SECRET) == DOOR_PUBLIC
    page = Path(keys.__file__).parents[2] / "docs" / "internals" / "protocol.md"
    text = page.read_text(encoding="utf-8")
    assert DOOR_PUBLIC.hex() in text
    assert DOOR_SECRET.hex() in text


# The key file ---------------------------------------------------------------------------------------


def test_an_identity_is_made_once(tmp_path: Path) -> None:
    """The first start makes it, 0600; the second reads the same, without a warning."""
    path = tmp_path / "identity"
    made, warnings = load_or_create_identity(path)
    again, later_warnings = load_or_create_identity(path)
    assert again.peer == made.peer
    assert again.seed == made.seed
    assert warnings == later_warnings == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["identity"]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o666, 0o620, 0o601])
def test_a_wrong_mode_is_put_right_with_a_warning(tmp_path: Path, mode: int) -> None:
    """A key that others could read is 0600 afterwards, and the user is told once."""
    path = tmp_path / "identity"
    made, _ = load_or_create_identity(path)
    path.chmod(mode)
    again, warnings = load_or_create_identity(path)
    assert again.peer == made.peer
    assert len(warnings) == 1
    assert f"{mode:03o}" in warnings[0]
    assert str(path) in warnings[0]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_identity(path)[1] == []


def test_a_mode_that_can_not_be_changed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where chmod is refused the key is used all the same, with a warning that says so."""
    path = tmp_path / "identity"
    load_or_create_identity(path)
    path.chmod(0o644)

    def refuse(_path: Path, _mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    _, warnings = load_or_create_identity(path)
    assert len(warnings) == 1
    assert "not permitted" in warnings[0]


def damaged_files() -> dict[str, bytes]:
    """By name: what a key file must not be."""
    one = identity()
    good = f"zmqchat-identity-1 {one.seed.hex()} ".encode()
    return {
        "empty": b"",
        "one line end": b"\n",
        "zeros": bytes(100),
        "no text": b"\xff\xfe\x00" * 30,
        "no checksum": good,
        "wrong checksum": good + b"00000000\n",
        "another label": good.replace(b"identity-1", b"identity-9") + b"00000000\n",
        "cut": good[:40],
        "too long": good * 100,
        "no hexadecimal": b"zmqchat-identity-1 zz zz",
    }


@pytest.mark.parametrize("name", damaged_files())
def test_a_damaged_key_is_never_replaced(tmp_path: Path, name: str) -> None:
    """An empty, cut or changed file raises IdentityDamaged with what to do, and stays as it is."""
    path = tmp_path / "identity"
    content = damaged_files()[name]
    path.write_bytes(content)
    with pytest.raises(IdentityDamaged, match="backup") as caught:
        load_or_create_identity(path)
    assert str(path) in str(caught.value)
    assert identity().seed.hex()[:16] not in str(caught.value)
    assert path.read_bytes() == content


def test_one_changed_digit_is_noticed(tmp_path: Path) -> None:
    """Any digit of seed or checksum that changes makes the key damaged."""
    path = tmp_path / "identity"
    save_identity(path, identity())
    line = path.read_bytes()
    for at in range(len(b"zmqchat-identity-1 "), len(line) - 1):
        if line[at : at + 1] != b" ":
            path.write_bytes(line[:at] + (b"0" if line[at : at + 1] != b"0" else b"1") + line[at + 1 :])
            with pytest.raises(IdentityDamaged):
                load_or_create_identity(path)


def test_a_key_whose_id_is_invalid_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A seed with the top bit set is no identity, though its checksum is right."""
    seed = next(bytes([n]) * 32 for n in range(256) if made_from(bytes([n]) * 32) is None)
    path = tmp_path / "identity"
    path.write_text(f"zmqchat-identity-1 {seed.hex()} {keys._checksum(seed).hex()}\n")
    with pytest.raises(IdentityDamaged):
        load_or_create_identity(path)


def test_an_unreadable_key_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever keeps the key from being read is told, and no other is made."""
    folder = tmp_path / "identity"
    folder.mkdir()
    with pytest.raises(IdentityDamaged, match="can't be read"):
        load_or_create_identity(folder)
    path = tmp_path / "other"
    save_identity(path, identity())
    content = path.read_bytes()

    def refuse(_path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(keys, "_read", refuse)
    with pytest.raises(IdentityDamaged, match="Permission denied"):
        load_or_create_identity(path)
    assert path.read_bytes() == content


def test_saving_never_overwrites(tmp_path: Path) -> None:
    """A key that is there stays, with hard links and without."""
    path = tmp_path / "identity"
    path.write_bytes(b"mine")
    with pytest.raises(HomeUnusable):
        save_identity(path, identity())
    assert path.read_bytes() == b"mine"
    assert [entry.name for entry in tmp_path.iterdir()] == ["identity"]


def test_a_file_system_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where link() is refused the file is renamed, still never over another."""

    def refuse(_source: object, _target: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "identity"
    save_identity(path, identity())
    assert load_or_create_identity(path)[0].peer == identity().peer
    with pytest.raises(HomeUnusable):
        save_identity(path, create_identity())
    assert load_or_create_identity(path)[0].peer == identity().peer


def test_what_a_crash_left_is_no_hindrance(tmp_path: Path) -> None:
    """A temporary file of a process with our id, as in a container, is replaced."""
    path = tmp_path / "identity"
    path.with_name(f".identity.{os.getpid()}").write_bytes(b"half")
    save_identity(path, identity())
    assert load_or_create_identity(path)[0].peer == identity().peer


def test_a_home_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    """Without its folder the key can't be written, and the error names the folder."""
    with pytest.raises(HomeUnusable, match="missing"):
        load_or_create_identity(tmp_path / "missing" / "identity")
