"""Frames: each survives the way there and back, and bytes from strangers give a frame or a Fault."""

from __future__ import annotations

import math
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.framesamples import ENDPOINTS, FRAMES, MESH, NONCE, OTHER, PEER, ROOM, SAMPLES
from tests.support.hostile_bytes import BOMBS, MEMORY_BYTES_MAX, SECONDS_MAX, cost_of, damaged
from zmqchat.model.addresses import Endpoint
from zmqchat.model.faults import Fault
from zmqchat.model.ids import RoomId
from zmqchat.model.limits import DOOR_FRAME_BYTES_MAX, FRAME_BYTES_MAX, NUMBER_MAX, ROOMS_MAX, SUMMARY_ENTRIES_MAX
from zmqchat.wire import frames, tree_frames
from zmqchat.wire.frames import UnknownFrame, decode, encode, signed_part, type_byte

PACKED = [name for name in SAMPLES if name not in ("push", "relay")]
KNOWN_BYTES = sorted(type_byte(type(frame)) for frame in SAMPLES.values())


def fields_of(raw: bytes) -> list[Any]:
    """The packed fields of an encoded frame."""
    values = msgpack.unpackb(raw[1:])
    assert isinstance(values, list)
    return values


def with_fields(byte: int, values: list[Any]) -> bytes:
    """A frame of these fields, whatever they are."""
    return bytes([byte]) + bytes(msgpack.packb(values, use_bin_type=True))


def reason_of(payload: bytes) -> str | None:
    """The reason of the Fault that these bytes are; None where they are a frame."""
    decoded = decode(payload)
    return decoded.reason if isinstance(decoded, Fault) else None


@pytest.mark.parametrize("name", SAMPLES)
def test_each_frame_comes_back(name: str) -> None:
    """One frame of every type survives encode and decode."""
    assert decode(encode(SAMPLES[name])) == SAMPLES[name]


@given(FRAMES)
def test_any_frame_comes_back(frame: frames.Frame) -> None:
    """All values that a field allows survive."""
    assert decode(encode(frame)) == frame


def test_every_type_byte_is_sampled() -> None:
    """The samples cover the whole table of the protocol."""
    assert set(KNOWN_BYTES) == {1, 2, 3, *range(16, 31), *range(32, 47), *range(48, 62)}


@given(st.binary(max_size=300))
def test_random_bytes_give_a_frame_or_a_fault(payload: bytes) -> None:
    """Nothing raises, whatever the bytes."""
    assert isinstance(decode(payload), (frames.Frame, UnknownFrame, Fault))


@given(st.sampled_from(KNOWN_BYTES), st.binary(max_size=300))
def test_random_fields_give_a_frame_or_a_fault(byte: int, rest: bytes) -> None:
    """Nothing raises behind a known type byte either."""
    assert isinstance(decode(bytes([byte]) + rest), (frames.Frame, Fault))


@given(damaged(FRAMES.map(encode)))
def test_damaged_frames_give_a_frame_or_a_fault(payload: bytes) -> None:
    """A valid frame with bytes changed, cut or doubled never raises."""
    decoded = decode(payload)
    assert isinstance(decoded, (frames.Frame, UnknownFrame, Fault))
    if isinstance(decoded, Fault):
        assert len(decoded.detail) <= 200
        assert decoded.score < 0


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("byte", [1, 22, 42, 44])
def test_bombs_are_faults_and_cost_little(name: str, byte: int) -> None:
    """Behind any type byte a bomb is `malformed` or `limit` within 20 MiB and 50 ms."""
    payload = bytes([byte]) + BOMBS[name]
    decoded, peak_bytes, seconds = cost_of(lambda: decode(payload))
    assert isinstance(decoded, Fault)
    assert decoded.reason in ("malformed", "limit")
    assert peak_bytes <= MEMORY_BYTES_MAX
    assert seconds < SECONDS_MAX


@pytest.mark.parametrize("name", PACKED)
def test_truncation_at_every_byte_and_trailing_bytes_are_faults(name: str) -> None:
    """A frame is exactly one array: nothing less, nothing after it."""
    raw = encode(SAMPLES[name])
    for end in range(len(raw)):
        assert reason_of(raw[:end]) == "malformed"
    assert reason_of(raw + b"\x00") == "malformed"


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("odd", [None, True, math.nan, 1.5, -1, 2**64 - 1, "text", b"bytes", [], [[]], {}, {"a": 1}])
def test_a_field_of_another_type_is_a_fault(name: str, odd: Any) -> None:
    """Whatever stands in a field's place, the frame is refused or says what its field allows."""
    raw = encode(SAMPLES[name])
    values = fields_of(raw)
    for index in range(len(values)):
        decoded = decode(with_fields(raw[0], [*values[:index], odd, *values[index + 1 :]]))
        if isinstance(decoded, frames.Frame):
            assert fields_of(encode(decoded))[index] == odd


@pytest.mark.parametrize("byte", [0, 4, 5, 6, 15, 47, 99, 200, 255])
def test_unknown_types_are_skipped(byte: int) -> None:
    """A frame of a later version, and the two reserved for closed meshes, are no fault."""
    assert decode(bytes([byte]) + b"whatever") == UnknownFrame(byte)
    assert decode(bytes([byte])) == UnknownFrame(byte)


@pytest.mark.parametrize("name", PACKED)
def test_appended_fields_are_ignored(name: str) -> None:
    """What a later version adds at the end of a frame changes nothing."""
    raw = encode(SAMPLES[name])
    longer = with_fields(raw[0], [*fields_of(raw), "new", [1, [2, b"3"]], None])
    assert decode(longer) == SAMPLES[name]


