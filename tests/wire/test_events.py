"""Events: every kind survives, odd ones are faults, unknown kinds stay opaque."""

from __future__ import annotations

import math
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.hostile_bytes import BOMBS, MEMORY_BYTES_MAX, SECONDS_MAX, cost_of, damaged
from zmqchat.model.events import Event, Head, Kind
from zmqchat.model.faults import Fault
from zmqchat.model.ids import LogKey, MessageId, PeerId
from zmqchat.model.limits import EVENT_BYTES_MAX, TEXT_BYTES_MAX
from zmqchat.wire.events import (
    Deleted,
    ReadEnd,
    body_text,
    check_app_value,
    decode_event,
    encode_event,
    event_kind,
    is_readable,
    read_marker_body,
)

SALT = bytes(range(16))
HLC = 1_700_000_000_000 << 16
PEER = PeerId(bytes(32))
TARGET = MessageId(PEER, 3, 4, b"digest-8")

BODIES: dict[int, tuple[Any, Any]] = {
    Kind.TEXT: ("hello", "hello"),
    Kind.REPLY: ([list(TARGET), "yes"], (TARGET, "yes")),
    Kind.PROFILE: (["ann"], ("ann",)),
    Kind.MEMBER: ([1], (1,)),
    Kind.READ_MARKER: ([[PEER, 3, bytes(8), 9]], (ReadEnd(PEER, 3, bytes(8), 9),)),
    Kind.APP: (["text/x", {"a": [1, 2.5, None]}], ("text/x", {"a": [1, 2.5, None]})),
    200: ([1, {"new": b"thing"}], [1, {"new": b"thing"}]),
    Kind.EDIT: ("opaque for now", "opaque for now"),
}
"""By kind: a body as it is packed, and as it is decoded."""


def raw_event(body: Any, kind: int = Kind.TEXT, hlc: Any = HLC, salt: Any = SALT, after: Any = ()) -> bytes:
    """An event with any of its parts odd."""
    return bytes(msgpack.packb([salt, hlc, kind, body, list(after)], use_bin_type=True))


def is_fault(raw: bytes, reason: str = "malformed") -> bool:
    """Whether these bytes are a fault of this reason."""
    decoded = decode_event(raw)
    return isinstance(decoded, Fault) and decoded.reason == reason


@pytest.mark.parametrize("kind", BODIES)
def test_each_kind_comes_back(kind: int) -> None:
    """An event of every kind survives encode and decode, with its context."""
    packed, decoded = BODIES[kind]
    after = (Head(PEER, 1, 2),)
    event = decode_event(encode_event(SALT, HLC, kind, packed, after))
    assert event == Event(salt=SALT, hlc=HLC, kind=kind, body=decoded, after=after)


@given(st.text(max_size=300), st.integers(0, 2**64 - 1), st.binary(min_size=16, max_size=16))
def test_any_text_comes_back(text: str, hlc: int, salt: bytes) -> None:
    """Whatever can be encoded as UTF-8 survives."""
    event = decode_event(encode_event(salt, hlc, Kind.TEXT, text))
    assert isinstance(event, Event)
    assert body_text(event) == text
    assert event.hlc == hlc


def test_a_deleted_event_is_its_digest() -> None:
    """An array of one digest is an event whose body is gone; another length is none."""
    assert decode_event(msgpack.packb([bytes(32)])) == Deleted(bytes(32))
    assert is_fault(msgpack.packb([bytes(31)]))
    assert is_fault(msgpack.packb(["x" * 32]))


@given(st.binary(max_size=300))
def test_random_bytes_give_an_event_or_a_fault(raw: bytes) -> None:
    """Nothing raises, whatever the bytes, neither here nor where the kind is peeked at."""
    assert isinstance(decode_event(raw), (Event, Deleted, Fault))
    assert 0 <= event_kind(raw) <= 255
    is_readable(raw)


