"""Who joins a room that it kept for others lacks nothing of it."""

from __future__ import annotations

import pytest

from tests.protocol.test_custody import QUOTA_BYTES, on_disk, said
from tests.protocol.test_keeping import BEGUN_S, Chosen, keeper, member
from tests.support.fakelink import FakeNet, lobby, quick
from zmqchat.model.limits import MIB


@pytest.fixture
def net() -> FakeNet:
    """Nodes that keep 64 KiB."""
    return FakeNet(config=quick(sync_interval_s=5.0, keeper_mib=QUOTA_BYTES / MIB))


def test_who_joins_gets_what_it_had_let_go_of(net: FakeNet) -> None:
    """A keeper's floors mean nothing to a member: all comes, once, in the author's order."""
    ann = member(net, "ann")
    texts = said(ann, net, 40)
    kim = keeper(net, "kim", ann)
    net.run(BEGUN_S)
    left = on_disk(kim)
    assert len(left) < len(texts)
    kim.join("den")
    net.run(120.0)
    assert kim.texts("den") == texts and kim.gaps("den") == []
    assert on_disk(kim) == texts and kim.data.custody.kept_bytes == 0
    assert not kim.store.tables["kept"]
    kim = net.restart(kim, choice=Chosen())
    assert kim.data.custody.kept_bytes == 0 and lobby("den") in kim.data.ledger.joined_rooms()


def test_floors_go_down_after_a_crash_too(net: FakeNet) -> None:
    """A kill between joining and reopening leaves a row by which the next start goes on."""
    ann = member(net, "ann")
    texts = said(ann, net, 40)
    kim = keeper(net, "kim", ann)
    net.run(BEGUN_S)
    kim.store.unreadable = True
    kim.join("den")
    net.run_until(lambda: kim.store.tables["rooms"][lobby("den")][1] & 1 == 1)
    kim.store.unreadable = False
    kim = net.restart(kim, choice=Chosen())
    net.run(1.0)
    net.link(kim, ann)
    net.run(120.0)
    assert on_disk(kim) == texts and not kim.store.tables["kept"]


def test_what_nobody_here_holds_is_asked_of_who_comes(net: FakeNet) -> None:
    """The author is away when a keeper joins: it is asked once it is back."""
    ann = member(net, "ann")
    texts = said(ann, net, 40)
    kim = keeper(net, "kim", ann)
    net.run(BEGUN_S)
    net.unlink(ann, kim)
    kim.join("den")
    net.run(60.0)
    assert len(on_disk(kim)) < len(texts) and len(kim.gaps("den")) == 1
    net.link(ann, kim)
    net.run(30.0)
    assert on_disk(kim) == texts and sorted(kim.texts("den")) == sorted(texts)


def test_a_store_that_fails_delays_it_only(net: FakeNet) -> None:
    """It is tried again."""
    ann = member(net, "ann")
    texts = said(ann, net, 40)
    kim = keeper(net, "kim", ann)
    net.run(BEGUN_S)
    kim.store.unreadable = True
    kim.join("den")
    net.run(5.0)
    kim.store.unreadable = False
    kim.store.failing = "full"
    net.run(70.0)
    kim.store.failing = None
    net.run(120.0)
    assert on_disk(kim) == texts
