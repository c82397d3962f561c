"""The checkers of how fast things come: each with a history that is quick enough, and one that is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.simworlds import Call, complaint, cut_off, passes, say_all, small_world, within
from zmqchat.history.batch import Batch
from zmqchat.model.ids import MessageId
from zmqchat.sim.author import Author
from zmqchat.sim.checkers.calm import JUDGED_AFTER_S, LATE_S, Calm, Latency, Tree
from zmqchat.sim.checkers.healing import EQUAL_WITHIN_S, Healing
from zmqchat.sim.checkers.live import CAME_S, GONE_S, HOP_S, RTT_S, Live
from zmqchat.sim.checkers.shown import SHOWN_OFFLINE_S_MAX, Shown
from zmqchat.sim.checks import Checker, CheckFailed
from zmqchat.sim.node import NodePlan
from zmqchat.sim.options import Options
from zmqchat.sim.scenarios.partial import SMALL_PARTIAL
from zmqchat.sim.watch import Watch
from zmqchat.sim.world import World
from zmqchat.wire.tree_frames import RELAY_BYTE

LOBBY = "lobby"
STEP_S = 0.1
CALM_STEPS = 40
"""Of a calm mesh, after which it may be taken to stay so for the two seconds that a test needs."""


def _stepped(checker: Checker, world: World, seconds: float) -> str:
    """Let time pass under a checker's eyes; what it complains of."""
    end_s = world.now_s + seconds
    while world.now_s < end_s:
        passes(world, STEP_S)
        try:
            checker.step(world)
        except CheckFailed as failure:
            return str(failure)
    return ""


# Live: where others must relay -------------------------------------------------------------------------


def _row() -> tuple[World, Call, Call]:
    """Three in a row that have been watched for long enough; a text of the first, and its arrival at the last."""
    world, diary = small_world(*(NodePlan(subnets=subnets) for subnets in (("a",), ("a", "b"), ("b",))))
    say_all(world, "text")
    message = diary.message("text")
    return world, ("acknowledged", (0, LOBBY, message, "text")), ("delivered", (2, LOBBY, message, "text"))


def _watching(world: World) -> Live:
    checker = Live()
    assert _stepped(checker, world, CAME_S + 2 * STEP_S) == ""
    return checker


@pytest.mark.parametrize(
    ("wait_s", "is_late"), [(2 * (HOP_S + RTT_S) - 0.01, False), (2 * (HOP_S + RTT_S) + 0.01, True)]
)
def test_live_gives_a_text_so_much_time_a_hop(wait_s: float, is_late: bool) -> None:
    """The last of three in a row is two hops away."""
    world, said, given = _row()
    checker = _watching(world)
    assert complaint(checker, [said]) == ""
    passes(world, wait_s)
    found = complaint(checker, [given])
    assert ("node 2 got" in found and "2 hops away" in found) if is_late else found == ""


def test_live_finds_what_never_comes() -> None:
    """At the next step after its time, though nobody tells of it."""
    world, said, _given = _row()
    checker = _watching(world)
    assert complaint(checker, [said]) == ""
    assert "too late in lobby" in _stepped(checker, world, 1.0)


def test_live_gives_time_after_a_death() -> None:
    """Those who are left may take a while to find other ways; what was under way then is not judged."""
    world, said, _given = _row()
    checker = _watching(world)
    assert complaint(checker, [said]) == ""
    world.kill(1)
    assert _stepped(checker, world, 2 * STEP_S) == ""
    assert complaint(checker, [said]) == ""
    assert _stepped(checker, world, GONE_S) == ""


def test_live_promises_nothing_in_a_full_mesh_or_in_trouble() -> None:
    """Where all reach all `Latency` looks; in trouble nothing is promised."""
    plans = [NodePlan(subnets=subnets) for subnets in (("a",), ("a", "b"), ("b",))]
    for world, diary in (small_world(), small_world(*plans, faults=("loss",))):
        say_all(world, "text")
        checker = _watching(world)
        assert complaint(checker, [call for call in diary.calls if call[0] == "acknowledged"]) == ""
        assert _stepped(checker, world, 1.0) == ""


# Shown: nobody who lives is shown offline --------------------------------------------------------------


def test_shown_finds_who_lives_and_is_shown_offline_for_long() -> None:
    """Once its watcher had seen everybody; who really is gone may be shown so."""
    world, _diary = small_world(nodes=2)
    checker = Shown()
    assert _stepped(checker, world, 1.0) == ""
    cut_off(world, 1)
    assert "shows node 1 offline from" in _stepped(checker, world, 60.0)
    assert not world.is_online(0, 1)


