"""When another log number is drawn, and when the same one goes on."""

from __future__ import annotations

import copy

import pytest

from tests.support.authors import Author, Stranger
from tests.support.fakelink import FakeNet, FakeNode, lobby, peer_of, quick
from zmqchat.history.batch import BatchHeader, peek
from zmqchat.model.ids import LogKey
from zmqchat.model.limits import LOGS_PER_AUTHOR_MAX
from zmqchat.protocol.data_effects import OwnFailed, OwnLogDrawn
from zmqchat.protocol.data_facts import OwnLogAhead
from zmqchat.wire.frames import Have, HaveEntry


@pytest.fixture
def net() -> FakeNet:
    """A network of nobody."""
    return FakeNet(config=quick(sync_interval_s=60.0))


def living(net: FakeNet, name: str = "ann") -> FakeNode:
    """A node in the lobby that has said something."""
    node = net.node(name)
    node.join()
    node.say("before")
    net.run(0.1)
    return node


def reasons(node: FakeNode) -> list[str]:
    """Why numbers were drawn in this life."""
    return [effect.reason for effect in node.of(OwnLogDrawn)]


def test_killed_process_goes_on_in_the_same_log(net: FakeNet) -> None:
    """SIGKILL is no power loss: what was sent was committed first."""
    ann = living(net)
    log = ann.data.ledger.own_log
    ann = net.restart(ann)
    (said,) = ann.say("after")
    net.run(0.1)
    assert reasons(ann) == [] and said.log == log and said.number == 3


@pytest.mark.parametrize("moved", [True, False])
def test_fresh_and_moved_stores_draw_a_number(net: FakeNet, moved: bool) -> None:
    """A copied home never writes under the number of the other copy."""
    ann = living(net)
    log = ann.data.ledger.own_log
    assert reasons(ann) == ["fresh"]
    ann = net.restart(ann, moved=moved)
    ann.say("after")
    net.run(0.1)
    assert reasons(ann) == (["moved"] if moved else [])
    again = net.restart(ann)
    assert again.data.ledger.own_log == ann.data.ledger.own_log != 0
    assert (again.data.ledger.own_log == log) is not moved


def test_power_loss_without_an_answer_draws_at_the_first_event(net: FakeNet) -> None:
    """The disk may have lied and nobody can tell: a caller may wait log_probe_s, then a new number is safe."""
    ann = net.restart(living(net), power_lost=True)
    assert ann.data.own_log.doubt_s(ann.instant()) == net.config.log_probe_s
    net.run(net.config.log_probe_s)
    assert ann.data.own_log.doubt_s(ann.instant()) == 0 and reasons(ann) == []
    ann.say("after")
    assert reasons(ann) == ["unclean"]


def test_power_loss_with_an_answer_goes_on_in_the_same_log(net: FakeNet) -> None:
    """A peer that holds no more than we do clears the doubt."""
    ann, bob = living(net), living(net, "bob")
    net.link(ann, bob)
    net.run(1.0)
    ann = net.restart(ann, power_lost=True)
    net.link(ann, bob)
    net.run(1.0)
    assert ann.data.own_log.doubt_s(ann.instant()) == 0
    ann.say("after")
    net.run(0.1)
    assert reasons(ann) == []


def test_peer_with_more_of_our_log_makes_us_draw_and_fetch(net: FakeNet) -> None:
    """A restored backup keeps both histories: the lost tail comes back, and goes on under another number."""
    ann, bob = living(net), living(net, "bob")
    backup = copy.deepcopy(ann.store)
    net.link(ann, bob)
    net.run(1.0)
    ann.say("lost")
    net.run(1.0)
    ann.store, ann_log = backup, ann.data.ledger.own_log
    ann = net.restart(ann)
    net.link(ann, bob)
    net.run(1.0)
    assert reasons(ann) == ["ahead"]
    ann.say("after")
    net.run(2.0)
    assert ann.hash() == bob.hash()
    assert sorted(ann.texts()) == ["after", "before", "lost"]
    assert ann.data.ledger.own_log != ann_log


def test_posts_that_wait_when_the_number_changes_are_not_stored(net: FakeNet) -> None:
    """Their ids name the old log: they are given up and can be sent again; what is under way is kept."""
    ann = living(net)
    ann.store.delay_s = 1.0
    (under_way,) = ann.say("under way")
    (waiting,) = ann.say("waiting")
    ann.handle(OwnLogAhead(peer=peer_of("bob"), proven=True))
    assert [(e.log, e.first, e.end, e.full) for e in ann.of(OwnFailed)] == [
        (waiting.log, waiting.number, waiting.number + 1, False)
    ]
    ann.say("after")
    net.run(3.0)
    assert ann.texts()[-2:] == ["under way", "after"]
    assert under_way.log != ann.data.ledger.own_log


