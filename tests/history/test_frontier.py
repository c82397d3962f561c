"""The frontier of a room: live batches, gaps, floors, limits, the hash, and what to ask a peer for."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.histories import AUTHOR, FakeBatch, Holder, chain, fake_batch
from zmqchat.history.frontier import LogFrontier, Outcome, RoomFrontier
from zmqchat.model.ids import LogKey, PeerId
from zmqchat.model.limits import BATCH_EVENTS_MAX, LOGS_PER_AUTHOR_MAX

MAIN = LogKey(AUTHOR, 1)


def told(holder: Holder, key: LogKey = MAIN) -> list[tuple[int, int, bytes, bytes]]:
    """What the holder tells of a log in a summary."""
    return [(held.first, held.end, held.head, held.previous) for held in holder.frontier[key].ranges]


def test_a_live_stream_is_one_range_and_needs_no_loads() -> None:
    """Batch after batch extends the one range of the main branch, and is stored there."""
    holder = Holder()
    for batch in chain(20):
        placement = holder.offer(batch)
        assert (placement.outcome, placement.key, placement.stored) == (Outcome.PLACED, MAIN, MAIN)
    assert holder.frontier[MAIN].held() == [(0, 200)] and holder.loads == 0


def test_placing_changes_nothing_until_applied() -> None:
    """`place` only says; a placement that is dropped leaves no trace."""
    frontier = RoomFrontier()
    (batch,) = chain(1)
    empty = frontier.hash
    first = frontier.place(batch)
    assert frontier.place(batch) == first and len(frontier) == 0 and frontier.hash == empty


def test_gaps_close_whatever_fills_them_first() -> None:
    """What lies beyond a gap is a range of its own until the gap is filled."""
    batches = chain(5)
    holder = Holder()
    holder.offer_all([batches[0], batches[2], batches[4]])
    assert holder.frontier[MAIN].held() == [(0, 10), (20, 30), (40, 50)]
    holder.offer(batches[3])
    assert holder.frontier[MAIN].held() == [(0, 10), (20, 50)]
    holder.offer(batches[1])
    assert holder.frontier[MAIN].held() == [(0, 50)]


def test_a_batch_far_beyond_is_a_range_of_its_own() -> None:
    """Hostile 25: numbers 10^9 ahead cost one range, and nothing in between is made up."""
    holder = Holder()
    far = fake_batch("far", 10**9, 10**9 + 1)
    holder.offer_all([*chain(1), far])
    assert holder.frontier[MAIN].held() == [(0, 10), (10**9, 10**9 + 1)]


def test_what_was_pruned_does_not_come_back() -> None:
    """A batch below the floor is told apart from a duplicate, with the log held in part or pruned whole."""
    batches = chain(3)
    for floor in (20, 30):
        holder = Holder()
        holder.offer_all(batches)
        holder.frontier.put(MAIN, holder.frontier[MAIN].with_floor(floor))
        holder.frontier.forget_recent()
        assert holder.offer(batches[1]).outcome is Outcome.PRUNED
        assert holder.offer(fake_batch("next", 30, 40, batches[2])).outcome is Outcome.PLACED
        assert holder.frontier[MAIN].held() == [(floor, 40)]


def test_a_batch_that_begins_in_the_pruned_part_of_a_branch_is_pruned() -> None:
    """Branches are pruned on their own; the frontier of each remembers where it began."""
    trunk = chain(2)
    side = chain(3, name="s", parent=trunk[0])
    holder = Holder()
    holder.offer_all([*trunk, *side])
    key = LogKey(AUTHOR, 1, side[0].digest[:8])
    holder.frontier.put(key, holder.frontier[key].with_floor(30))
    holder.frontier.forget_recent()
    assert holder.offer(side[1]).outcome is Outcome.PRUNED


def test_a_fork_at_the_edge_of_what_was_pruned_is_held_apart() -> None:
    """Its predecessor is gone, so the fork can't be cut in; both sides are held all the same."""
    trunk = chain(3)
    holder = Holder()
    holder.offer_all(trunk)
    holder.frontier.put(MAIN, holder.frontier[MAIN].with_floor(20))
    side = fake_batch("side", 20, 25, trunk[1])
    assert holder.offer(side).outcome is Outcome.PLACED
    assert set(holder.shape()) == {MAIN, LogKey(AUTHOR, 1, side.digest[:8])}


def test_a_floor_outlives_a_main_branch_without_ranges() -> None:
    """When a fork turns out to begin at the first batch, what was pruned still is not wanted."""
    holder = Holder()
    holder.frontier.put(MAIN, LogFrontier(7, (), 7))
    holder.offer_all([fake_batch("late", 10, 12), fake_batch("later", 11, 13)])
    kept = holder.frontier.get(MAIN)
    assert kept is not None and (kept.floor, kept.ranges) == (7, ())
    assert holder.offer(fake_batch("below", 3, 9)).outcome is Outcome.PRUNED


def test_an_author_has_at_most_so_many_logs() -> None:
    """One log more is refused with a reason of its own; the others go on, and are still compared."""
    holder = Holder()
    logs = [fake_batch(f"log{number}", 0, 1, log=number) for number in range(LOGS_PER_AUTHOR_MAX + 1)]
    outcomes = [holder.offer(batch).outcome for batch in logs]
    assert outcomes == [Outcome.PLACED] * LOGS_PER_AUTHOR_MAX + [Outcome.LOGS_FULL]
    assert holder.offer(fake_batch("more", 1, 2, logs[0], log=0)).outcome is Outcome.PLACED
    further = LogKey(AUTHOR, LOGS_PER_AUTHOR_MAX)
    assert holder.frontier.missing(further, [(0, 1, logs[-1].digest, bytes(32))], 0) == []
    assert holder.frontier.missing(LogKey(AUTHOR, 5), [(0, 9, bytes(32), bytes(32))], 0) == [(1, 9)]


