"""What was relayed lately: the names of batches, how each came here, and the bytes of the newest, to send again.

How it works. A name is remembered for TREE_SEEN_S, so that a batch is relayed once. The bytes are kept for
TREE_CACHE_S, within TREE_CACHE_BYTES_MAX of all rooms, whether this node is in the room or not: its store has only its
own rooms, and reading it would make whoever asks wait for the disk. Both tables are in the order of time.
"""

from __future__ import annotations

from dataclasses import dataclass

from zmqchat.model.ids import PeerId, RoomId
from zmqchat.model.limits import TREE_CACHE_BYTES_MAX, TREE_CACHE_S, TREE_HOPS_MAX, TREE_SEEN_MAX, TREE_SEEN_S
from zmqchat.protocol.machine import Size
from zmqchat.wire.tree_frames import relay_frame


@dataclass(slots=True)
class Seen:
    """A batch that was relayed.

    peer  the link that it first came by, None for our own
    hops  the links that it had passed then
    """

    room: RoomId
    author: PeerId
    log: int
    peer: PeerId | None
    hops: int
    at_s: float


class Relayed:
    """The memory of a relay."""

    def __init__(self) -> None:
        self._seen: dict[bytes, Seen] = {}
        self._raws: dict[bytes, bytes] = {}
        self.cache_bytes = 0

    def sizes(self) -> tuple[Size, ...]:
        """The names and the bytes."""
        return (
            Size("relayed batches", len(self._seen), TREE_SEEN_MAX),
            Size("relayed bytes", self.cache_bytes, TREE_CACHE_BYTES_MAX),
        )

    def get(self, name: bytes) -> Seen | None:
        """How a batch came here, None where it did not."""
        return self._seen.get(name)

    def again(self, name: bytes, room: RoomId) -> bytes | None:
        """The RELAY of this room's batch for who asks for it; None where it is not kept (any more), or ends here."""
        seen, raw = self._seen.get(name), self._raws.get(name)
        if seen is None or raw is None or seen.room != room or seen.hops >= TREE_HOPS_MAX:
            return None
        return relay_frame(seen.hops + 1, raw)

    def add(self, name: bytes, seen: Seen, raw: bytes) -> None:
        """Remember a batch that is not known yet."""
        self._seen[name] = seen
        self._raws[name] = raw
        self.cache_bytes += len(raw)
        self._forget(seen.at_s)

    def _forget(self, now_s: float) -> None:
        while self._raws:
            name = next(iter(self._raws))
            if self.cache_bytes <= TREE_CACHE_BYTES_MAX and now_s - self._seen[name].at_s < TREE_CACHE_S:
                break
            self.cache_bytes -= len(self._raws.pop(name))
        while self._seen:
            name = next(iter(self._seen))
            if len(self._seen) <= TREE_SEEN_MAX and now_s - self._seen[name].at_s < TREE_SEEN_S:
                break
            del self._seen[name]
            left = self._raws.pop(name, None)
            self.cache_bytes -= len(left) if left else 0
