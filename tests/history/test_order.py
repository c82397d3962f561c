"""The timeline is one order on every node."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.support.histories import FakeBatch, chain, fake_batch, forests
from zmqchat.history.order import in_timeline_order, timeline_key
from zmqchat.model.ids import PeerId


@given(forest=forests(), data=st.data())
def test_the_order_of_arrival_does_not_matter(forest: list[FakeBatch], data: st.DataObject) -> None:
    """Any permutation sorts to the same timeline, branches that tie included."""
    expected = [b.digest for b in in_timeline_order(forest)]
    assert [b.digest for b in in_timeline_order(data.draw(st.permutations(forest)))] == expected


def test_a_log_stays_in_its_own_order() -> None:
    """`sealed_at` rises along a log, so its batches stand in their order."""
    batches = chain(5)
    assert in_timeline_order(batches[::-1]) == batches


def test_ties_go_by_author_log_number_and_digest() -> None:
    """Equal clock values are decided by the whole author, then the log, the number and the digest."""
    later_author = FakeBatch(0, 0, 1, bytes(32), bytes(32), 10, PeerId(bytes(31) + b"\x02"))
    batches = [fake_batch(name, 0, 1, log=log) for log in (1, 2) for name in ("x", "y")]
    assert sorted(map(timeline_key, batches))[0][2] == 1
    assert in_timeline_order([later_author, *batches])[-1] is later_author
