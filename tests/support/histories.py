"""Batches without bytes, forests of them, and a holder that places and stores them as a node does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from zmqchat.history.frontier import Load, Outcome, Placement, RoomFrontier
from zmqchat.history.ranges import Link
from zmqchat.model.ids import LogKey, PeerId

AUTHOR = PeerId(bytes(31) + b"\x01")
NO_DIGEST = bytes(32)


@dataclass(unsafe_hash=True)
class FakeBatch:
    """What placing looks at, with a digest that stands for the contents."""

    log: int
    first: int
    end: int
    previous: bytes
    digest: bytes
    sealed_at: int
    author: PeerId = AUTHOR


def fake_batch(
    name: str, first: int, end: int, parent: FakeBatch | None = None, *, sealed_at: int | None = None, log: int = 1
) -> FakeBatch:
    """A batch whose digest follows from its name; sealed 10 after its parent unless told otherwise."""
    digest = hashlib.blake2b(name.encode(), digest_size=32).digest()
    previous = parent.digest if parent is not None else (NO_DIGEST if first == 0 else b"\x01" * 32)
    at = sealed_at if sealed_at is not None else (parent.sealed_at if parent is not None else 0) + 10
    return FakeBatch(log, first, end, previous, digest, at)


def chain(count: int, size: int = 10, name: str = "a", parent: FakeBatch | None = None) -> list[FakeBatch]:
    """An unbroken run of batches of one size."""
    batches: list[FakeBatch] = []
    for index in range(count):
        last = batches[-1] if batches else parent
        first = last.end if last is not None else 0
        batches.append(fake_batch(f"{name}{index}", first, first + size, last))
    return batches


@st.composite
def forests(draw: st.DrawFn, size_max: int = 9) -> list[FakeBatch]:
    """Batches of one log with forks, several first batches, and now and then one that is sealed too early."""
    batches: list[FakeBatch] = []
    for index in range(draw(st.integers(1, size_max))):
        # Mostly the newest grows, so that chains get long enough to be forked inside.
        newest = index - 1
        parent_at = draw(st.one_of(st.just(newest), st.just(newest), st.integers(-1, newest)))
        parent = batches[parent_at] if parent_at >= 0 else None
        first = parent.end if parent is not None else 0
        late = draw(st.integers(0, 15)) > 0
        sealed_at = (parent.sealed_at if parent is not None else 100) + (10 if late else -1)
        batches.append(fake_batch(f"n{index}", first, first + draw(st.integers(1, 3)), parent, sealed_at=sealed_at))
    return batches


@dataclass
class Holder:
    """A node's history of one room: a frontier and the rows that its placements asked for."""

    frontier: RoomFrontier = field(default_factory=RoomFrontier)
    rows: dict[tuple[LogKey, int], FakeBatch] = field(default_factory=dict)
    loads: int = 0

    def load(self, key: LogKey, first: int, end: int) -> list[FakeBatch]:
        """The stored batches that hold numbers of [first, end)."""
        found = [b for (k, _), b in self.rows.items() if k == key and b.first < end and first < b.end]
        return sorted(found, key=lambda batch: batch.first)

    def offer(self, batch: FakeBatch) -> Placement:
        """Place one batch with all the loads it takes, and store it."""
        loaded: dict[Load, Sequence[Link]] = {}
        placement = self.frontier.place(batch, loaded)
        while placement.outcome is Outcome.COVERED:
            self.loads += len(placement.loads)
            before = len(loaded)
            loaded.update({load: self.load(*load) for load in placement.loads})
            assert len(loaded) > before, "the same loads were asked for twice"
            placement = self.frontier.place(batch, loaded)
        if placement.outcome is Outcome.PLACED:
            assert (placement.stored, batch.end) not in self.rows
            assert not self.load(placement.stored, batch.first, batch.end)
            self.rows[placement.stored, batch.end] = batch
            self.frontier.apply(placement)
        return placement

    def offer_all(self, batches: Iterable[FakeBatch]) -> list[FakeBatch]:
        """Place all, trying again what was full as long as something finds a place; what is left over."""
        waiting = list(batches)
        while True:
            left = [batch for batch in waiting if self.offer(batch).outcome is Outcome.FULL]
            if not left or len(left) == len(waiting):
                return left
            waiting = left

    def shape(self) -> dict[LogKey, list[tuple[int, int, bytes]]]:
        """What the frontier says: per branch (start, end, head) of its ranges."""
        return {
            key: [(held.start, held.end, held.head) for held in entry.ranges] for key, entry in self.frontier.items()
        }

    def stored_chain(self, key: LogKey) -> list[FakeBatch]:
        """The batches of a branch, read through its extents as the store would."""
        entry = self.frontier[key]
        return [
            batch
            for extent in entry.stored(0, entry.end)
            for batch in self.load(key._replace(branch=extent.branch), extent.first, extent.end)
        ]


def named_by_model(batches: Sequence[FakeBatch]) -> dict[LogKey, list[tuple[int, int, bytes]]]:
    """What the rules of forks.py say of a whole set, computed from the set alone, batch by batch."""
    parents: dict[FakeBatch, FakeBatch | None] = {
        batch: next(
            (
                p
                for p in batches
                if p.digest == batch.previous and p.end == batch.first and p.sealed_at < batch.sealed_at
            ),
            None,
        )
        for batch in batches
    }
    children = {batch: [c for c in batches if parents[c] == batch] for batch in batches}
    paths: list[list[FakeBatch]] = []
    for batch in batches:
        parent = parents[batch]
        if parent is None or len(children[parent]) > 1:
            path = [batch]
            while len(children[path[-1]]) == 1:
                path += children[path[-1]]
            paths.append(path)
    numbers = {id(path): set(range(path[0].first, path[-1].end)) for path in paths}
    shape: dict[LogKey, list[tuple[int, int, bytes]]] = {}
    for path in sorted(paths, key=lambda path: path[0].first):
        others = [other for other in paths if other is not path]
        if parents[path[0]] is not None:
            apart = True
        elif path[0].first == 0:
            apart = any(other[0].first == 0 for other in others)
        else:
            apart = any(
                numbers[id(path)] & numbers[id(other)]
                or other[-1].end == path[0].first
                or (path[-1].end == other[0].first and parents[other[0]] != path[-1])
                for other in others
            )
        key = LogKey(AUTHOR, path[0].log, path[0].digest[:8]) if apart else LogKey(AUTHOR, path[0].log)
        shape.setdefault(key, []).append((path[0].first, path[-1].end, path[-1].digest))
    return shape
