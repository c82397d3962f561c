"""Forked logs: every node names the same branches, whatever the order of arrival, and loses nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support.histories import AUTHOR, FakeBatch, Holder, chain, fake_batch, forests, named_by_model
from zmqchat.history.frontier import Outcome
from zmqchat.model.ids import MAIN_BRANCH, LogKey
from zmqchat.model.limits import BRANCHES_MAX, EXTENTS_MAX, RANGES_MAX

MAIN = LogKey(AUTHOR, 1)


def branch(batch: FakeBatch) -> LogKey:
    """The branch that begins with this batch."""
    return LogKey(AUTHOR, 1, batch.digest[:8])


@settings(max_examples=400)
@given(forest=forests(), data=st.data())
def test_any_order_of_arrival_gives_one_frontier(forest: list[FakeBatch], data: st.DataObject) -> None:
    """Two nodes that got the same batches in any order, duplicates too, agree with the model and in their hash."""
    known = data.draw(st.lists(st.sampled_from(forest), unique=True, min_size=1))
    expected = named_by_model(known)
    branches = len(expected) - (MAIN in expected)
    assume(branches <= BRANCHES_MAX and len(expected.get(MAIN, ())) < RANGES_MAX)
    one, other = Holder(), Holder()
    assert one.offer_all(data.draw(st.permutations(known)) + known) == []
    assert other.offer_all(data.draw(st.permutations(known))) == []
    assert one.shape() == other.shape() == expected
    assert one.frontier.hash == other.frontier.hash


@settings(max_examples=200)
@given(forest=forests(), data=st.data())
def test_rows_are_found_through_the_extents(forest: list[FakeBatch], data: st.DataObject) -> None:
    """Reading each branch by its extents gives each batch once, and each range as an unbroken chain."""
    holder = Holder()
    left = holder.offer_all(data.draw(st.permutations(forest)))
    read = [batch for key in holder.frontier for batch in holder.stored_chain(key)]
    assert sorted(b.digest for b in read) == sorted(b.digest for b in forest if b not in left)
    for key, entry in holder.frontier.items():
        stored = holder.stored_chain(key)
        for held in entry.ranges:
            part = [b for b in stored if held.first <= b.first < held.end]
            assert (part[0].first, part[0].digest, part[0].previous) == (held.start, held.opening, held.previous)
            assert (part[-1].end, part[-1].digest, part[-1].sealed_at) == (held.end, held.head, held.sealed_at)
            assert all(a.end == b.first and a.digest == b.previous for a, b in itertools.pairwise(part))


def read_while_arriving(
    holder: Holder,
    arrivals: list[FakeBatch],
    gives_up: Callable[[], bool],
    loads: Callable[[], bool] = lambda: True,
) -> list[bytes]:
    """What a reader gets that goes by `delivered` alone: a batch at once whose turn it is, the rest when it was loaded.

    It passes gaps when it gives up, and all gaps at the end.
    """
    got: list[bytes] = []

    def deliver(key: LogKey, begin: int) -> None:
        entry = holder.frontier[key].with_delivered(begin)
        for batch in holder.stored_chain(key):
            if batch.first == entry.delivered < entry.deliverable_end:
                got.append(batch.digest)
                entry = entry.with_delivered(batch.end)
        holder.frontier.put(key, entry)

    def pass_gaps(wants: Callable[[], bool]) -> None:
        for key in list(holder.frontier):
            while (after := holder.frontier[key].next_held(holder.frontier[key].delivered)) is not None and wants():
                deliver(key, after)

    for batch in arrivals:
        placement = holder.offer(batch)
        if placement.outcome is not Outcome.PLACED:
            continue
        entry = holder.frontier[placement.key]
        if batch.first <= entry.delivered:
            got.append(batch.digest)
            holder.frontier.put(placement.key, entry.with_delivered(max(batch.end, entry.delivered)))
        for key in list(holder.frontier):
            if loads():
                deliver(key, holder.frontier[key].delivered)
        pass_gaps(gives_up)
    pass_gaps(lambda: True)
    return got


@settings(max_examples=200)
@given(forest=forests(), data=st.data())
def test_every_batch_is_delivered_once(forest: list[FakeBatch], data: st.DataObject) -> None:
    """Whatever order and forks do to the ranges, nothing that is held is passed over, and nothing is given twice."""
    holder = Holder()
    chance = data.draw(st.randoms(use_true_random=False))
    order = data.draw(st.permutations(forest))
    got = read_while_arriving(holder, order, lambda: chance.random() < 0.5, lambda: chance.random() < 0.3)
    assert sorted(got) == sorted(batch.digest for batch in holder.rows.values())


def test_a_part_that_was_read_by_itself_is_not_given_again_when_it_joins_what_waits() -> None:
    """Its reader gave up the gap below it; then the log was forked, and the gap was filled: below it all waits."""
    first, second, third, last = chain(4, size=1)
    other_first = fake_batch("another first", 0, 1)
    gives_up = iter([False, False, False, True])
    holder = Holder()
    arrivals = [last, second, first, other_first, third]
    got = read_while_arriving(holder, arrivals, lambda: next(gives_up, False), lambda: False)
    assert sorted(got) == sorted(batch.digest for batch in arrivals)


@settings(max_examples=100)
@given(forest=forests(), data=st.data())
def test_a_fork_that_grows_in_order_is_delivered_once(forest: list[FakeBatch], data: st.DataObject) -> None:
    """Each batch after its predecessor: every one is delivered once, and a chain's in its order."""
    holder = Holder()
    got = read_while_arriving(holder, forest, lambda: data.draw(st.booleans()))
    assert got == [batch.digest for batch in forest if batch in holder.rows.values()]


