"""Each kind of trouble: what it does to a world, that it ends, and that it does not depend on the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.simworlds import passes, process_of, small_world
from zmqchat.sim.clocks import WALL_START_MS
from zmqchat.sim.conditions import LinkQuality
from zmqchat.sim.faults import FAULTS, FIRST_S, plan_faults
from zmqchat.sim.node import NodePlan
from zmqchat.sim.options import Options
from zmqchat.sim.watch import Watch
from zmqchat.sim.world import World

NODES = 5
DURATION_S = 40.0
SEEDS = range(1, 9)

Planned = list[tuple[float, str, str]]
"""When, which command, with what."""


class Planning(World):
    """A world of nodes that do not start, which notes what is planned and what is done to it at once."""

    def __init__(self, seed: int, *faults: str, nodes: int = NODES) -> None:
        options = Options(seed=seed, nodes=nodes, duration_s=DURATION_S, faults=faults)
        super().__init__(options, (NodePlan(start_s=None),) * nodes, Watch((), None))
        self.planned: Planned = []
        self.done: list[str] = []
        plan_faults(self)

    def at(self, at_s: float, command: Callable[..., object], *arguments: object) -> None:
        """Note it, and do it when its time comes."""
        self.planned.append((at_s, command.__name__, repr(arguments)))
        super().at(at_s, command, *arguments)


def _planned(seed: int, *faults: str) -> Planned:
    return sorted(Planning(seed, *faults).planned)


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_trouble_is_within_the_run_and_of_the_seed_only(fault: str) -> None:
    """Nothing before the first second nor after the last, the same for a seed, and not always the same."""
    for seed in SEEDS:
        moments_s = [at_s for at_s, _command, _arguments in _planned(seed, fault)]
        assert all(FIRST_S <= at_s <= DURATION_S for at_s in moments_s)
        assert [at_s for at_s, _c, _a in _planned(seed, fault)] == moments_s
    at_once = fault in ("loss", "skew", "drift")
    assert len({tuple(at_s for at_s, _c, _a in _planned(seed, fault)) for seed in SEEDS}) > 1 or at_once


def test_one_kind_of_trouble_does_not_shift_another() -> None:
    """Leaving one out changes nothing of what the others do: that is what makes a failed run easy to shrink."""

    def moments(*faults: str) -> list[tuple[float, str]]:
        return [(at_s, command) for at_s, command, _arguments in _planned(3, *faults)]

    both = moments("kill", "partition")
    assert both == sorted(moments("kill") + moments("partition"))
    assert both == moments("partition", "kill")


@pytest.mark.parametrize(
    ("fault", "begins", "ends"),
    [
        ("partition", "partition", "heal"),
        ("cut", "cut", "mend"),
        ("kill", "kill", "restart"),
        ("stop", "stop", "restart"),
        ("pause", "pause", "resume"),
    ],
)
def test_each_trouble_that_begins_is_ended(fault: str, begins: str, ends: str) -> None:
    """For the same nodes, some time later."""
    for seed in SEEDS:
        planned = Planning(seed, fault).planned
        assert planned and len(planned) % 2 == 0
        for begun, ended in zip(planned[::2], planned[1::2], strict=True):
            assert (begun[1], ended[1]) == (begins, ends)
            assert begun[0] < ended[0] or ended[0] == DURATION_S
            assert begun[2] == ended[2] or fault == "partition"


def _seen(fault: str, look: Callable[[World], Any], seed: int = 2) -> set[Any]:
    """What this looks like from second to second, in a world of nodes that run and meet this trouble."""
    world, _diary = small_world(nodes=3, seed=seed, faults=(fault,), seconds=0.0)
    plan_faults(world)
    seen = set()
    for _ in range(int(world.options.duration_s / 0.25)):
        passes(world, 0.25)
        seen.add(look(world))
    return seen


def _thin_lines(world: World) -> tuple[bool, bool]:
    conditions = world.network.conditions
    return bool(conditions.bandwidths), bool(conditions.inward_bytes_s)


def test_a_slow_peer_has_a_thin_line_out_or_in() -> None:
    """One of the two in each run, either in some."""
    seen = {max(_seen("slow-peer", _thin_lines, seed)) for seed in SEEDS}
    assert seen == {(True, False), (False, True)}


def _pairs_that_pass(world: World) -> tuple[bool, ...]:
    passing = world.network.conditions.passes
    return tuple(passing(one, other) for one in range(3) for other in range(3) if one != other)


def _forth(state: tuple[bool, ...]) -> tuple[bool, ...]:
    """From the lower number to the higher: 0 to 1, 0 to 2, 1 to 2."""
    return (state[0], state[1], state[3])


def _back(state: tuple[bool, ...]) -> tuple[bool, ...]:
    """The same pairs in the other direction."""
    return (state[2], state[4], state[5])


def test_the_network_falls_apart_in_the_way_that_is_named() -> None:
    """Both directions or one; all pass before and after."""
    for fault, symmetric in (("partition", True), ("cut", True), ("one-way", False)):
        seen = _seen(fault, _pairs_that_pass)
        assert len(seen) > 1 and (True,) * 6 in seen
        uneven = [state for state in seen if _forth(state) != _back(state)]
        assert not uneven if symmetric else uneven


@pytest.mark.parametrize(
    ("fault", "look"),
    [
        ("loss", lambda world: world.network.conditions.quality.loss > 0),
        ("latency", lambda world: any(world.network.conditions.between(0, n) != LinkQuality() for n in (1, 2))),
        ("slow-peer", lambda world: any(_thin_lines(world))),
        ("kill", lambda world: len(world.live()) < 3),
        ("power", lambda world: len(world.live()) < 3),
        ("stop", lambda world: len(world.live()) < 3),
        ("pause", lambda world: not all(node.is_responsive for node in world.nodes)),
        ("full-disk", lambda world: any(node.disk.full for node in world.nodes)),
        ("broken-disk", lambda world: any(node.disk.broken for node in world.nodes)),
        ("unreadable-disk", lambda world: any(node.disk.unreadable for node in world.nodes)),
        ("slow-disk", lambda world: any(node.disk.fsync_s > 0.01 for node in world.nodes)),
        ("drift", lambda world: any(node.clock.rate != 1.0 for node in world.nodes)),
        ("backup", lambda world: any(node.disk.moved for node in world.nodes)),
        ("fork", lambda world: any(node.lives > 1 for node in world.nodes)),
    ],
)
def test_trouble_is_what_it_is_called(fault: str, look: Callable[[World], bool]) -> None:
    """In one of a few seeds at least it is seen in the world."""
    assert any(True in _seen(fault, look, seed) for seed in (2, 3, 4))


def test_wrong_clocks_are_wrong_from_the_start_and_jumping_ones_change() -> None:
    """By seconds or by years."""

    def walls_s(world: World) -> tuple[int, ...]:
        errors_ms = (node.clock.instant(world.now_s).wall_ms - WALL_START_MS for node in world.nodes)
        return tuple(round(error_ms / 1000 - world.now_s) for error_ms in errors_ms)

    (skewed,) = _seen("skew", walls_s)
    assert any(skewed)
    jumping = _seen("clock-jumps", walls_s)
    assert len(jumping) > 1


@pytest.mark.parametrize(("fault", "is_forked"), [("backup", False), ("fork", True)])
def test_a_backup_is_noticed_and_a_fork_is_not(fault: str, is_forked: bool) -> None:
    """Only the first gives away that it is a copy, so only after the second a log has two histories."""
    world, _diary = small_world(nodes=2, seed=2, faults=(fault,), seconds=0.0)
    plan_faults(world)
    for number in range(60):
        passes(world, 0.5)
        world.say(number % 2, "lobby", f"text {number}")
    world.make_whole()
    passes(world, 20.0)
    said = world.timeline(0, "lobby")
    assert "text after the backup" in {each.text for each in said}
    frontier = process_of(world, 1).machines.data.ledger.rooms[world.room("lobby")].frontier
    assert any(frontier.is_forked(*each.message[:2]) for each in said) == is_forked
