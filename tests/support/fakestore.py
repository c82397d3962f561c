"""What a node has on its disk, in dictionaries; it answers Store and LoadRange as the real one does."""

from __future__ import annotations

from zmqchat.model.ids import LogKey, RoomId
from zmqchat.protocol.effects import DropBatch, LoadRange, PutArrival, PutBatch, PutFrontier, PutRow, Store
from zmqchat.protocol.facts import Fact, RangeLoaded, Stored, StoreFailed


class FakeStore:
    """What a node has on its disk.

    delay_s    between Store or LoadRange and its answer
    failing    None, "full" or "broken": what becomes of each Store
    unreadable whether each LoadRange fails
    """

    def __init__(self) -> None:
        self.batches: dict[tuple[RoomId, LogKey], dict[int, PutBatch]] = {}
        self.frontiers: dict[tuple[RoomId, LogKey], bytes] = {}
        self.arrivals: dict[RoomId, list[PutArrival]] = {}
        self.tables: dict[str, dict[bytes, bytes]] = {}
        self.delay_s = 0.001
        self.failing: str | None = None
        self.unreadable = False
        self.store_id = b"store-0000000000"
        self.generation = 1
        self.commits = 0

    def write(self, store: Store) -> Fact:
        """Do what the effect asks; all of it or nothing."""
        if self.failing is not None:
            return StoreFailed(token=store.token, full=self.failing == "full", detail=self.failing)
        self.commits += 1
        for write in store.writes:
            self._write(write)
        return Stored(token=store.token)

    def _write(self, write: PutBatch | PutArrival | PutFrontier | PutRow | DropBatch) -> None:
        if isinstance(write, PutBatch):
            self.batches.setdefault((write.room, write.key), {})[write.end] = write
        elif isinstance(write, DropBatch):
            dropped = self.batches[(write.room, write.key)].pop(write.end)
            assert (dropped.first, dropped.sealed_at) == (write.first, write.sealed_at), "another batch"
        elif isinstance(write, PutArrival):
            rows = self.arrivals.setdefault(write.room, [])
            if rows:
                last = rows[-1]
                assert write.number == last.number + (last.end - last.first if last.batch_end else 1), (
                    "a number skipped"
                )
            rows.append(write)
        elif isinstance(write, PutFrontier):
            if write.value is None:
                self.frontiers.pop((write.room, write.key), None)
            else:
                self.frontiers[(write.room, write.key)] = write.value
        elif write.value is None:
            self.tables.setdefault(write.table, {}).pop(write.key, None)
        else:
            self.tables.setdefault(write.table, {})[write.key] = write.value

    def load(self, load: LoadRange) -> RangeLoaded:
        """Whole batches that hold numbers of the range, as the real store reads them."""
        if self.unreadable:
            return RangeLoaded(token=load.token, batches=(), failed=True)
        rows = self.batches.get((load.room, load.key), {})
        found = sorted(
            (row for row in rows.values() if row.first < load.end and load.first < row.end), key=lambda r: r.end
        )
        if load.newest_first:
            found.reverse()
        taken: list[PutBatch] = []
        size_bytes = 0
        for row in found:
            size_bytes += len(row.raw)
            if taken and size_bytes > load.bytes_max:
                break
            taken.append(row)
        taken.sort(key=lambda row: row.end)
        return RangeLoaded(token=load.token, batches=tuple(row.raw for row in taken))

    def next_arrivals(self) -> dict[RoomId, int]:
        """By room, the number after its last arrival."""
        ends = {}
        for room, rows in self.arrivals.items():
            last = rows[-1]
            ends[room] = last.number + (last.end - last.first if last.batch_end else 1)
        return ends
