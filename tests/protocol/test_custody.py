"""What a node keeps for others is bounded in bytes and in time, and a member that it becomes lacks nothing."""

from __future__ import annotations

import pytest

from tests.protocol.test_keeping import BEGUN_S, Chosen, keeper, kept, member
from tests.support.authors import Author
from tests.support.fakelink import FakeNet, FakeNode, lobby, quick, texts_of
from zmqchat.model.limits import KIB, MIB
from zmqchat.protocol.custody import CHECK_S, FORGET_S
from zmqchat.protocol.data_facts import BatchReceived

QUOTA_BYTES = 64 * KIB
DAY_S = 86_400.0
LONG = "x" * 4_000


@pytest.fixture
def net() -> FakeNet:
    """Nodes that keep 64 KiB."""
    return FakeNet(config=quick(sync_interval_s=5.0, keeper_mib=QUOTA_BYTES / MIB))


def on_disk(node: FakeNode, room: str = "den") -> list[str]:
    """The texts of a room on a node's disk, rising by author and number."""
    rows = sorted(
        (key.author, end, put.raw)
        for (at, key), puts in node.store.batches.items()
        for end, put in puts.items()
        if at == lobby(room)
    )
    return [text for _author, _end, raw in rows for text in texts_of(raw)]


def said(node: FakeNode, net: FakeNet, count: int, text: str = LONG) -> list[str]:
    """So many long texts, a batch each."""
    texts = [f"{node.name} {number} {text}" for number in range(count)]
    for each in texts:
        node.say(each, room="den")
        net.run(0.2)
    return texts


def days_go_by(net: FakeNet, days: float, *nodes: FakeNode) -> None:
    """Wall clocks go on by so many days, and the nodes look at what they keep."""
    for node in nodes:
        node.wall_offset_ms += int(days * DAY_S * 1000)
    net.run(CHECK_S + 10.0)


def test_the_oldest_goes_where_it_is_too_much(net: FakeNet) -> None:
    """The newest stays and is given to who comes; what was dropped is wanted no more and shown as a gap."""
    ann = member(net, "ann")
    kim = keeper(net, "kim", ann)
    net.run(BEGUN_S)
    texts = said(ann, net, 40)
    net.run(30.0)
    left = on_disk(kim)
    assert left == texts[-len(left) :] and 1 < len(left) < len(texts)
    assert kim.data.custody.kept_bytes <= QUOTA_BYTES
    assert kim.hash("den") == ann.hash("den"), "what was let go of is no difference"
    ann.kill()
    bob = member(net, "bob", kim)
    net.run(60.0)
    assert bob.texts("den") == left and len(bob.gaps("den")) == 1


def test_a_room_larger_than_the_quota_is_fetched_from_its_end(net: FakeNet) -> None:
    """A new keeper asks for the newest first and stops where it has no more room."""
    ann = member(net, "ann")
    texts = said(ann, net, 60)
    kim = keeper(net, "kim", ann)
    net.run(BEGUN_S)
    left = on_disk(kim)
    assert left == texts[-len(left) :] and len(left) > 5
    got = sum(len(payload) for peer, payload in ann.sent if peer == kim.peer)
    net.run(120.0)
    assert on_disk(kim) == left
    assert sum(len(payload) for peer, payload in ann.sent if peer == kim.peer) - got < 20 * KIB, "it is not asked again"


def test_what_is_too_old_goes(net: FakeNet) -> None:
    """After 30 days nothing is left, and nothing is fetched again."""
    ann = member(net, "ann")
    kim = keeper(net, "kim", ann)
    net.run(BEGUN_S)
    ann.say("for a while", room="den")
    net.run(1.0)
    days_go_by(net, 29, ann, kim)
    assert "for a while" in on_disk(kim)
    days_go_by(net, 2, ann, kim)
    net.run(60.0)
    assert on_disk(kim) == [] and kim.data.custody.kept_bytes == 0
    ann.say("today", room="den")
    net.run(1.0)
    assert on_disk(kim) == ["today"]


