"""Each checker of what all agree on is silent where they do, and complains of the one who sees something else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.simworlds import complaint, cut_off, passes, process_of, say_all, small_world, within
from zmqchat.model.ids import LogKey
from zmqchat.protocol.effects import DropBatch
from zmqchat.sim.checkers.agreement import Members, Presence, Receipts, Timelines
from zmqchat.sim.checks import Checker
from zmqchat.sim.node import NodePlan
from zmqchat.sim.world import World

LOBBY = "lobby"


@pytest.mark.parametrize("checker_type", [Timelines, Members, Presence, Receipts])
def test_a_good_run_is_not_complained_of(checker_type: Callable[[], Checker]) -> None:
    """All see the same texts, members and presence, and are said to hold what they hold."""
    world, _diary = small_world()
    say_all(world, "one", "two", "three")
    passes(world, 2.0)
    assert complaint(checker_type(), (), world) == ""


def _drop(world: World, node: int, place: int) -> None:
    """Take one text out of a node's history."""
    message = world.timeline(node, LOBBY)[place].message
    key = LogKey(message.author, message.log)
    world.nodes[node].disk.write([DropBatch(world.room(LOBBY), key, message.number, message.number + 1, 0)])


def test_timelines_finds_texts_that_one_lacks_and_texts_that_differ() -> None:
    """The number is told where one has fewer, else the place."""
    world, _diary = small_world()
    say_all(world, "one", "two", "three")
    _drop(world, 2, 2)
    assert "nodes 0 and 2 see 3 and 2 texts in lobby" in complaint(Timelines(), (), world)
    _drop(world, 1, 2)
    _drop(world, 0, 0)
    assert "nodes 0 and 1 see different texts at place 0 in lobby" in complaint(Timelines(), (), world)
    world.leave(0, LOBBY)
    passes(world, 0.5)
    assert complaint(Timelines(), (), world) == ""


@pytest.mark.parametrize(("faults", "is_found"), [((), True), (("partition",), True), (("clock-jumps",), False)])
def test_members_finds_one_who_has_left_and_is_shown(faults: tuple[str, ...], is_found: bool) -> None:
    """A partition is no excuse once it is over; a clock that was put back before it left is."""
    world, _diary = small_world(faults=faults)
    cut_off(world, 2)
    world.leave(2, LOBBY)
    passes(world, 0.5)
    assert ("sees 3 members in lobby, where 2 are" in complaint(Members(), (), world)) == is_found


@pytest.mark.parametrize(("faults", "is_found"), [((), True), (("partition",), True), (("full-disk",), False)])
def test_members_finds_one_who_is_in_and_not_shown(faults: tuple[str, ...], is_found: bool) -> None:
    """A partition is no excuse once it is over; a disk that took no writes is."""
    world, _diary = small_world(NodePlan(), NodePlan(), NodePlan(rooms=()), faults=faults)
    cut_off(world, 2)
    world.join(2, LOBBY)
    passes(world, 0.5)
    assert ("members in lobby, where 3 are" in complaint(Members(), (), world)) == is_found


def test_presence_finds_the_dead_that_are_shown_online() -> None:
    """Until their silence has been noticed."""
    world, _diary = small_world()
    checker = Presence()
    assert complaint(checker, (), world) == ""
    world.kill(2, power=True)
    passes(world, 0.5)
    assert "node 0 shows node 2 online, which does not run" in complaint(checker, (), world)
    within(world, lambda: not (world.is_online(0, 2) or world.is_online(1, 2)), 60.0)
    assert complaint(checker, (), world) == ""


def test_presence_finds_the_living_that_are_shown_offline() -> None:
    """Where two were in touch once; whoever never was may still be looked for."""
    world, _diary = small_world(nodes=2)
    has_seen, has_not = Presence(), Presence()
    assert complaint(has_seen, (), world) == ""
    cut_off(world, 1)
    within(world, lambda: not world.is_online(0, 1), 60.0)
    assert "node 0 shows node 1 offline, which runs" in complaint(has_seen, (), world)
    assert complaint(has_not, (), world) == ""


def test_receipts_finds_a_holder_that_holds_nothing() -> None:
    """A node that a text was acknowledged by and that lost it; what a known backup took away is excused."""
    world, _diary = small_world()
    backup = world.snapshot(1)
    assert complaint(Receipts(), (), world) == ""
    say_all(world, "held")
    passes(world, 1.0)
    cut_off(world, 1)
    world.restore(1, backup)
    world.restart(1)
    passes(world, 0.2)
    assert "node 0 was told that node 1 holds its log up to" in complaint(Receipts(), (), world, quiet=False)
    assert complaint(Receipts(), [("rewound", (1,))], world, quiet=False) == ""


def test_receipts_finds_a_holder_of_whom_nobody_hears() -> None:
    """At the end only: before, word may be under way."""
    world, _diary = small_world()
    world.cut(1, 0, one_way=True)
    assert world.say(0, LOBBY, "heard of by none")
    passes(world, 1.0)
    assert complaint(Receipts(), (), world, quiet=False) == ""
    assert "node 0 never hears that node 1 holds" in complaint(Receipts(), (), world)
    assert not process_of(world, 0).is_stopping
    world.mend(0, 1)
    passes(world, 3.0)
    assert complaint(Receipts(), (), world) == ""