def test_failure_after_the_number_changed_is_told_of_the_old_log(net: FakeNet) -> None:
    """What was under way when the number changed fails under its own number, and the row goes with the next."""
    ann = living(net)
    ann.store.delay_s = 1.0
    (under_way,) = ann.say("under way")
    ann.handle(OwnLogAhead(peer=peer_of("bob"), proven=True))
    ann.store.failing = "broken"
    net.run(1.5)
    (failed,) = ann.of(OwnFailed)
    assert (failed.log, failed.first, failed.detail) == (under_way.log, under_way.number, "broken")
    ann.say("failing too")
    net.run(1.5)
    ann.store.failing = None
    ann.say("after")
    net.run(2.0)
    assert net.restart(ann).data.ledger.own_log == ann.data.ledger.own_log


def test_mere_words_make_us_draw_a_few_times_only(net: FakeNet) -> None:
    """Each number is a place among 256, so a liar can't use them up; a batch with our signature always counts."""
    ann = living(net)
    eve = Stranger(net, ann)
    for _ in range(10):
        entry = HaveEntry(ann.peer, ann.data.ledger.own_log, bytes(8), 99)
        eve.send(Have(room=lobby(), holder=eve.peer, entries=(entry,)))
    assert reasons(ann).count("ahead") == 4
    twin = Author("ann")
    eve.push(twin.batch(log=ann.data.ledger.own_log, first=50))
    assert reasons(ann).count("ahead") == 5


def test_mere_words_take_none_of_the_last_numbers(net: FakeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often we start anew, a liar leaves us numbers that real reasons may need."""
    monkeypatch.setattr("zmqchat.protocol.ownlog.LOGS_KEPT", LOGS_PER_AUTHOR_MAX - 6)
    ann = living(net)
    for life in range(5):
        eve = Stranger(net, ann)
        for attempt in range(3):
            entry = HaveEntry(ann.peer, ann.data.ledger.own_log, bytes(8), 99)
            eve.send(Have(room=lobby(), holder=eve.peer, entries=(entry,)))
            ann.say(f"{life} {attempt}")
            net.run(0.1)
        ann = net.restart(ann)
    assert len(ann.data.ledger.rooms[lobby()].frontier.of_author(ann.peer)) == 6


def test_own_clock_put_right_draws_a_number_and_starts_anew(net: FakeNet) -> None:
    """Hostile 53: in 2099 and back: nothing lost, sends go on, sealed by the right clock."""
    ann = living(net)
    ann.wall_offset_ms = 75 * 365 * 24 * 3_600_000
    ann.say("from 2099")
    net.run(0.1)
    ann.wall_offset_ms = 0
    ann.say("back again")
    net.run(0.1)
    assert reasons(ann) == ["fresh", "clock"]
    assert ann.texts() == ["before", "from 2099", "back again"]
    last = peek(ann.delivers[-1].raw or b"")
    assert isinstance(last, BatchHeader) and (last.sealed_at >> 16) - ann.instant().wall_ms < 60_000


def test_start_with_a_log_sealed_in_the_future_draws_a_number(net: FakeNet) -> None:
    """The clock was put right while the node was stopped."""
    ann = living(net)
    ann.wall_offset_ms = 3_600_000
    ann.say("an hour ahead")
    net.run(0.1)
    ann = net.restart(ann)
    assert reasons(ann) == ["clock"]


def test_start_with_a_forked_log_draws_a_number(net: FakeNet) -> None:
    """A log that has two histories is closed for its author."""
    ann = living(net)
    log, end = ann.data.ledger.own_log, ann.end(ann)
    key = LogKey(ann.peer, log)
    frontier = ann.data.ledger.frontier(lobby(), key)
    assert frontier is not None
    eve = Stranger(net, ann)
    twin = Author("ann")
    ann.data.ledger.own_log = 1
    ann.say("elsewhere")
    net.run(0.1)
    other = twin.batch(("the other life",), log=log, first=end, previous=frontier.ranges[0].head)
    more = twin.batch(("once more",), log=log, first=end, previous=frontier.ranges[0].head)
    eve.push(other, more)
    net.run(0.1)
    assert ann.data.ledger.rooms[lobby()].frontier.is_forked(ann.peer, log)
    assert reasons(net.restart(ann)) == ["forked"]


def test_damaged_row_counts_as_a_fresh_store(net: FakeNet) -> None:
    """A number that can't be read is not guessed."""
    ann = living(net)
    ann.store.tables["meta"][b"own-log"] = b"?"
    assert reasons(net.restart(ann)) == ["fresh"]
