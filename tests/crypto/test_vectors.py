"""Replays tests/vectors/ for keys, ids, digests and signatures."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.vectors.generate import FOLDER
from zmqchat.crypto.keys import DOOR_PUBLIC, DOOR_SECRET, Identity, curve_key, is_valid_peer
from zmqchat.crypto.signing import IdentityCrypto
from zmqchat.history.batch import Batch, open_batch
from zmqchat.model.ids import (
    MeshId,
    PeerId,
    mesh_id,
    parse_message_id,
    parse_peer_id,
    peer_short,
    peer_text,
    room_id,
)


def vectors(file: str) -> Any:
    """A file of vectors."""
    return json.loads((FOLDER / file).read_text(encoding="utf-8"))


@pytest.mark.parametrize("vector", vectors("identities.json")["keys"], ids=lambda vector: str(vector["peer_short"]))
def test_keys_follow_from_the_seed(vector: dict[str, str]) -> None:
    """One seed gives the peer id, its texts and both CURVE keys; the id alone gives the public one."""
    identity = Identity(bytes.fromhex(vector["seed"]))
    assert identity.peer.hex() == vector["peer"]
    assert (peer_text(identity.peer), peer_short(identity.peer)) == (vector["peer_text"], vector["peer_short"])
    assert parse_peer_id(vector["peer_text"]) == identity.peer
    assert (identity.curve_secret.hex(), identity.curve_public.hex()) == (
        vector["curve_secret"],
        vector["curve_public"],
    )
    assert curve_key(identity.peer) == identity.curve_public


def test_the_door_has_its_published_key() -> None:
    """Nodes of all versions must dial each other's door."""
    door = vectors("identities.json")["door"]
    assert (DOOR_SECRET.hex(), DOOR_PUBLIC.hex()) == (door["secret"], door["public"])


@pytest.mark.parametrize("raw", vectors("identities.json")["no_peer_ids"])
def test_what_is_no_peer_id_is_refused(raw: str) -> None:
    """Top bit set, small order, off the curve, not canonical."""
    assert not is_valid_peer(bytes.fromhex(raw))
    assert curve_key(PeerId(bytes.fromhex(raw))) is None


def test_names_lead_to_ids() -> None:
    """Mesh and room ids are those that every node computes, however a name is written."""
    read = vectors("identities.json")
    assert {mesh["name"]: mesh_id(mesh["name"]).hex() for mesh in read["meshes"]} == {
        mesh["name"]: mesh["id"] for mesh in read["meshes"]
    }
    for room in read["rooms"]:
        assert room_id(MeshId(bytes.fromhex(room["mesh"])), room["name"]).hex() == room["id"]
    assert len({room["id"] for room in read["rooms"]}) == 3


def test_message_ids_are_read_back() -> None:
    """The text of a message id names author, log, number and digest."""
    for message in vectors("identities.json")["messages"]:
        read = parse_message_id(message["text"])
        assert read is not None
        author, log, number, digest8 = message["fields"]
        assert (read.author.hex(), read.log, read.number) == (author["bytes"], log, number)
        assert read.digest8.hex() == digest8["bytes"]


@pytest.mark.parametrize("vector", vectors("identities.json")["signatures"], ids=lambda vector: str(vector["label"]))
def test_signatures_are_made_and_checked_alike(vector: dict[str, str]) -> None:
    """Ed25519 gives one signature for a key and a message; another label makes it worthless."""
    crypto = IdentityCrypto(Identity(bytes.fromhex(vector["seed"])))
    label, data, signature = vector["label"].encode(), bytes.fromhex(vector["data"]), bytes.fromhex(vector["signature"])
    assert crypto.sign(label, data) == signature
    assert crypto.verify(crypto.peer, label, data, signature)
    assert not crypto.verify(crypto.peer, label + b"x", data, signature)


def test_digests_of_events_are_as_written() -> None:
    """The digest of an event's bytes is part of its id."""
    crypto = IdentityCrypto(Identity(bytes.fromhex(vectors("batches.json")["secret_seed"])))
    events = vectors("events.json")["events"]
    raws = [bytes.fromhex(event["encoded"]) for event in events]
    assert [digest.hex() for digest in crypto.event_digests(raws)] == [event["digest"] for event in events]


def test_batches_verify_and_chain() -> None:
    """Each batch opens under its author's key, has the digest that is written, and names the one before."""
    read = vectors("batches.json")
    crypto = IdentityCrypto(Identity(bytes.fromhex(read["secret_seed"])))
    previous = bytes(32)
    for vector in read["batches"]:
        batch = open_batch(bytes.fromhex(vector["encoded"]), crypto)
        assert isinstance(batch, Batch)
        assert batch.digest.hex() == vector["digest"]
        assert batch.previous == previous
        previous = batch.digest


def test_a_batch_verifies_without_a_deleted_body() -> None:
    """The digest in the body's place leads to the same digest of the batch, so the signature holds."""
    read = vectors("batches.json")
    crypto = IdentityCrypto(Identity(bytes.fromhex(read["secret_seed"])))
    for vector in read["deleted"]:
        batch = open_batch(bytes.fromhex(vector["encoded"]), crypto)
        assert isinstance(batch, Batch)
        assert batch.digest.hex() == vector["digest"] == read["batches"][0]["digest"]