def test_shown_is_silent_about_the_dead_and_a_short_absence() -> None:
    """A node that was killed does not run, so nothing is wrong; and one that is back in time neither."""
    world, _diary = small_world(nodes=2)
    checker = Shown()
    assert _stepped(checker, world, 1.0) == ""
    world.kill(1)
    assert _stepped(checker, world, 4 * SHOWN_OFFLINE_S_MAX) == ""
    world.restart(1)
    assert _stepped(checker, world, SHOWN_OFFLINE_S_MAX) == ""
    assert world.is_online(0, 1)
    assert complaint(checker, (), world) == ""
    assert world.notes[-1].startswith("2 watched nodes saw everybody; longest shown offline:")


# Healing: what a partition costs -----------------------------------------------------------------------


def _two_halves() -> tuple[World, Healing]:
    """Two nodes that each have said something that the other lacks, at the moment when the trouble ends."""
    world, _diary = small_world(nodes=2)
    cut_off(world, 1)
    for node in (0, 1):
        assert world.say(node, LOBBY, f"half {node} " + 400 * "x")
    passes(world, 5.0)
    checker = Healing(world.now_s)
    assert complaint(checker, (), world, quiet=False) == ""
    return world, checker


def test_healing_tells_what_the_exchange_cost() -> None:
    """Both hold the same soon, and sent about what they lacked."""
    world, checker = _two_halves()
    world.heal()
    assert _stepped(checker, world, 40.0) == ""
    assert complaint(checker, (), world) == ""
    assert "times what it lacked" in world.notes[-1]


def test_healing_finds_halves_that_stay_apart() -> None:
    """Never, or later than it may be."""
    world, checker = _two_halves()
    assert _stepped(checker, world, 1.0) == ""
    assert "not all hold the same" in complaint(checker, (), world)
    late = Healing(world.now_s - EQUAL_WITHIN_S - 1.0)
    assert complaint(late, (), world, quiet=False) == ""
    world.heal()
    within(world, world.agrees, 60.0)
    assert "not all hold the same" in complaint(late, (), world)


def test_healing_finds_a_node_that_carries_it_all() -> None:
    """One that sends more than three times what it lacked."""
    world, checker = _two_halves()
    world.heal()
    within(world, world.agrees, 60.0)
    sent = world.network.sent_history_bytes
    sent[1] = sent.get(1, 0) + 10_000
    found = complaint(checker, (), world)
    assert found.startswith("node 1 sent ") and "that it lacked" in found


# Calm: a partial mesh that is left alone ---------------------------------------------------------------


def _calm(checker: Checker) -> World:
    """A partial mesh that has been left alone for some seconds, under a checker's eyes; its links change seldom."""
    config = replace(SMALL_PARTIAL, visit_interval_s=600.0, shuffle_interval_s=300.0)
    world, calm, calm_steps = World(Options(seed=1, nodes=8), (NodePlan(),) * 8, Watch((), None), config), Calm(), 0
    while calm_steps < CALM_STEPS:
        assert _stepped(checker, world, STEP_S) == ""
        assert world.now_s < 120.0
        calm_steps = calm_steps + 1 if calm.look(world) else 0
    return world


@pytest.mark.parametrize(("times", "is_found"), [(1, False), (2, True)])
def test_tree_finds_a_batch_that_comes_twice_through_a_drawn_tree(times: int, is_found: bool) -> None:
    """The first two of an author draw it; the third comes to each node once."""
    checker = Tree()
    world = _calm(checker)
    tap = world.network.tap
    assert tap is not None

    def arrives(batch: Batch, times: int) -> None:
        for _ in range(times):
            tap(1, bytes((RELAY_BYTE, 0)) + batch.raw)

    *drawing, third = Author("zoe").chain(3)
    for batch in drawing:
        arrives(batch, 2)
    arrives(third, times)
    found = _stepped(checker, world, JUDGED_AFTER_S + 2 * STEP_S)
    assert ("number 2 of node" in found and "came 1 times to who had it" in found) if is_found else found == ""


@pytest.mark.parametrize(("late_s", "is_found"), [(0.0, False), (LATE_S + 0.05, True), (10.0, True)])
def test_latency_finds_what_comes_late_in_a_calm_mesh(late_s: float, is_found: bool) -> None:
    """At once, too late, and never within the time in which it is looked for."""
    checker = Latency()
    world = _calm(checker)
    message = MessageId(world.nodes[0].peer, 1, 0, bytes(8))
    members = world.members(LOBBY)
    assert complaint(checker, [("acknowledged", (members[0], LOBBY, message, "text"))]) == ""
    given: list[Call] = [("delivered", (node, LOBBY, message, "text")) for node in members[1:]]
    assert complaint(checker, given[:-1]) == ""
    found = _stepped(checker, world, late_s) if late_s else ""
    assert found == "" or late_s > JUDGED_AFTER_S
    assert complaint(checker, given[-1:]) == ""
    found = found or _stepped(checker, world, JUDGED_AFTER_S + 2 * STEP_S)
    assert (f"s to node {members[-1]} in lobby" in found) == is_found