@given(damaged(st.sampled_from(sorted(BODIES)).map(lambda kind: encode_event(SALT, HLC, kind, BODIES[kind][0]))))
def test_damaged_events_give_an_event_or_a_fault(raw: bytes) -> None:
    """A valid event with bytes changed, cut or doubled never raises."""
    decoded = decode_event(raw)
    assert isinstance(decoded, (Event, Deleted, Fault))
    if isinstance(decoded, Event):
        body_text(decoded)


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("kind", [None, Kind.APP, Kind.READ_MARKER])
def test_bombs_are_faults_and_cost_little(name: str, kind: int | None) -> None:
    """Whole or as a body, a bomb is a Fault within 20 MiB and 50 ms."""
    bomb = BOMBS[name][: EVENT_BYTES_MAX - 40]
    head = b"" if kind is None else b"\x95\xc4\x10" + SALT + b"\xcf" + bytes(8) + bytes([0xCC, kind])
    decoded, peak_bytes, seconds = cost_of(lambda: decode_event(head + bomb + (b"\x90" if kind else b"")))
    assert isinstance(decoded, Fault)
    assert peak_bytes <= MEMORY_BYTES_MAX
    assert seconds < SECONDS_MAX


@pytest.mark.parametrize("depth", [1_000, 17, 16])
def test_a_deep_body_is_a_fault(depth: int) -> None:
    """The body of an app event stands on the third level: fourteen more pass, the seventeenth level does not."""
    body = b"\x92\xa1x" + b"\x91" * (depth - 2) + b"\x00"
    raw = b"\x95\xc4\x10" + SALT + b"\xcf" + bytes(8) + bytes([Kind.APP]) + body + b"\x90"
    assert is_fault(raw) is (depth > 16)


@pytest.mark.parametrize(
    "raw",
    [
        raw_event("x", salt=b"short"),
        raw_event("x", salt="x" * 16),
        raw_event("x", hlc=-1),
        raw_event("x", hlc=math.nan),
        raw_event("x", hlc=True),
        raw_event("x", kind=256),
        raw_event("x", kind=True),
        raw_event(b"x"),
        raw_event(["x"]),
        raw_event("x", after=[[PEER, 1, 2]] * 5),
        raw_event("x", after=[[PEER, -1, 2]]),
        raw_event("x") + b"\x00",
        raw_event([list(TARGET)], kind=Kind.REPLY),
        raw_event([list(TARGET), b"no text"], kind=Kind.REPLY),
        raw_event([[PEER, 3, 4], "x"], kind=Kind.REPLY),
        raw_event(["x" * 257], kind=Kind.PROFILE),
        raw_event("ann", kind=Kind.PROFILE),
        raw_event([256], kind=Kind.MEMBER),
        raw_event(["y" * 129, 1], kind=Kind.APP),
        raw_event(["y"], kind=Kind.APP),
        raw_event([[PEER, 2**53 + 1, bytes(8), 9]], kind=Kind.READ_MARKER),
        raw_event({1: 2}, kind=200),
        msgpack.packb([SALT, HLC, 1, "x"]),
        msgpack.packb({}),
        msgpack.packb([]),
        msgpack.packb(1),
        msgpack.packb([SALT, HLC, Kind.APP, ["t", msgpack.Timestamp(1)], []]),
    ],
)
def test_odd_events_are_faults(raw: bytes) -> None:
    """A part of another type, out of its range or missing makes the event malformed."""
    assert is_fault(raw)


def test_appended_parts_are_ignored() -> None:
    """What a later version adds behind `after` is skipped."""
    event = decode_event(msgpack.packb([SALT, HLC, Kind.TEXT, "x", [], {}, "new"]))
    assert isinstance(event, Event)
    assert event.body == "x"