@settings(max_examples=100)
@given(order=st.permutations(chain(8)), data=st.data())
def test_a_log_without_forks_is_delivered_once(order: list[FakeBatch], data: st.DataObject) -> None:
    """In any order, with gaps passed at any time, every batch is delivered once."""
    got = read_while_arriving(Holder(), order, lambda: data.draw(st.booleans()))
    assert sorted(got) == sorted(batch.digest for batch in order)


@settings(max_examples=200)
@given(forest=forests(), data=st.data())
def test_two_nodes_repair_each_other(forest: list[FakeBatch], data: st.DataObject) -> None:
    """Asking only for what `missing` says, in both directions, ends with one set and one hash."""
    one, other = Holder(), Holder()
    one.offer_all(data.draw(st.lists(st.sampled_from(forest), unique=True)))
    other.offer_all(data.draw(st.lists(st.sampled_from(forest), unique=True)))
    union = {b.digest: b for holder in (one, other) for b in holder.rows.values()}
    # One branch less than the limit, as what is on its way needs a place before it joins the rest.
    expected = named_by_model(list(union.values()))
    assume(len(expected) - (MAIN in expected) < BRANCHES_MAX)
    for _ in range(12):
        if one.frontier.hash == other.frontier.hash:
            break
        repair(one, other)
        repair(other, one)
    assert one.frontier.hash == other.frontier.hash
    assert {b.digest for b in one.rows.values()} == {b.digest for b in other.rows.values()} == set(union)


def repair(asker: Holder, holder: Holder) -> None:
    """One exchange: the asker takes what it misses of what the holder tells of."""
    for key, entry in list(holder.frontier.items()):
        theirs = [(r.first, r.end, r.head, r.previous) for r in entry.ranges]
        for first, end in asker.frontier.missing(key, theirs, entry.floor):
            asker.offer_all(b for b in holder.stored_chain(key) if b.first < end and first < b.end)


def test_a_fork_splits_the_log_where_it_parts() -> None:
    """What both sides share stays in the main branch, and each side is named by its first batch."""
    trunk = chain(3)
    side = fake_batch("side", 20, 25, trunk[1])
    holder = Holder()
    holder.offer_all(trunk)
    placement = holder.offer(side)
    assert placement.forked and placement.key == placement.stored == branch(side)
    assert holder.frontier.is_forked(AUTHOR, 1)
    assert holder.shape() == {
        MAIN: [(0, 20, trunk[1].digest)],
        branch(trunk[2]): [(20, 30, trunk[2].digest)],
        branch(side): [(20, 25, side.digest)],
    }
    assert holder.frontier.branches(AUTHOR, 1) == [MAIN, *sorted([branch(trunk[2]), branch(side)])]


def test_a_side_that_stays_keeps_its_rows_where_they_are() -> None:
    """The older side of a fork is a branch whose rows lie in the main one; what follows it finds a place."""
    trunk = chain(3)
    side = fake_batch("side", 20, 25, trunk[1])
    after = fake_batch("after", 30, 40, trunk[2])
    holder = Holder()
    holder.offer_all([*trunk, side, after])
    entry = holder.frontier[branch(trunk[2])]
    assert [extent.branch for extent in entry.stored(20, 40)] == [MAIN_BRANCH]
    assert holder.stored_chain(branch(trunk[2])) == [trunk[2], after]
    assert not holder.offer(after).forked


def test_two_first_batches_leave_no_main_branch() -> None:
    """Where the very first batch differs, nothing is shared, and the second one tells that it is a fork."""
    one, two = fake_batch("one", 0, 5), fake_batch("two", 0, 3)
    holder = Holder()
    assert [holder.offer(batch).forked for batch in (one, two)] == [False, True]
    assert set(holder.shape()) == {branch(one), branch(two)}
    assert holder.frontier.get(MAIN) is None