def test_what_was_too_old_before_is_not_taken(net: FakeNet) -> None:
    """A keeper of an old room has what was said lately only."""
    ann = member(net, "ann")
    ann.say("last year", room="den")
    net.run(1.0)
    ann.wall_offset_ms = int(400 * DAY_S * 1000)
    kim = keeper(net, "kim", ann)
    kim.wall_offset_ms = ann.wall_offset_ms
    ann.say("today", room="den")
    net.run(BEGUN_S)
    assert on_disk(kim) == ["today"] and kim.hash("den") == ann.hash("den")


def test_an_author_may_not_take_all_of_it(net: FakeNet) -> None:
    """Who writes without end makes room for itself: what another said stays."""
    ann = member(net, "ann")
    bob = member(net, "bob", ann)
    kim = keeper(net, "kim", ann, bob)
    net.run(BEGUN_S)
    bob.say("I was here first", room="den")
    net.run(1.0)
    texts = said(ann, net, 100)
    net.run(30.0)
    left = on_disk(kim)
    assert "I was here first" in left and texts[-1] in left
    assert len(left) < QUOTA_BYTES / len(LONG) + 2


def test_the_quota_counts_what_was_kept_before_a_restart(net: FakeNet) -> None:
    """The count is on the disk with what is counted."""
    ann = member(net, "ann")
    kim = keeper(net, "kim", ann)
    net.run(BEGUN_S)
    said(ann, net, 10)
    net.run(10.0)
    before = kim.data.custody.kept_bytes
    kim = net.restart(kim, choice=Chosen())
    assert kim.data.custody.kept_bytes == before > 0
    net.link(kim, ann)
    said(ann, net, 40)
    net.run(30.0)
    assert kim.data.custody.kept_bytes <= QUOTA_BYTES


def test_a_room_that_is_kept_no_more_is_forgotten_once_it_is_empty(net: FakeNet) -> None:
    """Thirty days after the end of its custody no row of it is left."""
    choice = Chosen()
    ann = member(net, "ann")
    kim = keeper(net, "kim", ann, choice=choice)
    net.run(BEGUN_S)
    ann.say("hello", room="den")
    net.run(1.0)
    ann.kill()
    choice.rooms = set()
    net.run(2 * BEGUN_S)
    assert kept(kim) == [] and on_disk(kim) == ["hello"]
    days_go_by(net, 31, kim)
    net.run(FORGET_S + 2 * CHECK_S)
    assert lobby("den") not in kim.data.ledger.rooms and not kim.store.tables["kept"]
    assert lobby("den") not in kim.store.tables["rooms"]
    assert not [key for key in kim.store.frontiers if key[0] == lobby("den")]


def test_a_full_disk_drops_nothing_and_loses_nothing(net: FakeNet) -> None:
    """What could not be dropped is looked at again."""
    ann = member(net, "ann")
    kim = keeper(net, "kim", ann)
    net.run(BEGUN_S)
    said(ann, net, 12)
    kim.store.failing = "full"
    said(ann, net, 12)
    kim.store.failing = None
    net.run(CHECK_S + 60.0)
    assert kim.data.custody.kept_bytes <= QUOTA_BYTES and kim.hash("den") == ann.hash("den")


def test_a_forked_log_goes_as_a_whole(net: FakeNet) -> None:
    """All branches are dropped, and none is fetched again."""
    ann = member(net, "ann")
    kim = keeper(net, "kim", ann)
    net.run(BEGUN_S)
    one, other = Author("eve"), Author("eve")
    batches = [one.batch("a", room=lobby("den")), other.batch("b", room=lobby("den"))]
    for batch in batches:
        for node in (ann, kim):
            node.handle(BatchReceived(peer=ann.peer, raw=batch.raw, pushed=True))
        net.run(1.0)
    assert sorted(on_disk(kim)) == ["a", "b"]
    days_go_by(net, 1000, kim)
    net.run(60.0)
    assert on_disk(kim) == []
