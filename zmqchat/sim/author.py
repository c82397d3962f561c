"""Made-up members: ids that are the same each time, and authors who write logs by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from zmqchat.crypto.twin import TwinCrypto
from zmqchat.history.batch import NO_DIGEST, Batch, seal
from zmqchat.history.clock import hlc_of
from zmqchat.history.crypto import Crypto
from zmqchat.model.events import Kind
from zmqchat.model.ids import LogKey, PeerId, RoomId, mesh_id, room_id
from zmqchat.wire.events import encode_event

MESH: Final = mesh_id("test")
WALL_START_MS: Final = 1_700_000_000_000


def peer_of(name: str) -> PeerId:
    """A valid peer id that is the same each time."""
    raw = bytearray(hashlib.blake2b(name.encode(), digest_size=32).digest())
    raw[31] &= 0x7F
    return PeerId(bytes(raw))


def lobby(name: str = "lobby") -> RoomId:
    """The id of a room of the made-up mesh."""
    return room_id(MESH, name)


class Author:
    """Writes logs by hand: any number, any predecessor, any clock."""

    def __init__(self, name: str = "eve", crypto: Crypto | None = None) -> None:
        self.crypto = crypto or TwinCrypto(peer_of(name))
        self.peer = self.crypto.peer
        self.ticks = hlc_of(WALL_START_MS)

    def batch(
        self,
        texts: Sequence[str] = ("x",),
        *,
        after: Batch | None = None,
        log: int = 1,
        first: int | None = None,
        previous: bytes | None = None,
        sealed_at: int | None = None,
        room: RoomId | None = None,
        events: Sequence[bytes] | None = None,
    ) -> Batch:
        """A signed batch of texts that goes on from another, unless told otherwise."""
        self.ticks += 10
        if sealed_at is None:
            sealed_at = self.ticks
        if events is None:
            salts = [self.crypto.event_digest(f"{text} {self.ticks}".encode())[:16] for text in texts]
            at = min(sealed_at, self.ticks)
            events = [encode_event(salt, at, Kind.TEXT, text) for salt, text in zip(salts, texts, strict=True)]
        number = first if first is not None else (after.end if after is not None else 0)
        if previous is None:
            previous = after.digest if after is not None else (NO_DIGEST if number == 0 else b"\x07" * 32)
        return seal(
            room=room or lobby(),
            log=log,
            first=number,
            previous=previous,
            sealed_at=sealed_at,
            events=list(events),
            digests=self.crypto.event_digests(events),
            crypto=self.crypto,
        )

    def chain(self, count: int, **options: Any) -> list[Batch]:
        """Batches that go on from one another, a text each."""
        batches: list[Batch] = []
        for index in range(count):
            after = batches[-1] if batches else None
            batches.append(self.batch((f"{index}",), after=after, **options))
        return batches

    def key(self, log: int = 1) -> LogKey:
        """The main branch of a log of his."""
        return LogKey(self.peer, log)
