"""The kinds of trouble that a run may meet: each plans its part from the seed, for any scenario.

Each kind draws from a generator of its own, so that leaving one out does not change what the others do: that is what
makes a failed run easy to shrink. All trouble is over when the run's duration is: the simulation makes everything
whole then, so a plan may leave things broken at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Final

from zmqchat.sim.conditions import LinkQuality
from zmqchat.sim.world import World

Planner = Callable[[World, Random], None]

FIRST_S: Final = 1.0
"""Nothing happens before this: a network begins whole."""

YEAR_S: Final = 365 * 86_400.0


def plan_faults(world: World) -> None:
    """Schedule all trouble that the run's options name."""
    for name in world.options.faults:
        FAULTS[name](world, Random(f"{world.options.seed} fault {name}"))


def _between(rng: Random, low: float, high: float) -> float:
    return low + (high - low) * rng.random()


def _later(world: World, rng: Random, at_s: float, least_s: float, most_s: float) -> float:
    """When what began at at_s is over: so much later, at most at the end of the run."""
    return min(world.options.duration_s, at_s + _between(rng, least_s, most_s))


def _moments(world: World, rng: Random, most: int) -> Iterator[float]:
    """One to `most` moments of the run."""
    for _ in range(rng.randint(1, most)):
        yield _between(rng, FIRST_S, max(FIRST_S, world.options.duration_s))


def _node(world: World, rng: Random) -> int:
    return rng.randrange(len(world.nodes))


def _pair(world: World, rng: Random) -> tuple[int, int]:
    one = _node(world, rng)
    other = (one + rng.randrange(1, len(world.nodes))) % len(world.nodes)
    return one, other


def _partition(world: World, rng: Random) -> None:
    """The network falls into two or three parts, and heals."""
    for at_s in _moments(world, rng, 2):
        groups: list[list[int]] = [[] for _ in range(rng.randint(2, 3))]
        for node in range(len(world.nodes)):
            groups[rng.randrange(len(groups))].append(node)
        world.at(at_s, world.partition, groups)
        world.at(_later(world, rng, at_s, 0.5, 15.0), world.heal)


def _cut(world: World, rng: Random) -> None:
    """Pairs of nodes lose each other for a while."""
    for at_s in _moments(world, rng, 4):
        one, other = _pair(world, rng)
        world.at(at_s, world.cut, one, other)
        world.at(_later(world, rng, at_s, 0.5, 15.0), world.mend, one, other)


def _one_way(world: World, rng: Random) -> None:
    """What one node sends another gets lost, not what it is sent."""
    for at_s in _moments(world, rng, 3):
        one, other = _pair(world, rng)
        world.at(at_s, lambda one=one, other=other: world.cut(one, other, one_way=True))
        world.at(_later(world, rng, at_s, 0.5, 15.0), world.mend, one, other)


def _loss(world: World, rng: Random) -> None:
    """Packets get lost, feeds lose and double frames."""
    quality = LinkQuality(
        loss=0.1 * rng.random(), feed_loss=rng.choice((0.02, 0.2, 0.7)), feed_double=0.2 * rng.random()
    )
    world.set_quality(quality)


def _latency(world: World, rng: Random) -> None:
    """Some links are long, and frames on different ones overtake each other."""
    for at_s in _moments(world, rng, 4):
        one, other = _pair(world, rng)
        least_s = _between(rng, 0.01, 0.5)
        world.at(at_s, world.set_link, one, other, LinkQuality(latency_s=(least_s, 2 * least_s), jitter=2.0))
        world.at(_later(world, rng, at_s, 1.0, 20.0), world.set_link, one, other, None)


def _slow_peer(world: World, rng: Random) -> None:
    """One node has a thin line out, or in."""
    node, bytes_s = _node(world, rng), _between(rng, 5_000.0, 40_000.0)
    conditions = world.network.conditions
    for at_s in _moments(world, rng, 1):
        line = conditions.bandwidths if rng.random() < 0.5 else conditions.inward_bytes_s
        world.at(at_s, line.__setitem__, node, bytes_s)


def _kill(world: World, rng: Random) -> None:
    """Processes die at once (kill -9) and start again."""
    for at_s in _moments(world, rng, 4):
        node = _node(world, rng)
        world.at(at_s, world.kill, node)
        world.at(_later(world, rng, at_s, 0.1, 10.0), world.restart, node)


def _power(world: World, rng: Random) -> None:
    """Machines go off, and come back."""
    for at_s in _moments(world, rng, 3):
        node = _node(world, rng)
        world.at(at_s, lambda node=node: world.kill(node, power=True))
        world.at(_later(world, rng, at_s, 0.5, 10.0), world.restart, node)