def test_events_have_a_size_limit() -> None:
    """The longest text fits an event; what is longer than an event is not looked at."""
    longest = encode_event(SALT, HLC, Kind.TEXT, "x" * TEXT_BYTES_MAX)
    assert isinstance(decode_event(longest), Event)
    assert is_fault(encode_event(SALT, HLC, Kind.TEXT, "x" * (TEXT_BYTES_MAX + 1)))
    assert is_fault(bytes(EVENT_BYTES_MAX + 1), "limit")


def test_body_text_is_what_a_person_reads() -> None:
    """Texts and replies have one; a member event and an odd body have none."""
    texts = {kind: body_text(Event(salt=SALT, hlc=1, kind=kind, body=BODIES[kind][1])) for kind in BODIES}
    assert {kind: text for kind, text in texts.items() if text is not None} == {Kind.TEXT: "hello", Kind.REPLY: "yes"}
    assert body_text(Event(salt=SALT, hlc=1, kind=Kind.TEXT, body=None)) is None
    assert body_text(Event(salt=SALT, hlc=1, kind=Kind.REPLY, body="x")) is None


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("hlc", [1, HLC])
def test_the_kind_is_peeked_at(kind: int, hlc: int) -> None:
    """event_kind says what decoding says, for short and long clocks."""
    assert event_kind(encode_event(SALT, hlc, kind, BODIES[kind][0])) == kind
    assert event_kind(msgpack.packb([bytes(32)])) == 0


def test_texts_and_what_is_newer_are_readable() -> None:
    """Bookkeeping and deleted events are no reading matter; kinds that we do not know are."""
    readable = {kind for kind in BODIES if is_readable(encode_event(SALT, HLC, kind, BODIES[kind][0]))}
    assert readable == {Kind.TEXT, Kind.REPLY, Kind.APP, 200}
    assert not is_readable(msgpack.packb([bytes(32)]))


def test_a_failed_encoding_leaves_nothing_behind() -> None:
    """After a body that can't be packed the next event is whole: the packer is shared."""
    before = encode_event(SALT, HLC, Kind.TEXT, "x")
    for body in (object(), ["a", object()], "\ud800", 2**64):
        with pytest.raises((TypeError, ValueError, OverflowError)):
            encode_event(SALT, HLC, Kind.TEXT, body)
        assert encode_event(SALT, HLC, Kind.TEXT, "x") == before


@pytest.mark.parametrize(
    "value", [None, 1, 2**64 - 1, 1.5, math.nan, "x", b"x", [1, [2]], {"a": {"b": []}}, (1, 2), {"a": (1,)}]
)
def test_app_values_that_can_be_carried(value: Any) -> None:
    """A value that MessagePack knows becomes a body that decodes."""
    body = check_app_value("application/json", value)
    event = decode_event(encode_event(SALT, HLC, Kind.APP, body))
    assert isinstance(event, Event)


def test_app_values_that_can_not_be_carried() -> None:
    """Objects, endless and deep values, odd keys, surrogates and long types raise ValueError, nothing else."""
    endless: list[Any] = []
    endless.append(endless)
    deep: Any = 0
    for _ in range(1_000):
        deep = {"a": deep}
    odd: list[Any] = [
        object(),
        {1: 2},
        {b"a": 1},
        {1},
        2**64,
        "\ud800",
        endless,
        deep,
        [0] * 40_000,
        msgpack.Timestamp(1),
    ]
    for value in odd:
        with pytest.raises(ValueError, match="app message"):
            check_app_value("t", value)
    for content_type in ("t" * 129, "\ud800"):
        with pytest.raises(ValueError, match="app message"):
            check_app_value(content_type, 1)


def test_a_read_marker_lists_ends_of_logs() -> None:
    """The body that the application's position becomes is the one that decodes."""
    body = read_marker_body([(LogKey(PEER, 3), 9)])
    event = decode_event(encode_event(SALT, HLC, Kind.READ_MARKER, body))
    assert isinstance(event, Event)
    assert event.body == (ReadEnd(PEER, 3, bytes(8), 9),)
