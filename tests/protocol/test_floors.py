"""A keeper does not stand among the holders of what it has let go of."""

from __future__ import annotations

import pytest

from tests.protocol.test_keeping import BEGUN_S, keeper, member
from tests.support.fakelink import FakeNet, FakeNode, FrameFilter, lobby, quick
from zmqchat.model.ids import MessageId, PeerId
from zmqchat.model.limits import KIB, MIB
from zmqchat.wire.frames import LetGo, LogFloor

DEN = lobby("den")


@pytest.fixture
def net() -> FakeNet:
    """Nodes that keep 64 KiB."""
    return FakeNet(config=quick(sync_interval_s=5.0, keeper_mib=64 * KIB / MIB))


def said(node: FakeNode, net: FakeNet, count: int) -> list[MessageId]:
    """So many long texts, a batch each."""
    messages = []
    for number in range(count):
        messages += node.say(f"{number} {'x' * 4_000}", room="den")
        net.run(0.2)
    return messages


def held(node: FakeNode, message: MessageId) -> tuple[PeerId, ...]:
    """Who has this message, as its author knows."""
    return node.data.receipts.state(DEN, message.log, message.number).held


def test_what_went_over_the_quota_is_not_held_any_more(net: FakeNet) -> None:
    """The newest is; also an author that has started again is told so, though nothing has changed since."""
    ann = member(net, "ann")
    kim = keeper(net, "kim", ann)
    net.run(BEGUN_S)
    first, *_rest, last = said(ann, net, 4)
    assert held(ann, first) == held(ann, last) == (kim.peer,)
    *_rest, last = said(ann, net, 40)
    net.run(10.0)
    assert held(ann, first) == () and held(ann, last) == (kim.peer,)
    assert ann.data.receipts.held_below(DEN, last.log) == 0
    assert ann.data.receipts.held_below(DEN, last.log, first=last.number) == last.number + 1
    ann = net.restart(ann)
    net.link(ann, kim)
    net.run(10.0)
    assert held(ann, first) == () and held(ann, last) == (kim.peer,)


def test_what_was_never_taken_is_not_held(net: FakeNet) -> None:
    """A keeper of a room larger than its quota has its end only."""
    ann = member(net, "ann")
    first, *_rest, last = said(ann, net, 60)
    kim = keeper(net, "kim", ann)
    net.run(BEGUN_S)
    assert held(ann, first) == () and held(ann, last) == (kim.peer,)


def test_who_has_joined_and_fetched_all_holds_all(net: FakeNet) -> None:
    """A keeper that becomes a member wants what it had let go of, and says when it has it."""
    ann = member(net, "ann")
    kim = keeper(net, "kim", ann)
    net.run(BEGUN_S)
    first, *_rest, last = said(ann, net, 40)
    net.run(10.0)
    assert held(ann, first) == ()
    kim.join("den")
    net.run(20.0)
    assert len(kim.texts("den")) == 40
    said(ann, net, 1)
    net.run(20.0)
    assert held(ann, first) == held(ann, last) == (kim.peer,)


def test_who_let_go_of_nothing_sends_nothing(net: FakeNet) -> None:
    """Nor does anybody hear of another's logs; and floors of logs that are not there are not remembered."""
    ann = member(net, "ann")
    kim = keeper(net, "kim", ann)
    net.run(BEGUN_S)
    sent = FrameFilter(kim, ann.peer)
    (message,) = said(ann, net, 1)
    net.run(10.0)
    assert not [frame for frame in sent.take() if isinstance(frame, LetGo)]
    net.hand(kim, ann, LetGo(room=DEN, entries=(LogFloor(message.log + 1, 7),)))
    net.hand(kim, ann, LetGo(room=lobby("nowhere"), entries=(LogFloor(message.log, 7),)))
    assert held(ann, message) == (kim.peer,)
