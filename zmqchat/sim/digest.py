"""The digest of a run: everything that goes into a node, in order, with the moment and the node.

Equal digests mean equal runs: a node's machines get nothing but these facts, and what they do shows in later facts
of others. Times are hashed as the eight bytes of the double, so nothing depends on how floats are printed; no set is
iterated and no hash of Python's is used.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import Any, Final

from zmqchat.model.addresses import Endpoint
from zmqchat.protocol.facts import (
    DialFailed,
    DirectClosed,
    DoorAnswered,
    DoorKnocked,
    Fact,
    FeedClosed,
    FeedReceived,
    FrameReceived,
    JoinRoom,
    PeerSighted,
    PeerSubscribed,
    RangeLoaded,
    Stored,
    StoreFailed,
    TimerFired,
)

_WHEN: Final = struct.Struct(">dI")
_PARTS_MAX: Final = 512
"""Parts that are hashed in one go."""


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big")


def _endpoint(endpoint: Endpoint) -> bytes:
    return f"{endpoint.host} {endpoint.door}".encode()


_CONTENTS: Final[dict[type[Fact], Callable[[Any], bytes]]] = {
    DialFailed: lambda fact: _number(fact.dial) + fact.reason.encode(),
    DirectClosed: lambda fact: fact.peer + fact.reason.encode(),
    DoorAnswered: lambda fact: _number(fact.dial) + fact.payload,
    DoorKnocked: lambda fact: fact.caller.routing + fact.payload,
    FeedClosed: lambda fact: fact.peer + fact.reason.encode(),
    FeedReceived: lambda fact: fact.peer + fact.room + fact.payload,
    FrameReceived: lambda fact: fact.peer + fact.payload,
    JoinRoom: lambda fact: fact.room + fact.name.encode(),
    PeerSighted: lambda fact: _endpoint(fact.endpoint) + fact.source.encode(),
    PeerSubscribed: lambda fact: fact.peer + fact.room + bytes([fact.on]),
    RangeLoaded: lambda fact: _number(fact.token) + b"".join(fact.batches),
    Stored: lambda fact: _number(fact.token),
    StoreFailed: lambda fact: _number(fact.token) + bytes([fact.full]),
    TimerFired: lambda fact: str(fact.name[0]).encode(),
}


class Digest:
    """Collects facts; `hex` gives the digest of those so far."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._names: dict[type[Fact], bytes] = {}
        self._parts: list[bytes] = []

    def fact(self, now_s: float, node: int, fact: Fact) -> None:
        """This fact goes into this node now."""
        kind = type(fact)
        name = self._names.get(kind)
        if name is None:
            name = self._names[kind] = kind.__name__.encode()
        contents = _CONTENTS.get(kind)
        self._add(now_s, node, name, contents(fact) if contents is not None else b"")

    def note(self, now_s: float, node: int, text: str) -> None:
        """A command is given to a node, or something else that is no fact happens."""
        self._add(now_s, node, b"note", text.encode())

    def hex(self) -> str:
        """32 hexadecimal digits."""
        self._flush()
        return self._hash.hexdigest()

    def _add(self, now_s: float, node: int, name: bytes, contents: bytes) -> None:
        parts = self._parts
        parts += (_WHEN.pack(now_s, node), name, contents)
        if len(parts) >= _PARTS_MAX:
            self._flush()

    def _flush(self) -> None:
        self._hash.update(b"".join(self._parts))
        self._parts.clear()
