"""One link of the tree: how far its reader is, and what is remembered of it by room."""

from __future__ import annotations

from tests.support.fakelink import lobby
from zmqchat.model.ids import RoomId
from zmqchat.model.limits import LINK_UNACKNOWLEDGED_BYTES_MAX
from zmqchat.protocol.lines import BEHIND_BYTES, OPTIMISE_AFTER, ROOMS_MAX, SLOW_S, TAKEN_BYTES, Line
from zmqchat.wire.tree_frames import Announced, IHave

ROOM = lobby()


def test_a_reader_says_how_far_it_is_now_and_then() -> None:
    """The sum of all, once per TAKEN_BYTES."""
    line = Line()
    assert line.read(TAKEN_BYTES - 1) is None
    assert line.read(1) == TAKEN_BYTES
    assert line.read(10) is None
    assert line.read(TAKEN_BYTES) == 2 * TAKEN_BYTES + 10


def test_a_peer_over_its_budget_is_slow_until_half_is_acknowledged() -> None:
    """What it can't have read does not count."""
    line = Line()
    line.sent(LINK_UNACKNOWLEDGED_BYTES_MAX, 0.0)
    assert not line.is_slow
    line.sent(1, 0.0)
    assert line.is_slow
    for claim in (2 * LINK_UNACKNOWLEDGED_BYTES_MAX, LINK_UNACKNOWLEDGED_BYTES_MAX // 4, 0):
        line.taken(claim)
        assert line.is_slow
    line.taken(LINK_UNACKNOWLEDGED_BYTES_MAX // 2 + 1)
    assert not line.is_slow


def test_a_peer_is_behind_long_before_it_is_slow() -> None:
    """With a megabyte under way, until it has said that it read some of it; and while it is slow for another reason."""
    line = Line()
    line.sent(BEHIND_BYTES, 0.0)
    assert not line.is_behind
    line.sent(1, 0.0)
    assert line.is_behind and not line.is_slow
    line.taken(1)
    assert not line.is_behind
    line.dropped(0.0)
    assert line.is_behind and line.is_slow


def test_what_waits_to_be_announced_is_taken_once() -> None:
    """A frame a room."""
    line = Line()
    line.names = {ROOM: {bytes(16): 2}, lobby("other"): {b"x" * 16: 0}}
    assert line.take_names() == [
        IHave(room=ROOM, entries=(Announced(bytes(16), 2),)),
        IHave(room=lobby("other"), entries=(Announced(b"x" * 16, 0),)),
    ]
    assert line.take_names() == []


def test_slowness_is_told_after_a_while_and_again() -> None:
    """Once in SLOW_S as long as it lasts."""
    line = Line()
    line.dropped(0.0)
    assert not line.is_slow, "nothing was under way"
    line.sent(5, 1.0)
    line.dropped(1.0)
    assert line.is_slow and not line.is_slow_for_long(1.0 + SLOW_S / 2)
    assert line.is_slow_for_long(1.0 + SLOW_S) and not line.is_slow_for_long(1.1 + SLOW_S)
    assert line.is_slow_for_long(1.0 + 2 * SLOW_S)


def test_prunes_are_remembered_for_a_while() -> None:
    """Until the time is over, or the link is wanted again."""
    line = Line()
    assert not line.is_pruned(ROOM, 0.0, 1.0)
    line.pruned(ROOM, 0.0)
    assert line.is_pruned(ROOM, 0.9, 1.0) and not line.is_pruned(ROOM, 1.0, 1.0)
    line.grafted(ROOM)
    assert not line.is_pruned(ROOM, 0.1, 1.0)


def test_promises_count_in_a_row() -> None:
    """One that is not kept begins anew."""
    line = Line()
    kept = [line.promises(ROOM, fewer=True) for _ in range(OPTIMISE_AFTER)]
    assert kept == [False] * (OPTIMISE_AFTER - 1) + [True]
    for _ in range(OPTIMISE_AFTER - 1):
        assert not line.promises(ROOM, fewer=True)
    assert not line.promises(ROOM, fewer=False)
    assert not line.promises(ROOM, fewer=True)


def test_rooms_are_bounded() -> None:
    """A peer that names rooms without end makes a line forget, and no more."""
    line = Line()
    for index in range(ROOMS_MAX + 1):
        room = RoomId(index.to_bytes(16, "big"))
        line.pruned(room, 0.0)
        line.promises(room, fewer=True)
    assert not line.is_pruned(RoomId(bytes(16)), 0.0, 1.0)
    assert len(line._pruned) == len(line._gains) == 1
