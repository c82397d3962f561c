"""Replays tests/vectors/ for frames, events and batches: what is on the wire does not change by accident."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.vectors.generate import FILES, FOLDER, plain, text_of
from zmqchat.model.events import Event
from zmqchat.model.faults import Fault
from zmqchat.wire.batches import HEADER, pack_batch, unpack_batch
from zmqchat.wire.events import decode_event, encode_event
from zmqchat.wire.frames import FRAME_TYPES, Frame, Refused, Welcome, decode, encode, signed_part


def vectors(file: str, part: str) -> list[Any]:
    """One list of a file of vectors."""
    read: dict[str, list[Any]] = json.loads((FOLDER / file).read_text(encoding="utf-8"))
    return read[part]


def unplain(value: Any) -> Any:
    """What stood for bytes and large integers, as they are."""
    if isinstance(value, list):
        return [unplain(item) for item in value]
    if isinstance(value, dict):
        if set(value) == {"bytes"}:
            return bytes.fromhex(value["bytes"])
        if set(value) == {"integer"}:
            return int(value["integer"])
        return {key: unplain(item) for key, item in value.items()}
    return value


@pytest.mark.parametrize("file", FILES)
def test_vectors_are_what_the_code_writes(file: str) -> None:
    """A difference is a change of the protocol; where it is meant, run `python -m tests.vectors.generate`."""
    assert (FOLDER / file).read_text(encoding="utf-8") == text_of(file)


@pytest.mark.parametrize("vector", vectors("frames.json", "frames"), ids=lambda vector: str(vector["frame"]))
def test_frames_are_read_and_written_alike(vector: dict[str, Any]) -> None:
    """Bytes give the fields, and the frame gives the bytes and what its signature covers."""
    frame = decode(bytes.fromhex(vector["encoded"]))
    assert isinstance(frame, Frame)
    assert type(frame).__name__ == vector["frame"]
    assert plain(frame) == vector["fields"]
    assert encode(frame).hex() == vector["encoded"]
    if isinstance(frame, (Welcome, Refused)):
        assert signed_part(frame).hex() == vector["signed_part"]


def test_every_frame_has_a_vector() -> None:
    """A frame without one could change unseen."""
    assert {vector["frame"] for vector in vectors("frames.json", "frames")} == {kind.__name__ for kind in FRAME_TYPES}


@pytest.mark.parametrize("vector", vectors("frames.json", "malformed"), ids=lambda vector: str(vector["why"]))
def test_malformed_frames_are_faults(vector: dict[str, str]) -> None:
    """What any implementation must refuse, this one does."""
    fault = decode(bytes.fromhex(vector["encoded"]))
    assert isinstance(fault, Fault)
    assert fault.reason == "malformed"


@pytest.mark.parametrize("vector", vectors("events.json", "events"), ids=lambda vector: str(vector["name"]))
def test_events_are_read_and_written_alike(vector: dict[str, Any]) -> None:
    """Bytes give the event, and the fields give the bytes."""
    raw = bytes.fromhex(vector["encoded"])
    event = decode_event(raw)
    assert isinstance(event, Event)
    assert plain(event) == vector["fields"]
    assert encode_event(**unplain(vector["fields"])) == raw


@pytest.mark.parametrize("vector", vectors("batches.json", "batches"), ids=["first", "second"])
def test_batches_are_read_and_written_alike(vector: dict[str, Any]) -> None:
    """Bytes give header, events and signature, and these give the bytes."""
    raw = bytes.fromhex(vector["encoded"])
    fields = unplain(vector["fields"])
    parts = unpack_batch(raw)
    assert isinstance(parts, tuple)
    header, events, signature = parts
    names = ("label", "version", "room", "author", "log", "first", "count", "previous", "sealed_at")
    read = dict(zip(names, HEADER.unpack(header), strict=True)) | {"events": events, "signature": signature}
    assert (read.pop("label"), read.pop("version")) == (b"zmqchat-batch-1", 1)
    assert read == fields
    assert pack_batch(header, fields["events"], fields["signature"]) == raw
