"""The texts in batches, as a reader sees them; each batch is unpacked once for all that read it, and for its order."""

from __future__ import annotations

from typing import Final, NamedTuple

from zmqchat.crypto.twin import TwinCrypto
from zmqchat.history.batch import Batch, open_stored
from zmqchat.history.order import TimelineKey, timeline_key
from zmqchat.model.events import Event
from zmqchat.model.ids import MessageId, PeerId
from zmqchat.wire.events import body_text, decode_event

BATCHES_KEPT_MAX: Final = 65_536
"""More than there are in a room of ten thousand members, all of which each watched node reads."""


class Said(NamedTuple):
    """One text: its number in its log, its id, and what it says."""

    number: int
    message: MessageId
    text: str


class _Read(NamedTuple):
    """What is kept of a batch: where it stands in its room's timeline, and its texts."""

    place: TimelineKey
    texts: tuple[Said, ...]


class Texts:
    """Reads stored batches."""

    def __init__(self) -> None:
        self._crypto = TwinCrypto(PeerId(bytes(32)))
        self._of: dict[bytes, _Read] = {}

    def of(self, raw: bytes) -> tuple[Said, ...]:
        """The texts in a batch, in order; its other events are left out."""
        return self._read(raw).texts

    def in_order(self, raws: list[bytes]) -> list[Said]:
        """The texts of a room's batches in timeline order."""
        return [said for read in sorted(map(self._read, raws)) for said in read.texts]

    def _read(self, raw: bytes) -> _Read:
        known = self._of.get(raw)
        if known is None:
            batch = open_stored(raw, self._crypto)
            assert isinstance(batch, Batch), batch
            if len(self._of) >= BATCHES_KEPT_MAX:
                self._of.clear()
            known = self._of[raw] = _Read(timeline_key(batch), tuple(self._said(batch)))
        return known

    def _said(self, batch: Batch) -> list[Said]:
        found = []
        for index, raw in enumerate(batch.events):
            event = decode_event(raw)
            text = body_text(event) if isinstance(event, Event) else None
            if text is not None:
                number = batch.first + index
                message = MessageId(batch.author, batch.log, number, batch.event_digest8(index))
                found.append(Said(number, message, text))
        return found
