"""Where a batch belongs among the ranges of its log, and what the parts of a forked log are called.

The batches of a log form a forest: a batch goes on from the one whose digest is its `previous`, if it
begins where that one ends and is sealed later (`links`). One that names a predecessor by digest but
breaks either rule does not go on from it: it stands apart, as a fork does.

Every unbroken path of the forest as far as it is known here is one range (a segment): a path ends where
the next batch is not known, or where several go on from the same one. Which branch a segment is in
follows from the set of segments alone, so all who hold the same batches name them alike, in whatever
order they came:

    goes on from a known segment       it has siblings, else the two were one: a branch of its own
    begins at 0                        the main branch; a branch of its own if another begins at 0 too
    its predecessor is not known       one more range of the main branch; a branch of its own if it
                                       shares a number with another segment, or one of the two begins
                                       where the other ends and does not go on from it

A branch is named by the first 8 bytes of its first batch's digest. So what precedes a fork stays in the
main branch, both sides are branches, and a batch that fits nowhere is a branch of its own until its
predecessors show up and join it.

Who decides, and who loads: a range knows the digests at its two ends only. A batch that begins inside
one may be a duplicate, or a fork from a batch between, and only the stored rows tell. `insert` is pure
and never guesses: where it needs a row it returns `Load`s, each one stored batch that holds a given
number; the caller reads them and calls again with what it read, until it gets an answer (two rounds at
most while nothing else changes). What was loaded for a state that has changed meanwhile does no harm:
the loads are then asked for anew.

Rows are never moved. A new row goes under the stored branch of its neighbour, else under the first one
in which no row of this log shares a number with it (the main one, until a log is forked), so the rows
under one stored branch never overlap.

Bounds: at most BRANCHES_MAX branches and RANGES_MAX ranges of the main branch, one of them kept for the
range that begins at 0 or at the floor, as everything else grows together with that one. What would pass
them is not placed, so up to them all nodes reach one set. An author who forks his log further gets what
he asks for: nodes keep the branches that they saw first, and don't ask for the rest. (Rejected: to keep
those with the lowest digests. It makes nodes drop what they have shown.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from zmqchat.history.ranges import Link, LogFrontier, Range, Span, joined, links, range_of, split, without
from zmqchat.model.ids import BRANCH_BYTES, MAIN_BRANCH, LogKey
from zmqchat.model.limits import BRANCHES_MAX, EXTENTS_MAX, GIVEN_MAX, RANGES_MAX


class Load(NamedTuple):
    """The stored batch that holds number `first`; `end` is one more. The key says under which branch."""

    key: LogKey
    first: int
    end: int


Loaded = Mapping[Load, Sequence[Link]]
"""What was read, by what was asked for."""


class Known(Enum):
    """Why a batch needs no place."""

    DUPLICATE = "it is held"
    PRUNED = "it lies in what was pruned"


class Grown(NamedTuple):
    """The segments with the batch among them, the one that it is now part of, and where its row goes."""

    segments: list[Range]
    placed: Range
    stored_branch: bytes


def insert(segments: Sequence[Range], batch: Link, loaded: Loaded) -> Grown | Known | tuple[Load, ...]:
    """The segments of a log after this batch, or what must be loaded to tell."""
    pieces = list(segments)
    loads: list[Load] = []
    for whole in segments:
        if batch.first >= whole.end or batch.end <= whole.start:
            continue
        found = _look_inside(whole, batch, loaded)
        if isinstance(found, Known):
            return found
        if isinstance(found, Load):
            loads.append(found)
        elif found is not None:
            pieces.remove(whole)
            pieces.extend(found)
    if loads:
        return tuple(loads)
    return _link(pieces, batch)


def _look_inside(whole: Range, batch: Link, loaded: Loaded) -> Known | Load | tuple[Range, Range] | None:
    """Whether the batch is in this range, or forks it inside (the range cut there), or neither (None)."""
    if (batch.end == whole.end and batch.digest == whole.head) or (
        batch.first == whole.start and batch.digest == whole.opening
    ):
        return Known.DUPLICATE
    if batch.first <= whole.start:
        return None
    if batch.first < whole.first:
        return Known.PRUNED
    following = _loaded_at(whole, batch, batch.first, loaded)
    if isinstance(following, Load):
        return following
    if following.digest == batch.digest:
        return Known.DUPLICATE
    if following.first != batch.first or following.previous != batch.previous or batch.first == whole.first:
        return None
    last = _loaded_at(whole, batch, batch.first - 1, loaded)
    if isinstance(last, Load):
        return last
    return split(whole, last, following) if last.sealed_at < batch.sealed_at else None


def _loaded_at(whole: Range, batch: Link, number: int, loaded: Loaded) -> Link | Load:
    (extent,) = whole.stored(number, number + 1)
    load = Load(LogKey(batch.author, batch.log, extent.branch), number, number + 1)
    for stored in loaded.get(load, ()):
        if stored.first <= number < stored.end:
            return stored
    return load


def _link(pieces: list[Range], batch: Link) -> Grown:
    """The batch among segments that it is not in, joined to its neighbours where no fork forbids it."""
    alone = range_of(batch, MAIN_BRANCH)
    parent = next((piece for piece in pieces if links(piece, alone)), None)
    siblings = parent is not None and any(links(parent, piece) for piece in pieces)
    children = [piece for piece in pieces if links(alone, piece)]
    branch = _free_branch(pieces, batch, parent, children)
    placed = range_of(batch, branch)
    if len(children) == 1:
        pieces.remove(children[0])
        placed = joined(placed, children[0])
    if parent is not None and not siblings:
        pieces.remove(parent)
        placed = joined(parent, placed)
    pieces.append(placed)
    return Grown(pieces, placed, branch)


def _free_branch(pieces: list[Range], batch: Link, parent: Range | None, children: list[Range]) -> bytes:
    """Under which stored branch the row goes: a neighbour's or any in use whose rows don't overlap it."""
    extents = [extent for piece in pieces for extent in piece.extents]
    taken = {extent.branch for extent in extents if extent.first < batch.end and batch.first < extent.end}
    wishes = [parent.extents[-1].branch] if parent is not None and parent.extents else []
    wishes += [child.extents[0].branch for child in children if child.extents]
    wishes += [MAIN_BRANCH, *sorted({extent.branch for extent in extents})]
    return next((branch for branch in wishes if branch not in taken), batch.digest[:BRANCH_BYTES])


def branches(segments: Sequence[Range], floor: int) -> dict[bytes, tuple[Range, ...]] | None:
    """The segments by branch, those of the main one in rising order; None where they pass a bound."""
    named: dict[bytes, tuple[Range, ...]] = {}
    main: list[Range] = []
    for segment in segments:
        if not _stands_apart(segment, segments):
            main.append(segment)
        elif segment.name in named or segment.name == MAIN_BRANCH:
            # Two branches of one name: somebody searched for digests that begin alike.
            return None
        else:
            named[segment.name] = (segment,)
    main.sort()
    based = bool(main) and (main[0].start == 0 or main[0].first <= floor)
    if len(named) > BRANCHES_MAX or len(main) > (RANGES_MAX if based else RANGES_MAX - 1):
        return None
    if any(len(segment.extents) > EXTENTS_MAX for segment in segments):
        return None
    return {**({MAIN_BRANCH: tuple(main)} if main else {}), **named}


def _stands_apart(segment: Range, segments: Sequence[Range]) -> bool:
    """Whether the segment is a branch of its own, by the table above."""
    others = [other for other in segments if other is not segment]
    if any(links(other, segment) for other in others):
        return True
    if segment.start == 0:
        return any(other.start == 0 for other in others)
    return any(
        (other.start < segment.end and segment.start < other.end)
        or other.end == segment.start
        or (segment.end == other.start and not links(segment, other))
        for other in others
    )


Before = Sequence[tuple[Range, LogFrontier]]
"""The ranges of a log as they were, each with the frontier of the branch that it was in."""


def delivered_of(segment: Range, before: Before, batch: Link | None) -> int:
    """Where delivery of a segment stands; `batch` is what was just placed in it, if it was.

    Nothing is skipped. A batch below what was delivered is backfill.
    """
    pieces = _pieces(segment, before)
    for start, end, frontier in pieces:
        for first, _end in frontier.waiting(start, end):
            return batch.first if batch and batch.first < start == first else first
    if batch and (not pieces or pieces[-1][2].delivered <= batch.first):
        return batch.first
    return segment.end


def first_waiting(segments: Sequence[Range], before: Before) -> int | None:
    """The first number in these segments that was there before and was not delivered."""
    pieces = [piece for segment in segments for piece in _pieces(segment, before)]
    waiting = [first for start, end, frontier in pieces for first, _end in frontier.waiting(start, end)]
    return min(waiting, default=None)


def given_of(segments: Sequence[Range], before: Before, position: int) -> tuple[Span, ...]:
    """What in these segments was delivered though it lies above the position from which they are delivered now."""
    pieces = [piece for segment in segments for piece in _pieces(segment, before)]
    given = [
        span
        for start, end, frontier in pieces
        for span in without([(start, end)], [(0, position), *frontier.waiting(start, end)])
    ]
    return tuple(without(given, []))[:GIVEN_MAX]


def _pieces(segment: Range, before: Before) -> list[tuple[int, int, LogFrontier]]:
    """The parts of a segment that were there before, in rising order."""
    pieces = [
        (max(old.start, segment.start), min(old.end, segment.end), frontier)
        for old, frontier in before
        if _share_rows(old, segment)
    ]
    return sorted(pieces, key=lambda piece: piece[:2])


def _share_rows(one: Range, other: Range) -> bool:
    """Whether both hold the same rows: no two rows under one stored branch share a number."""
    return any(
        mine.branch == theirs.branch and mine.first < theirs.end and theirs.first < mine.end
        for mine in one.extents
        for theirs in other.extents
    )
