"""Each checker of conduct is silent about honest nodes, and complains of blame, forks, wrong stamps and excess."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.simworlds import complaint, cut_off, passes, process_of, say_all, small_world, within
from zmqchat.protocol.effects import Effect
from zmqchat.protocol.facts import PeerAbused
from zmqchat.protocol.machine import Machine, Size
from zmqchat.sim.checkers import conduct
from zmqchat.sim.checkers.conduct import Bounds, Clocks, Links, NoFault, NoFork
from zmqchat.sim.checks import Checker
from zmqchat.sim.node import NodePlan
from zmqchat.sim.world import World

LOBBY = "lobby"
DAY_S = 86_400.0


@pytest.mark.parametrize("checker_type", [NoFault, NoFork, Clocks, Links, Bounds])
def test_a_good_run_is_not_complained_of(checker_type: Callable[[], Checker]) -> None:
    """Honest nodes that talk do nothing of the kind."""
    world, diary = small_world()
    say_all(world, "one", "two", "three")
    assert complaint(checker_type(), diary.calls, world) == ""


def _blame(world: World, node: int, other: int) -> None:
    peer = world.nodes[other].peer
    process_of(world, node).feed(PeerAbused(peer=peer, reason="flood"))


def test_fault_finds_blame_between_honest_nodes() -> None:
    """Whoever is blamed, where nobody is hostile."""
    world, _diary = small_world()
    _blame(world, 0, 1)
    assert "node 0 blames a peer: flood" in complaint(NoFault(), (), world)


def test_fault_lets_the_hostile_be_blamed() -> None:
    """Blame on the hostile one is right, on another one it is not."""

    def as_it_is(effect: Effect) -> Effect:
        return effect

    world, _diary = small_world(NodePlan(), NodePlan(), NodePlan(tamper=as_it_is))
    assert world.hostile == {2}
    _blame(world, 0, 2)
    assert complaint(NoFault(), (), world) == ""
    _blame(world, 0, 1)
    assert "node 0 blames node 1" in complaint(NoFault(), (), world)


@pytest.mark.parametrize(("faults", "is_found"), [((), True), (("fork",), False)])
def test_fork_finds_two_histories_of_a_log(faults: tuple[str, ...], is_found: bool) -> None:
    """Unless the run is about backups that nothing gives away."""
    world, diary = small_world(nodes=2, faults=faults)
    backup = world.snapshot(0)
    say_all(world, "before")
    log = diary.message("before")[:2]
    cut_off(world, 0)
    world.restore(0, backup, noticed=False)
    world.restart(0)
    passes(world, 1.0)
    world.say(0, LOBBY, "instead")
    passes(world, 0.5)
    assert complaint(NoFork(), (), world) == ""
    world.heal()
    rooms = process_of(world, 1).machines.data.ledger.rooms
    within(world, lambda: rooms[world.room(LOBBY)].frontier.is_forked(*log), 60.0)
    assert ("two histories of log" in complaint(NoFork(), (), world)) == is_found


@pytest.mark.parametrize("is_seen_ahead", [False, True])
def test_clock_finds_a_stamp_that_no_clock_of_its_author_showed(is_seen_ahead: bool) -> None:
    """A text from tomorrow is wrong where the author's clock never was there, and right where it was."""
    world, diary = small_world()
    checker = Clocks()
    assert complaint(checker, (), world, quiet=False) == ""
    world.jump_clock(0, DAY_S)
    if is_seen_ahead:
        assert complaint(checker, (), world, quiet=False) == ""
    world.say(0, LOBBY, "from tomorrow")
    passes(world, 0.5)
    world.jump_clock(0, -DAY_S)
    found = complaint(checker, diary.calls, world)
    assert (found == "") if is_seen_ahead else ("node 0 stamps" in found and "s ahead" in found)


def test_links_finds_more_peers_than_a_node_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """At every step."""
    world, _diary = small_world()
    monkeypatch.setattr(conduct, "PEERS_LIVE_MAX", 1)
    assert "node 0 has 2 links" in complaint(Links(), (), world, quiet=False)


def test_links_finds_a_second_connection_with_a_peer() -> None:
    """At the end; one that the other end has closed already does not count."""
    world, _diary = small_world(nodes=2)
    dialler, listener = (process_of(world, node) for node in (0, 1))
    if listener.directs:
        dialler, listener = listener, dialler
    (connection,) = dialler.directs.values()
    listener.directs[dialler.peer] = connection
    assert complaint(Links(), (), world, quiet=False) == ""
    assert f"node {listener.number} keeps two connections with node {dialler.number}" in complaint(Links(), (), world)
    connection.dialler_open = False
    assert complaint(Links(), (), world) == ""


def _swelling(world: World, node: int, kept: Callable[[], int]) -> Machine:
    """Let one of a node's machines say that it keeps so many things, of which it may keep ten."""
    machine = process_of(world, node).machines.mesh.machines[3]
    machine.sizes = lambda: (Size("things", kept(), 10),)  # type: ignore[method-assign]  # the excess that is planted
    return machine


@pytest.mark.parametrize(("kept", "is_found"), [(10, False), (11, True)])
def test_bounds_finds_what_grows_beyond_its_bound(kept: int, is_found: bool) -> None:
    """At a step, in any machine of any node."""
    world, _diary = small_world()
    machine = _swelling(world, 2, lambda: kept)
    found = complaint(Bounds(), (), world, quiet=False)
    assert found == (f"node 2: {type(machine).__name__} keeps 11 things, at most 10" if is_found else "")


def test_bounds_finds_what_has_shrunk_again_by_the_next_step() -> None:
    """Machines are asked in turn after each fact that a node handles."""
    world, _diary = small_world()
    checker, kept = Bounds(), 5
    assert complaint(checker, (), world) == ""
    _swelling(world, 1, lambda: kept)
    kept = 50
    say_all(world, *map(str, range(20)))
    kept = 5
    assert "keeps 50 things" in complaint(checker, (), world, quiet=False)


def test_bounds_finds_too_many_pieces_and_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the frontiers at the end."""
    world, _diary = small_world()
    say_all(world, "one", "two", "three")
    assert complaint(Bounds(), (), world) == ""
    monkeypatch.setattr(conduct, "RANGES_MAX", 0)
    assert "ranges of a log in lobby" in complaint(Bounds(), (), world)
    monkeypatch.undo()
    monkeypatch.setattr(conduct, "LOGS_PER_AUTHOR_MAX", 0)
    assert "logs of one author in lobby" in complaint(Bounds(), (), world)