def test_a_wrong_previous_is_a_branch_that_joins_nothing() -> None:
    """Hostile 23: right numbers and a signature, but another predecessor: kept apart, the neighbours never join."""
    trunk = chain(2)
    stray = fake_batch("stray", 20, 30)
    holder = Holder()
    holder.offer_all([*trunk, stray])
    assert holder.shape() == {MAIN: [(0, 20, trunk[1].digest)], branch(stray): [(20, 30, stray.digest)]}


def test_a_batch_not_sealed_after_its_predecessor_is_held_apart() -> None:
    """Hostile 27: `sealed_at` that does not rise breaks the chain, in whichever order the two arrive."""
    first = fake_batch("first", 0, 10, sealed_at=100)
    early = fake_batch("early", 10, 20, first, sealed_at=100)
    for order in ([first, early], [early, first]):
        holder = Holder()
        holder.offer_all(order)
        assert set(holder.shape()) == {MAIN, branch(early)}


def test_a_fork_sealed_before_what_it_follows_cuts_nothing() -> None:
    """A second successor that is sealed too early does not split the range it points into."""
    trunk = chain(3)
    early = fake_batch("early", 20, 22, trunk[1], sealed_at=5)
    holder = Holder()
    holder.offer_all([*trunk, early])
    assert holder.shape() == {MAIN: [(0, 30, trunk[2].digest)], branch(early): [(20, 22, early.digest)]}


def test_an_old_duplicate_costs_one_load_and_a_recent_one_none() -> None:
    """Inside a range only the stored row tells a duplicate from a fork."""
    trunk = chain(3)
    holder = Holder()
    holder.offer_all(trunk)
    assert holder.offer(trunk[1]).outcome is Outcome.DUPLICATE and holder.loads == 0
    holder.frontier.forget_recent()
    assert holder.offer(trunk[0]).outcome is Outcome.DUPLICATE and holder.loads == 0
    assert holder.offer(trunk[2]).outcome is Outcome.DUPLICATE and holder.loads == 0
    assert holder.offer(trunk[1]).outcome is Outcome.DUPLICATE and holder.loads == 1


def test_a_branch_beyond_the_fourth_is_refused_and_not_asked_for() -> None:
    """Who forks his log five times has four branches here, and repair does not ask for the fifth."""
    sides = [fake_batch(f"s{index}", 0, 2) for index in range(BRANCHES_MAX + 1)]
    holder = Holder()
    assert holder.offer_all(sides) == sides[-1:]
    last = sides[-1]
    assert holder.frontier.missing(branch(last), [(0, 2, last.digest, last.previous)], 0) == []
    assert holder.frontier.missing(MAIN, [(0, 2, last.digest, last.previous)], 0) == []


def test_branches_of_one_name_are_refused() -> None:
    """Digests that begin alike can't be made by chance; the second such branch finds no place."""
    one = fake_batch("one", 0, 5)
    twin = FakeBatch(1, 0, 3, one.previous, one.digest[:8] + bytes(24), one.sealed_at)
    nameless = FakeBatch(1, 0, 3, one.previous, bytes(8) + b"\x01" * 24, one.sealed_at)
    holder = Holder()
    holder.offer(one)
    assert holder.offer(twin).outcome is Outcome.FULL
    assert holder.offer(nameless).outcome is Outcome.FULL


def test_a_place_among_the_ranges_is_kept_for_the_beginning() -> None:
    """Seven ranges without a beginning leave room for the one that begins at 0, so that gaps can close."""
    trunk = chain(2 * RANGES_MAX + 2)
    holder = Holder()
    outcomes = [holder.offer(batch).outcome for batch in trunk[2::2]]
    assert outcomes.count(Outcome.PLACED) == RANGES_MAX - 1
    assert holder.offer(trunk[0]).outcome is Outcome.PLACED
    assert holder.offer(trunk[2 * RANGES_MAX]).outcome is Outcome.FULL
    assert holder.offer_all(trunk) == []
    assert holder.shape() == {MAIN: [(0, trunk[-1].end, trunk[-1].digest)]}


def test_a_range_in_too_many_pieces_takes_no_more() -> None:
    """Two sides that fill each other's stored gaps in turn can't make a frontier row grow without end."""
    left, right = chain(200, 1, "l"), chain(200, 1, "r")
    holder = Holder()
    holder.offer_all([left[0], right[0]])
    for index in range(2, 198, 2):
        # Each side's far batch takes the main branch's rows from the other by turns.
        pair = (left, right) if index % 4 else (right, left)
        for side in pair:
            holder.offer(side[index])
        for side in pair:
            holder.offer(side[index - 1])
    most = max(len(held.extents) for key in holder.frontier for held in holder.frontier[key].ranges)
    assert most <= EXTENTS_MAX
