"""What is held of one log: disjoint ranges of numbers, each the record of an unbroken chain of batches.

A range remembers both ends of its chain and none of the batches between:

    start, previous, opening, opened_at    its first batch: number, predecessor's digest, digest, sealed_at
    end, head, sealed_at                   its last batch: number after it, digest, sealed_at
    extents                                under which stored branch its rows lie

Two ranges are one when the upper's `previous` is the lower's `head`. Rows are never moved: a range that
changes its branch, or that grows together from parts stored under different branches, keeps a list of
extents, nearly always one.

Pruning drops extents from the front and raises the floor; `start` and `previous` stay, so that a fork is
named alike by those who pruned and those who did not.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from zmqchat.model.ids import BRANCH_BYTES, PeerId
from zmqchat.model.limits import RANGES_MAX

Span = tuple[int, int]
"""Numbers [first, end)."""

_PACK_VERSION: Final = 1
_PACK_VERSION_GIVEN: Final = 2
_LOG = struct.Struct(">BQQB")
_RANGE = struct.Struct(">QQ32s32s32sQQB")
_EXTENT = struct.Struct(">QQ8s")
_SPAN = struct.Struct(">QQ")


class Link(Protocol):
    """What placing needs to know of a batch; `zmqchat.history.batch.Batch` is one."""

    author: PeerId
    log: int
    first: int
    end: int
    previous: bytes
    digest: bytes
    sealed_at: int


class Extent(NamedTuple):
    """Numbers [first, end) whose rows are stored under this branch."""

    first: int
    end: int
    branch: bytes


class Range(NamedTuple):
    """An unbroken chain of batches over [start, end), of which [first, end) is held."""

    start: int
    end: int
    opening: bytes
    head: bytes
    previous: bytes
    opened_at: int
    sealed_at: int
    extents: tuple[Extent, ...]

    @property
    def first(self) -> int:
        """The first number held; `end` where all is pruned."""
        return self.extents[0].first if self.extents else self.end

    @property
    def name(self) -> bytes:
        """How its branch is called where it is one: the first bytes of its first batch's digest."""
        return self.opening[:BRANCH_BYTES]

    def stored(self, first: int, end: int) -> list[Extent]:
        """Where the rows of the held part of [first, end) lie, in order."""
        return [
            Extent(max(first, extent.first), min(end, extent.end), extent.branch)
            for extent in self.extents
            if extent.first < end and first < extent.end
        ]


def range_of(batch: Link, branch: bytes) -> Range:
    """The range that one batch is, stored under this branch."""
    extents = (Extent(batch.first, batch.end, branch),)
    digest, sealed_at = batch.digest, batch.sealed_at
    return Range(batch.first, batch.end, digest, digest, batch.previous, sealed_at, sealed_at, extents)


def links(lower: Range, upper: Range) -> bool:
    """Whether the upper chain goes on from the lower: digests and numbers match and sealed_at rises."""
    return lower.end == upper.start and lower.head == upper.previous and lower.sealed_at < upper.opened_at


def joined(lower: Range, upper: Range) -> Range:
    """The two as one; `links(lower, upper)` holds."""
    below, above = lower.extents, upper.extents
    if below and above and below[-1].branch == above[0].branch and below[-1].end == above[0].first:
        extents = (*below[:-1], Extent(below[-1].first, above[0].end, above[0].branch), *above[1:])
    else:
        extents = below + above
    return lower._replace(end=upper.end, head=upper.head, sealed_at=upper.sealed_at, extents=extents)


def extended(lower: Range, batch: Link) -> Range | None:
    """The range with a batch that goes on from it, stored beside its last row; None where it does not.

    The same as `links` and `joined`, for the path that every live batch takes.
    """
    start, end, opening, head, previous, opened_at, sealed_at, extents = lower
    if batch.first != end or batch.previous != head or batch.sealed_at <= sealed_at or not extents:
        return None
    last = extents[-1]
    grown = Extent(last.first, batch.end, last.branch)
    extents = (grown,) if len(extents) == 1 else (*extents[:-1], grown)
    return Range(start, batch.end, opening, batch.digest, previous, opened_at, batch.sealed_at, extents)


def split(whole: Range, last: Link, following: Link) -> tuple[Range, Range]:
    """The range cut between two neighbouring batches of it."""
    at = following.first
    lower = whole._replace(
        end=at, head=last.digest, sealed_at=last.sealed_at, extents=tuple(whole.stored(whole.start, at))
    )
    upper = whole._replace(
        start=at,
        opening=following.digest,
        previous=following.previous,
        opened_at=following.sealed_at,
        extents=tuple(whole.stored(at, whole.end)),
    )
    return lower, upper


