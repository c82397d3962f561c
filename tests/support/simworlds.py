"""Small simulated worlds for tests of what looks at one, and a diary of what their users were told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from zmqchat.model.ids import LogKey, MessageId
from zmqchat.sim.checkers.base import Base
from zmqchat.sim.checks import Checker, CheckFailed
from zmqchat.sim.node import NodePlan
from zmqchat.sim.options import Options
from zmqchat.sim.process import Process
from zmqchat.sim.watch import Watch
from zmqchat.sim.world import World

Call = tuple[str, tuple[Any, ...]]
"""What a checker is told: the name of its method, and the arguments."""


class Diary(Base):
    """Keeps what users were told, so that a test can tell a checker the same, or nearly the same."""

    name = "diary"

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def acknowledged(self, node: int, room: str, message: MessageId, text: str) -> None:
        """`send` returned."""
        self.calls.append(("acknowledged", (node, room, message, text)))

    def delivered(self, node: int, room: str, message: MessageId, text: str) -> None:
        """A cursor gave this."""
        self.calls.append(("delivered", (node, room, message, text)))

    def missed(self, node: int, room: str, key: LogKey, first: int, end: int) -> None:
        """A cursor told of a gap."""
        self.calls.append(("missed", (node, room, key, first, end)))

    def rewound(self, node: int) -> None:
        """A backup was put in place of a disk."""
        self.calls.append(("rewound", (node,)))

    def where(self, what: str, node: int, text: str) -> int:
        """The place of the call that told a node of this text."""
        places = [at for at, call in enumerate(self.calls) if call[0] == what and call[1][0::3] == (node, text)]
        assert len(places) == 1, places
        return places[0]

    def message(self, text: str) -> MessageId:
        """The id of a text that was acknowledged."""
        ids = [call[1][2] for call in self.calls if call[0] == "acknowledged" and call[1][3] == text]
        assert len(ids) == 1, ids
        message: MessageId = ids[0]
        return message


def small_world(
    *plans: NodePlan, nodes: int = 3, faults: Sequence[str] = (), seed: int = 1, seconds: float = 4.0
) -> tuple[World, Diary]:
    """A world after its first seconds, all linked where they can be; `faults` are named, and not planned."""
    diary = Diary()
    plans = plans or (NodePlan(),) * nodes
    world = World(Options(seed=seed, nodes=len(plans), faults=tuple(faults)), plans, Watch([diary], None))
    passes(world, seconds)
    return world, diary


def passes(world: World, seconds: float) -> None:
    """Let time pass; no machine may throw."""
    world.schedule.run_until(world.now_s + seconds)
    assert world.watch.failed == []


def within(world: World, condition: Callable[[], bool], limit_s: float) -> None:
    """Let time pass until this holds."""
    end_s = world.now_s + limit_s
    while not condition():
        assert world.now_s < end_s, f"not within {limit_s} s"
        passes(world, 0.1)


def say_all(world: World, *texts: str, room: str = "lobby") -> None:
    """Each node in turn says a text; then all have them, and nothing is under way."""
    for number, text in enumerate(texts):
        assert world.say(number % len(world.nodes), room, text)
        passes(world, 0.2)
    within(world, world.agrees, 10.0)


def process_of(world: World, node: int) -> Process:
    """The process of a node that runs."""
    process = world.nodes[node].process
    assert process is not None
    return process


def cut_off(world: World, node: int) -> None:
    """Let nothing pass between a node and all others."""
    world.partition([[node], [other.number for other in world.nodes if other.number != node]])


def complaint(checker: Checker, calls: Iterable[Call] = (), world: World | None = None, *, quiet: bool = True) -> str:
    """What a checker says of this history, and of this world at the end; "" where it finds nothing wrong."""
    try:
        for what, arguments in calls:
            getattr(checker, what)(*arguments)
        if world is not None:
            checker.step(world)
            if quiet:
                checker.quiet(world)
    except CheckFailed as failure:
        return str(failure)
    return ""