@settings(max_examples=50)
@given(data=st.data())
def test_the_hash_depends_on_what_is_held_alone(data: st.DataObject) -> None:
    """Several authors and logs in any order of arrival, with gaps, give one hash; one batch less another."""
    batches = [
        FakeBatch(log, b.first, b.end, b.previous, b.digest, b.sealed_at, PeerId(bytes(31) + bytes([author])))
        for author in range(3)
        for log in range(2)
        for b in chain(3, name=f"{author}/{log}/")
    ]
    one, other = Holder(), Holder()
    one.offer_all(data.draw(st.permutations(batches)))
    for batch in data.draw(st.permutations(batches)):
        before = other.frontier.hash
        other.offer(batch)
        assert other.frontier.hash != before
    assert one.frontier.hash == other.frontier.hash
    rebuilt = RoomFrontier()
    for key, entry in one.frontier.items():
        rebuilt.put(key, LogFrontier.unpack(entry.pack()))
    assert rebuilt.hash == one.frontier.hash and sorted(rebuilt) == sorted(one.frontier)


def test_the_hash_sees_a_missing_beginning_but_not_what_was_pruned() -> None:
    """Who has the newest batch alone differs from who has all; pruning or delivering changes nothing."""
    batches = chain(3)
    whole, tail = Holder(), Holder()
    whole.offer_all(batches)
    tail.offer(batches[2])
    before = whole.frontier.hash
    assert tail.frontier.hash != before
    whole.frontier.put(MAIN, whole.frontier[MAIN].with_floor(20).with_delivered(30))
    assert whole.frontier.hash == before
    tail.frontier.put(MAIN, tail.frontier[MAIN].with_floor(20))
    assert tail.frontier.hash == before


def test_removing_and_putting_back_leaves_the_hash_as_it_was() -> None:
    """A commit that failed is undone by putting back what the store has, forks included."""
    trunk = chain(2)
    holder = Holder()
    holder.offer_all(trunk)
    before = holder.frontier.hash
    saved = list(holder.frontier.items())
    placement = holder.frontier.place(side := fake_batch("side", 10, 12, trunk[0]))
    assert placement.outcome is Outcome.COVERED
    holder.offer(side)
    for key in [key for key in holder.frontier if key not in dict(saved)]:
        holder.frontier.put(key, None)
    for key, entry in saved:
        holder.frontier.put(key, entry)
    assert holder.frontier.hash == before and not holder.frontier.is_forked(AUTHOR, 1)
    holder.frontier.put(MAIN, None)
    assert holder.frontier.hash == RoomFrontier().hash and len(holder.frontier) == 0
    holder.frontier.put(MAIN, None)
    assert holder.frontier.get(MAIN) is None and MAIN not in holder.frontier


def test_the_hash_heeds_authors_that_come_and_go_after_it_was_asked_for() -> None:
    """Whenever it is asked for, of a frontier or a copy, it is that of one that never told its hash before."""
    authors = [PeerId(bytes([number]) * 32) for number in (5, 2, 9, 1)]
    holder = Holder()
    holder.offer_all(chain(2))
    entry = holder.frontier[MAIN]
    frontier = RoomFrontier()

    def check(held: list[PeerId]) -> None:
        fresh = RoomFrontier()
        for author in held:
            fresh.put(LogKey(author, 1), entry)
        assert frontier.hash == fresh.hash == frontier.copy().hash

    for number, author in enumerate(authors, start=1):
        frontier.put(LogKey(author, 1), entry)
        check(authors[:number])
    frontier = frontier.copy()
    frontier.put(LogKey(authors[1], 1), None)
    check([authors[0], *authors[2:]])


def test_of_author_lists_logs_by_number() -> None:
    """The logs of one author, whichever came first."""
    holder = Holder()
    for number in (7, 3):
        holder.offer(fake_batch(f"{number}", 0, 1, log=number))
    assert [key.log for key, _ in holder.frontier.of_author(AUTHOR)] == [3, 7]


def test_missing_skips_a_chain_held_under_another_name() -> None:
    """A peer that does not know of the fork yet is not asked for the side that is held as a branch."""
    trunk = chain(3)
    knowing, unknowing = Holder(), Holder()
    knowing.offer_all([*trunk, fake_batch("side", 20, 25, trunk[1])])
    unknowing.offer_all(trunk)
    assert knowing.frontier.missing(MAIN, told(unknowing), 0) == []


def test_missing_goes_down_another_chain_in_growing_steps() -> None:
    """Equal ends with different heads are asked for from the top, each time as much again as is known."""
    ours, theirs = chain(9, BATCH_EVENTS_MAX, "ours"), chain(9, BATCH_EVENTS_MAX, "theirs")
    holder, peer = Holder(), Holder()
    holder.offer_all(ours)
    peer.offer_all(theirs)
    asked = []
    for _ in range(6):
        for first, end in holder.frontier.missing(MAIN, told(peer), 0):
            asked.append((end - first) // BATCH_EVENTS_MAX)
            holder.offer_all(b for b in theirs if b.first < end and first < b.end)
    assert asked == [1, 1, 2, 4, 1]
    assert holder.frontier.branches(AUTHOR, 1) == sorted(holder.frontier)
    assert len(holder.rows) == 18