class LogFrontier(NamedTuple):
    """What is held of one log, or of one branch of a forked one.

    floor      nothing is wanted below it: it was pruned on purpose
    ranges     in rising order, disjoint; several only in the main branch
    delivered  the next number to get an arrival number: all held below it have theirs. What is placed
               below it fills a gap that was told of, and is delivered at once as backfill
    given      what has its arrival numbers though it lies above `delivered`, in rising order: parts of a forked
               log that were delivered by themselves, and then joined something lower that still waits
    """

    floor: int = 0
    ranges: tuple[Range, ...] = ()
    delivered: int = 0
    given: tuple[Span, ...] = ()

    @property
    def end(self) -> int:
        """The number after the last held one; the floor where nothing is held."""
        return self.ranges[-1].end if self.ranges else self.floor

    @property
    def contiguous_end(self) -> int:
        """The end of what is held from the floor on without a gap."""
        return self.contiguous_from(self.floor)

    @property
    def deliverable_end(self) -> int:
        """How far `delivered` may move without passing a gap."""
        return self.contiguous_from(self.delivered)

    def contiguous_from(self, number: int) -> int:
        """The end of the range that holds this number; the number itself where none does."""
        for held in self.ranges:
            if held.first <= number < held.end:
                return held.end
        return number

    def next_held(self, number: int) -> int | None:
        """The first number held at or above this one: where a reader goes on after a gap."""
        for held in self.ranges:
            if number < held.end and held.extents:
                return max(number, held.first)
        return None

    def stored(self, first: int, end: int) -> list[Extent]:
        """Where the rows of the held part of [first, end) lie, in rising order."""
        return [extent for held in self.ranges for extent in held.stored(first, end)]

    def with_delivered(self, number: int) -> LogFrontier:
        """The same with `delivered` moved to this number, and past what was given already."""
        position = self.after_given(number)
        return self._replace(delivered=position, given=tuple(span for span in self.given if span[0] > position))

    def after_given(self, number: int) -> int:
        """This number, or the first after it that was not given already."""
        for first, end in self.given:
            if first <= number < end:
                number = end
        return number

    def waiting(self, first: int, end: int) -> list[Span]:
        """What of [first, end) was not delivered yet, held or not, in rising order."""
        return without([(first, end)], [(0, self.delivered), *self.given])

    def with_floor(self, floor: int) -> LogFrontier:
        """The same with all below `floor` pruned, which must be where a batch begins or ends."""
        ranges = tuple(held._replace(extents=tuple(held.stored(floor, held.end))) for held in self.ranges)
        pruned = self._replace(floor=max(floor, self.floor), ranges=ranges)
        return pruned.with_delivered(max(floor, self.delivered))

    def missing(self, theirs: Iterable[Span], their_floor: int = 0) -> list[Span]:
        """What of their ranges is not held here and not below either floor, in rising order."""
        floor = max(self.floor, their_floor)
        return without([(max(first, floor), end) for first, end in theirs], self.held())

    def held(self) -> list[Span]:
        """The ranges held, as [first, end)."""
        return [(held.first, held.end) for held in self.ranges if held.extents]

    def pack(self) -> bytes:
        """The row that the store keeps."""
        version = _PACK_VERSION_GIVEN if self.given else _PACK_VERSION
        parts = [_LOG.pack(version, self.floor, self.delivered, len(self.ranges))]
        for held in self.ranges:
            parts.append(_RANGE.pack(*held[:7], len(held.extents)))
            parts.extend(_EXTENT.pack(*extent) for extent in held.extents)
        if self.given:
            parts.append(bytes((len(self.given),)))
            parts.extend(_SPAN.pack(*span) for span in self.given)
        return b"".join(parts)

    @staticmethod
    def unpack(row: bytes) -> LogFrontier | None:
        """The frontier that `pack` packed; None where the row is damaged."""
        try:
            version, floor, delivered, count = _LOG.unpack_from(row)
            offset = _LOG.size
            ranges = []
            for _ in range(count):
                (*chain, extent_count) = _RANGE.unpack_from(row, offset)
                offset += _RANGE.size
                extents_end = offset + extent_count * _EXTENT.size
                extents = tuple(Extent(*fields) for fields in _EXTENT.iter_unpack(row[offset:extents_end]))
                if len(extents) != extent_count:
                    return None
                ranges.append(Range._make((*chain, extents)))
                offset = extents_end
            given = tuple(_SPAN.iter_unpack(row[offset + 1 :]))
        except struct.error:
            return None
        whole = row[offset:] == b"" if version == _PACK_VERSION else row[offset : offset + 1] == bytes((len(given),))
        if version not in (_PACK_VERSION, _PACK_VERSION_GIVEN) or not whole or count > RANGES_MAX:
            return None
        return LogFrontier(floor, tuple(ranges), delivered, given)


def without(wanted: Sequence[Span], held: Sequence[Span]) -> list[Span]:
    """The numbers of `wanted` that are not in `held`, as disjoint rising spans; either in any order."""
    rest: list[Span] = []
    blocks = sorted(span for span in held if span[0] < span[1])
    for first, end in sorted(wanted):
        first = max(first, rest[-1][1]) if rest else first
        for block_first, block_end in blocks:
            if block_end <= first:
                continue
            if block_first >= end:
                break
            if first < block_first:
                rest.append((first, block_first))
            first = max(first, block_end)
        if first < end:
            rest.append((first, end))
    return rest
