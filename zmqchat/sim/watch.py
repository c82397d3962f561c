"""Who watches a run: tells the checkers what users see, and keeps the first thing that each complains of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from zmqchat.model.ids import LogKey, MessageId, RoomId
from zmqchat.sim.checks import Checker, CheckFailed, TraceSink

if TYPE_CHECKING:
    from zmqchat.sim.world import World


class Watch:
    """The checkers of one run.

    failed   a line for each that complained; it is asked no more
    trace    told of every fact and effect, None where nobody wants to know
    rooms    the names of the rooms
    """

    def __init__(self, checkers: Sequence[Checker], trace: TraceSink | None) -> None:
        self.failed: list[str] = []
        self.trace = trace
        self.rooms: dict[RoomId, str] = {}
        self._checkers = list(checkers)

    def muted(self) -> Watch:
        """One for a node whose user nobody asks."""
        muted = Watch((), None)
        muted.rooms = self.rooms
        return muted

    def acknowledged(self, node: int, room: RoomId, message: MessageId, text: str) -> None:
        """`send` returned."""
        name = self.rooms[room]
        self._each(lambda checker: checker.acknowledged(node, name, message, text))

    def delivered(self, node: int, room: RoomId, message: MessageId, text: str) -> None:
        """A cursor gave a text."""
        name = self.rooms[room]
        self._each(lambda checker: checker.delivered(node, name, message, text))

    def missed(self, node: int, room: RoomId, key: LogKey, first: int, end: int) -> None:
        """A cursor told of a gap."""
        name = self.rooms[room]
        self._each(lambda checker: checker.missed(node, name, key, first, end))

    def rewound(self, node: int) -> None:
        """A backup was put in place of a disk."""
        self._each(lambda checker: checker.rewound(node))

    def step(self, world: World) -> None:
        """Some time has passed."""
        self._each(lambda checker: checker.step(world))

    def quiet(self, world: World) -> None:
        """The end."""
        self._each(lambda checker: checker.quiet(world))

    def _each(self, ask: Callable[[Checker], None]) -> None:
        for checker in list(self._checkers):
            try:
                ask(checker)
            except CheckFailed as failure:
                self.failed.append(f"{checker.name}: {failure}")
                self._checkers.remove(checker)
