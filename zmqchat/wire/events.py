"""Events as bytes: the packed [ salt, hlc, kind, body, after ], or [ digest ] once the body is deleted.

Bodies by kind: text a str; reply [target, str]; app [content type, value]; member [action]; profile
[name]; read marker [[author, log, branch, end], …]. Bodies of unknown kinds stay opaque: they are
stored and relayed, and shown as written by a newer version.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgpack

from zmqchat.model.events import READABLE_KINDS, Event, Head, Kind
from zmqchat.model.faults import Fault
from zmqchat.model.ids import BRANCH_BYTES, DIGEST_BYTES, PEER_ID_BYTES, LogKey, MessageId, PeerId
from zmqchat.model.limits import (
    AFTER_HEADS_MAX,
    CONTENT_TYPE_BYTES_MAX,
    EVENT_BYTES_MAX,
    NAME_BYTES_MAX,
    PACK_VALUES_MAX,
    SUMMARY_ENTRIES_MAX,
    TEXT_BYTES_MAX,
)
from zmqchat.wire.fields import U64_MAX, Field, fixed, integer, many, record, string
from zmqchat.wire.packing import MAP_MAX, Malformed, pack, unpack

SALT_BYTES: Final = 16

_packer = msgpack.Packer(use_bin_type=True, strict_types=False)
_pack = _packer.pack


class Deleted(NamedTuple):
    """An event whose body is gone: its digest alone."""

    digest: bytes


class ReadEnd(NamedTuple):
    """A read marker's entry: the author of the marker has read this log below `end`."""

    author: PeerId
    log: int
    branch: bytes
    end: int


_salt = fixed(SALT_BYTES)
_hlc = integer(U64_MAX)
_kind = integer(255)
_after = many(record(Head, fixed(PEER_ID_BYTES), integer(), integer()), AFTER_HEADS_MAX)
_text = string(TEXT_BYTES_MAX)
_message_id = record(MessageId, fixed(PEER_ID_BYTES), integer(), integer(), fixed(8))


def _any(value: Any) -> Any:
    return value


_BODIES: Final[dict[int, Field]] = {
    Kind.TEXT: _text,
    Kind.REPLY: record(lambda *parts: parts, _message_id, _text),
    Kind.PROFILE: record(lambda *parts: parts, string(NAME_BYTES_MAX)),
    Kind.MEMBER: record(lambda *parts: parts, integer(255)),
    Kind.READ_MARKER: many(
        record(ReadEnd, fixed(PEER_ID_BYTES), integer(), fixed(BRANCH_BYTES), integer()), SUMMARY_ENTRIES_MAX
    ),
    Kind.APP: record(lambda *parts: parts, string(CONTENT_TYPE_BYTES_MAX), _any),
}


def encode_event(salt: bytes, hlc: int, kind: int, body: object, after: Sequence[object] = ()) -> bytes:
    """The bytes of an event whose body was checked before. The hot path of posting."""
    packed: bytes = _pack((salt, hlc, kind, body, after))
    return packed


def decode_event(raw: bytes) -> Event | Deleted | Fault:
    """The event that these bytes are; never raises."""
    if len(raw) > EVENT_BYTES_MAX:
        return Fault(reason="limit", detail=f"event of {len(raw)} bytes")
    try:
        value = unpack(raw, array_max=PACK_VALUES_MAX, map_max=MAP_MAX)
        if type(value) is not list or not value:
            raise Malformed("event")
        if len(value) == 1:
            return Deleted(fixed(DIGEST_BYTES)(value[0]))
        if len(value) < 5:
            raise Malformed("event fields")
        kind = _kind(value[2])
        check_body = _BODIES.get(kind, _any)
        return Event(
            salt=_salt(value[0]), hlc=_hlc(value[1]), kind=kind, body=check_body(value[3]), after=_after(value[4])
        )
    except Malformed as error:
        return Fault(reason="malformed", detail=f"event: {error}")


def body_text(event: Event) -> str | None:
    """What a person reads of an event; None for what is no text."""
    if event.kind == Kind.TEXT and isinstance(event.body, str):
        return event.body
    if event.kind == Kind.REPLY and isinstance(event.body, tuple):
        text: str = event.body[1]
        return text
    return None


_PREFIX: Final = b"\x95\xc4\x10"
_KIND_AT: Final = 28
_HLC_MARK: Final = 0xCF
_READABLE_BYTES: Final = frozenset(int(kind) for kind in READABLE_KINDS)


def event_kind(raw: bytes) -> int:
    """The kind of a packed event without decoding it where it has our own encoder's form; 0 for a deleted one."""
    if raw[:3] == _PREFIX and len(raw) > _KIND_AT and raw[19] == _HLC_MARK and raw[_KIND_AT] < 128:
        return raw[_KIND_AT]
    event = decode_event(raw)
    return event.kind if isinstance(event, Event) else 0


def is_readable(raw: bytes) -> bool:
    """Whether `messages` and `history` give this event: text, reply, file, app and what is newer than us."""
    kind = event_kind(raw)
    return kind in _READABLE_BYTES or kind > max(Kind)


def check_app_value(content_type: str, value: object) -> list[object]:
    """The body of an app event; raises ValueError where it can't be carried as MessagePack."""
    try:
        string(CONTENT_TYPE_BYTES_MAX)(content_type)
        body: list[object] = [content_type, value]
        # One level more, as the event around it counts for whoever decodes it.
        unpack(pack([body]), array_max=PACK_VALUES_MAX, map_max=MAP_MAX)
    except Malformed as error:
        raise ValueError(f"not a value that an app message can carry: {error}") from None
    except (TypeError, OverflowError, ValueError) as error:
        raise ValueError(f"not a value that an app message can carry: {error}") from None
    return body


def read_marker_body(ends: Iterable[tuple[LogKey, int]]) -> list[list[object]]:
    """The body of a read marker event from the ends of logs."""
    return [[key.author, key.log, key.branch, end] for key, end in ends]
