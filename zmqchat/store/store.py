"""What the runner needs of a store, and the values that it gives.

Writes are queued for one writer thread and committed in groups; outcomes are told to `notify` once a group.
Reads are plain functions that run on the store's read threads: `store.read(lambda: store.load_...)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple, Protocol, TypeVar

from zmqchat.model.ids import LogKey, MessageId, RoomId
from zmqchat.protocol.effects import PutArrival, Write

Result = TypeVar("Result")


class StoreOutcome(NamedTuple):
    """What became of one submitted Store: durable, or why nothing of it was kept."""

    ok: bool
    full: bool = False
    detail: str = ""


Notify = Callable[[Sequence[tuple[int, StoreOutcome]]], None]
"""Called on the writer thread with (token, outcome) of a whole group."""

SMALL_TABLES = ("rooms", "members", "peers", "keys", "meta", "kept")


class StoreInfo(NamedTuple):
    """What the store knew when it was opened.

    store_id    16 random bytes, drawn when the store was made
    generation  rises with each opening, by a random step
    fresh       just made
    clean       closed properly the last time
    same_boot   last used since this machine started
    moved       another machine id or another file: a copied or restored home
    warnings    one-line things to tell the user, such as a home that lies in memory

    clean, same_boot and moved speak of the last time that the store was used in good order: where the own
    log must be settled first (`about.py`), they stay as they are until it is.
    """

    store_id: bytes
    generation: int
    fresh: bool
    clean: bool
    same_boot: bool
    moved: bool
    warnings: tuple[str, ...] = ()


class StoreStats(NamedTuple):
    """For `doctor`.

    file_bytes       size of the file
    map_bytes        size of the map, which grows by doubling
    used_bytes       of the file, what holds rows; the rest is used again before it grows
    disk_free_bytes  room left on the disk
    queued_bytes     what waits for the writer
    groups           transactions committed since the opening
    batches          batches that are stored
    """

    file_bytes: int
    map_bytes: int
    used_bytes: int
    disk_free_bytes: int
    queued_bytes: int
    groups: int
    batches: int


class ArrivalRow(NamedTuple):
    """An arrival and the batch that it points to, None for a gap."""

    arrival: PutArrival
    raw: bytes | None


class TimelineKey(NamedTuple):
    """Where a batch stands in a room's timeline; sorts as the timeline does."""

    sealed_at: int
    author8: bytes
    log: int
    first: int
    branch: bytes


class TimelineRow(NamedTuple):
    """A batch at its place in the timeline."""

    at: TimelineKey
    key: LogKey
    raw: bytes


class MessageStore(Protocol):
    """One node's store."""

    @property
    def info(self) -> StoreInfo:
        """What was found at opening."""
        ...

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for the writer."""
        ...

    def submit(self, token: int, writes: Sequence[Write]) -> None:
        """Queue these writes; they are kept together or not at all, after all earlier ones."""
        ...

    def read(self, function: Callable[[], Result]) -> Future[Result]:
        """Run a function that uses the load methods on a read thread."""
        ...

    def load_range(
        self, room: RoomId, key: LogKey, first: int, end: int, bytes_max: int, *, newest_first: bool = False
    ) -> tuple[bytes, ...]:
        """Whole batches that hold numbers of [first, end), at least one where there is any, rising."""
        ...

    def load_arrivals(self, room: RoomId, number: int, rows_max: int, bytes_max: int) -> list[ArrivalRow]:
        """Rows from the one that holds this arrival number on, at least one where there is any."""
        ...

    def next_arrival(self, room: RoomId) -> int:
        """The number that the room's next arrival gets: 1 in an empty room."""
        ...

    def load_timeline(
        self, room: RoomId, before: TimelineKey | None, rows_max: int, bytes_max: int
    ) -> list[TimelineRow]:
        """The last rows before a place (None: the end) in timeline order."""
        ...

    def find_batch(self, room: RoomId, message: MessageId) -> list[bytes]:
        """The stored batches that hold this number of this log, one a branch."""
        ...

    def frontiers(self) -> list[tuple[RoomId, LogKey, bytes]]:
        """All packed frontiers."""
        ...

    def rows(self, table: str) -> list[tuple[bytes, bytes]]:
        """All rows of a small table in key order."""
        ...

    def get(self, table: str, key: bytes) -> bytes | None:
        """One row of a small table."""
        ...

    def stats(self) -> StoreStats:
        """Sizes."""
        ...

    def close(self) -> None:
        """Write what is queued, mark the store clean and let go of it; bounded by a few seconds."""
        ...