def _stop(world: World, rng: Random) -> None:
    """Users end their nodes, and start them again."""
    for at_s in _moments(world, rng, 3):
        node = _node(world, rng)
        world.at(at_s, world.stop, node)
        world.at(_later(world, rng, at_s, 1.0, 10.0), world.restart, node)


def _pause(world: World, rng: Random) -> None:
    """Processes stand still: a laptop that sleeps, a machine that is busy."""
    for at_s in _moments(world, rng, 3):
        node = _node(world, rng)
        world.at(at_s, world.pause, node)
        world.at(_later(world, rng, at_s, 0.5, 15.0), world.resume, node)


def _disk_for(world: World, rng: Random, most_s: float, **trouble: bool | float) -> None:
    """A node's disk has this trouble for a while."""
    node = _node(world, rng)
    for at_s in _moments(world, rng, 2):
        world.at(at_s, lambda: world.set_disk(node, **trouble))  # type: ignore[arg-type]  # names of set_disk, each with its type
        world.at(
            _later(world, rng, at_s, 0.5, most_s),
            lambda: world.set_disk(node, full=False, broken=False, unreadable=False, fsync_s=0.002),
        )


def _full_disk(world: World, rng: Random) -> None:
    """A disk is full for a while."""
    _disk_for(world, rng, 10.0, full=True)


def _broken_disk(world: World, rng: Random) -> None:
    """A disk takes no writes for a while."""
    _disk_for(world, rng, 5.0, broken=True)


def _unreadable_disk(world: World, rng: Random) -> None:
    """A disk can't be read for a while."""
    _disk_for(world, rng, 5.0, unreadable=True)


def _slow_disk(world: World, rng: Random) -> None:
    """A disk takes long for each commit."""
    _disk_for(world, rng, 20.0, fsync_s=_between(rng, 0.02, 0.5))


def _skew(world: World, rng: Random) -> None:
    """Wall clocks are wrong from the start, some by years."""
    for node in range(len(world.nodes)):
        if rng.random() < 0.5:
            seconds = rng.choice((1.0, 30.0, 59.0, 120.0, 3_600.0, YEAR_S, 10 * YEAR_S))
            world.jump_clock(node, seconds * rng.choice((-1.0, 1.0)))


def _clock_jumps(world: World, rng: Random) -> None:
    """Wall clocks are set while nodes run, forth and back."""
    for at_s in _moments(world, rng, 4):
        seconds = rng.choice((5.0, 70.0, 3_600.0, YEAR_S))
        world.at(at_s, world.jump_clock, _node(world, rng), seconds * rng.choice((-1.0, 1.0)))


def _drift(world: World, rng: Random) -> None:
    """Clocks run too fast or too slow."""
    for node in range(len(world.nodes)):
        if rng.random() < 0.5:
            world.drift_clock(node, _between(rng, 0.95, 1.05))


def _backup(world: World, rng: Random) -> None:
    """Somebody puts back a backup of a node's disk, and the store notices."""
    _restore(world, rng, noticed=True)


def _fork(world: World, rng: Random) -> None:
    """Somebody puts back a backup that nothing gives away, and goes on under the old numbers."""
    _restore(world, rng, noticed=False)


def _restore(world: World, rng: Random, *, noticed: bool) -> None:
    node = _node(world, rng)
    made_s = _between(rng, FIRST_S, max(FIRST_S, 0.6 * world.options.duration_s))
    back_s = _later(world, rng, made_s, 0.5, 8.0)

    def back_up() -> None:
        backup = world.snapshot(node)
        world.at(back_s, lambda: world.restore(node, backup, noticed=noticed))
        again_s = _later(world, rng, back_s, 0.1, 3.0)
        world.at(again_s, world.restart, node)
        # Its user goes on at once, before anybody could tell the node what it has said since.
        world.at(again_s, world.say, node, "lobby", "text after the backup")

    world.at(made_s, back_up)


FAULTS: Final[dict[str, Planner]] = {
    "partition": _partition,
    "cut": _cut,
    "one-way": _one_way,
    "loss": _loss,
    "latency": _latency,
    "slow-peer": _slow_peer,
    "kill": _kill,
    "power": _power,
    "stop": _stop,
    "pause": _pause,
    "full-disk": _full_disk,
    "broken-disk": _broken_disk,
    "unreadable-disk": _unreadable_disk,
    "slow-disk": _slow_disk,
    "skew": _skew,
    "clock-jumps": _clock_jumps,
    "drift": _drift,
    "backup": _backup,
    "fork": _fork,
}
"""All kinds of trouble by name; every scenario may meet any of them."""