def test_fields_appended_to_records_are_ignored() -> None:
    """The entries inside a frame may grow as well."""
    raw = with_fields(21, [[[PEER, True, [["10.0.0.1", 1, 2, 3, "new"]], "new"]]])
    assert decode(raw) == frames.Peers(entries=(frames.PeerEntry(PEER, True, (Endpoint("10.0.0.1", 1, 2, 3),)),))


def test_too_few_fields_are_a_fault() -> None:
    """A frame without its last field is malformed."""
    for frame in SAMPLES.values():
        raw = encode(frame)
        if not isinstance(frame, (frames.Push, tree_frames.Relay)) and fields_of(raw):
            assert reason_of(with_fields(raw[0], fields_of(raw)[:-1])) == "malformed"


def test_hello_must_be_canonical() -> None:
    """The same HELLO in longer encodings is refused; appended fields must be canonical too."""
    raw = encode(SAMPLES["hello"])
    assert raw[1] == 0x98
    assert reason_of(raw[:1] + b"\xdc\x00\x08" + raw[2:]) == "malformed"
    assert reason_of(raw[:1] + b"\x99" + raw[2:] + b"\xcc\x01") == "malformed"
    assert reason_of(raw[:1] + b"\x99" + raw[2:] + b"\x01") is None


def test_other_frames_need_not_be_canonical() -> None:
    """Longer encodings of the same values are read as they are."""
    assert decode(b"\x12\xdd\x00\x00\x00\x02\xcf\x00\x00\x00\x00\x00\x00\x00\x01\xcc\x02") == frames.Ping(
        token=1, wall_ms=2
    )


def test_a_frame_has_the_size_limit_of_its_type() -> None:
    """A door frame over 4,000 B and a small frame over its bound are refused unread."""
    sizes = ((1, DOOR_FRAME_BYTES_MAX), (18, 256), (43, 512), (51, 65536), (44, FRAME_BYTES_MAX))
    for byte, size in sizes:
        assert reason_of(bytes([byte]) + bytes(size)) == "limit"


def test_hello_may_name_many_endpoints() -> None:
    """Endpoints are read as far as the frame goes: admission keeps the first eight."""
    many = tuple(Endpoint("::", port, 0, 0) for port in range(300))
    hello = frames.Hello(
        versions=(1,),
        features=(),
        peer=PEER,
        mesh=MESH,
        instance=NONCE,
        store=NONCE,
        generation=1,
        endpoints=many,
    )
    assert decode(encode(hello)) == hello


def test_the_fullest_frames_pass() -> None:
    """All rooms, and as many logs of eight ranges as fit a frame, decode."""
    rooms = tuple(RoomId(index.to_bytes(16, "big")) for index in range(ROOMS_MAX))
    assert decode(encode(frames.Interest(rooms=rooms))) == frames.Interest(rooms=rooms)
    assert isinstance(decode(with_fields(22, [bytes(16 * (ROOMS_MAX + 1))])), Fault)
    assert isinstance(decode(with_fields(22, [bytes(17)])), Fault)
    ranges = tuple(frames.RangeState(2 * n, 2 * n + 1, bytes(32), bytes(32)) for n in range(8))
    logs = tuple(frames.LogState(PEER, log, bytes(8), 0, ranges) for log in range(400))
    full = frames.Frontiers(exchange=1, room=ROOM, entries=logs, final=True)
    assert decode(encode(full)) == full
    have = frames.Have(
        room=ROOM,
        holder=PEER,
        entries=tuple(frames.HaveEntry(OTHER, log, bytes(8), 1) for log in range(SUMMARY_ENTRIES_MAX)),
    )
    assert decode(encode(have)) == have


def test_numbers_beyond_2_to_53_are_refused_where_events_are_numbered() -> None:
    """A log number of 2^64-1 is a fault; the end of a Want may be anything of 64 bits."""
    raw = encode(SAMPLES["want"])
    values = fields_of(raw)
    assert reason_of(with_fields(43, [*values[:3], NUMBER_MAX + 1, *values[4:]])) == "malformed"
    assert reason_of(with_fields(43, [*values[:6], 2**64 - 1, *values[7:]])) is None


def test_a_push_is_its_batch() -> None:
    """The batch stands behind the type byte as it is, empty or not."""
    assert decode(b"\x20abc") == frames.Push(batch=b"abc")
    assert decode(b"\x20") == frames.Push(batch=b"")
    assert encode(frames.Push(batch=b"abc")) == b"\x20abc"


def test_a_relayed_batch_stands_behind_its_hops() -> None:
    """Nothing is packed anew on the way; a frame without hops is malformed."""
    assert decode(b"\x22\x03abc") == tree_frames.Relay(hops=3, batch=b"abc")
    assert encode(tree_frames.Relay(hops=255, batch=b"abc")) == b"\x22\xffabc"
    assert reason_of(b"\x22") == "malformed"


@pytest.mark.parametrize("name", ["welcome", "refused"])
def test_a_signature_covers_type_and_all_other_fields(name: str) -> None:
    """Any change but to the signature changes what is signed."""
    frame = SAMPLES[name]
    assert isinstance(frame, (frames.Welcome, frames.Refused))
    signed = signed_part(frame)
    assert signed[0] == type_byte(type(frame))
    assert msgpack.unpackb(signed[1:]) == fields_of(encode(frame))[:-1]
    assert frame.signature not in signed


def test_endpoints_of_samples_are_kept_in_order() -> None:
    """The order of endpoints is the sender's preference and survives."""
    decoded = decode(encode(SAMPLES["hello"]))
    assert isinstance(decoded, frames.Hello)
    assert decoded.endpoints == ENDPOINTS
