"""Ranges of a log: joining, cutting, pruning, packing, and what is missing of another's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.support.histories import Holder, chain, fake_batch, forests
from zmqchat.history.ranges import Extent, LogFrontier, Range, extended, joined, links, range_of, split, without
from zmqchat.model.ids import MAIN_BRANCH, LogKey

numbers = st.integers(0, 40)
spans = st.lists(st.tuples(numbers, numbers), max_size=6)


def frontier_of(held: list[tuple[int, int]], floor: int = 0) -> LogFrontier:
    """A frontier that holds these spans."""
    ranges = [range_of(fake_batch(f"{first}", first, end), MAIN_BRANCH) for first, end in held if first < end]
    return LogFrontier(floor, tuple(sorted(ranges)), floor)


def covered(parts: list[tuple[int, int]]) -> set[int]:
    """The numbers of some spans."""
    return {number for first, end in parts for number in range(first, end)}


@given(wanted=spans, held=spans)
def test_without_is_the_difference_of_sets(wanted: list[tuple[int, int]], held: list[tuple[int, int]]) -> None:
    """Spans in any order, empty and overlapping ones too, give disjoint rising spans of what is left."""
    rest = without(wanted, held)
    assert covered(rest) == covered(wanted) - covered(held)
    flat = [number for first, end in rest for number in range(first, end)]
    assert flat == sorted(set(flat)) and all(first < end for first, end in rest)


@given(ours=spans, theirs=spans, floor=numbers, their_floor=numbers)
def test_missing_is_the_difference_above_both_floors(
    ours: list[tuple[int, int]], theirs: list[tuple[int, int]], floor: int, their_floor: int
) -> None:
    """Nothing below either floor is asked for, and nothing that is held."""
    frontier = frontier_of(ours, floor)
    expected = {n for n in covered(theirs) - covered(ours) if n >= max(floor, their_floor)}
    assert covered(frontier.missing(theirs, their_floor)) == expected


@given(forest=forests(), data=st.data())
def test_frontiers_survive_packing(forest: list, data: st.DataObject) -> None:  # type: ignore[type-arg]  # of fakes
    """What is packed is what is unpacked, forked or not; a row cut short anywhere is damaged."""
    holder = Holder()
    holder.offer_all(data.draw(st.permutations(forest)))
    for key, entry in holder.frontier.items():
        given_apart = tuple(without(data.draw(spans), []))
        packed = entry._replace(delivered=data.draw(numbers), given=given_apart)
        row = packed.pack()
        assert LogFrontier.unpack(row) == packed
        assert LogFrontier.unpack(row[: data.draw(st.integers(0, len(row) - 1))]) is None
        assert LogFrontier.unpack(row + b"x") is None
        assert LogFrontier.unpack(b"\xff" + row[1:]) is None
        assert key in holder.frontier


@given(raw=st.binary(max_size=400))
def test_unpacking_never_raises(raw: bytes) -> None:
    """Any bytes are a frontier or None."""
    unpacked = LogFrontier.unpack(raw)
    assert unpacked is None or isinstance(unpacked, LogFrontier)


def test_links_need_digest_number_and_time() -> None:
    """A chain goes on only where all three fit."""
    first, second = chain(2)
    lower = range_of(first, MAIN_BRANCH)
    upper = range_of(second, MAIN_BRANCH)
    assert links(lower, upper)
    assert not links(lower, upper._replace(previous=bytes(32)))
    assert not links(lower, upper._replace(start=11))
    assert not links(lower, upper._replace(opened_at=first.sealed_at))


def test_extended_is_the_same_as_joined() -> None:
    """The short way for live batches gives what the long one gives, and refuses what does not link."""
    first, second, third = chain(3)
    lower = range_of(first, MAIN_BRANCH)
    longer = joined(lower, range_of(second, MAIN_BRANCH))
    assert extended(lower, second) == longer
    assert extended(lower, third) is None
    in_parts = longer._replace(extents=(Extent(0, 10, b"sideside"), Extent(10, 20, MAIN_BRANCH)))
    assert extended(in_parts, third) == joined(in_parts, range_of(third, MAIN_BRANCH))
    assert extended(longer._replace(extents=()), third) is None


def test_split_undoes_joined() -> None:
    """Cutting a chain between two batches gives the two chains that made it."""
    batches = chain(4)
    parts: list[Range] = [range_of(batch, MAIN_BRANCH) for batch in batches]
    lower, upper = joined(parts[0], parts[1]), joined(parts[2], parts[3])
    assert split(joined(lower, upper), batches[1], batches[2]) == (lower, upper)


def test_ends_say_how_far_reading_may_go() -> None:
    """From the floor, from what was delivered, and over a gap to the next number that is held."""
    frontier = frontier_of([(0, 10), (20, 30)])
    assert (frontier.contiguous_end, frontier.end, frontier.deliverable_end) == (10, 30, 10)
    assert frontier.with_delivered(10).deliverable_end == 10
    assert frontier.with_delivered(20).deliverable_end == 30
    assert [frontier.next_held(number) for number in (0, 9, 10, 25, 30)] == [0, 9, 20, 25, None]
    assert (LogFrontier(5, (), 5).end, LogFrontier(5, (), 5).contiguous_end) == (5, 5)


def test_pruning_raises_the_floor_and_keeps_where_the_chain_began() -> None:
    """What is pruned is neither held nor wanted, and the chain can still go on."""
    batches = chain(3)
    holder = Holder()
    holder.offer_all(batches)
    key = LogKey(batches[0].author, 1)
    pruned = holder.frontier[key].with_floor(20)
    assert (pruned.held(), pruned.floor, pruned.delivered) == ([(20, 30)], 20, 20)
    assert (pruned.ranges[0].start, pruned.ranges[0].first) == (0, 20)
    assert pruned.missing([(0, 40)]) == [(30, 40)]
    empty = pruned.with_floor(30)
    assert (empty.held(), empty.end, empty.ranges[0].first, empty.next_held(0)) == ([], 30, 30, None)


def test_delivery_goes_on_past_what_was_given_already() -> None:
    """Moving to the first number of a part that was given moves past it; what lies above stays remembered."""
    frontier = frontier_of([(0, 40)], 0)._replace(given=((10, 20), (20, 25), (30, 35)))
    assert frontier.with_delivered(5).delivered == 5
    moved = frontier.with_delivered(10)
    assert (moved.delivered, moved.given) == (25, ((30, 35),))
    assert moved.with_floor(32).delivered == 35
    assert frontier.waiting(0, 40) == [(0, 10), (25, 30), (35, 40)]
