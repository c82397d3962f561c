"""The texts in batches, as a reader sees them; each batch is unpacked once for all nodes that read it."""

from __future__ import annotations

from typing import Final, NamedTuple

from zmqchat.crypto.twin import TwinCrypto
from zmqchat.history.batch import Batch, open_stored
from zmqchat.history.order import in_timeline_order
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


class Texts:
    """Reads stored batches."""

    def __init__(self) -> None:
        self._crypto = TwinCrypto(PeerId(bytes(32)))
        self._of: dict[bytes, tuple[Said, ...]] = {}

    def of(self, raw: bytes) -> tuple[Said, ...]:
        """The texts in a batch, in order; its other events are left out."""
        known = self._of.get(raw)
        if known is None:
            if len(self._of) >= BATCHES_KEPT_MAX:
                self._of.clear()
            known = self._of[raw] = tuple(self._read(self._opened(raw)))
        return known

    def in_order(self, raws: list[bytes]) -> list[Said]:
        """The texts of a room's batches in timeline order."""
        with_texts = (self._opened(raw) for raw in raws if self.of(raw))
        return [said for batch in in_timeline_order(with_texts) for said in self.of(batch.raw)]

    def _opened(self, raw: bytes) -> Batch:
        batch = open_stored(raw, self._crypto)
        assert isinstance(batch, Batch), batch
        return batch

    def _read(self, batch: Batch) -> list[Said]:
        found = []
        for index, raw in enumerate(batch.events):
            event = decode_event(raw)
            text = body_text(event) if isinstance(event, Event) else None
            if text is not None:
                number = batch.first + index
                message = MessageId(batch.author, batch.log, number, batch.event_digest8(index))
                found.append(Said(number, message, text))
        return found
