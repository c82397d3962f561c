"""What watches a run: checkers, which see only what a user could, and sinks for the trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from zmqchat.model.ids import LogKey, MessageId
from zmqchat.protocol.effects import Effect
from zmqchat.protocol.facts import Fact

if TYPE_CHECKING:
    from zmqchat.sim.world import World


class CheckFailed(Exception):
    """Raised by a checker: what a user would complain of, in one line."""


class Checker(Protocol):
    """Told of all that users of the watched nodes see; raises CheckFailed.

    Nodes are told by number, rooms by name.
    """

    name: str

    def acknowledged(self, node: int, room: str, message: MessageId, text: str) -> None:
        """`send` returned: the text is durable at its author."""
        ...

    def delivered(self, node: int, room: str, message: MessageId, text: str) -> None:
        """A watched node's cursor gave this text, its own ones too; after a crash it goes on where it stood."""
        ...

    def missed(self, node: int, room: str, key: LogKey, first: int, end: int) -> None:
        """A watched node's cursor told of a gap: [first, end) of this log is not there, and may come later."""
        ...

    def rewound(self, node: int) -> None:
        """A backup was put in place of the node's disk, and its cursors begin anew there."""
        ...

    def step(self, world: World) -> None:
        """Some time has passed (STEP_S of `simulation`): look at the nodes of `world.watched`."""
        ...

    def quiet(self, world: World) -> None:
        """The end: all is whole, all nodes run again, and they have had time to settle."""
        ...


class TraceSink(Protocol):
    """Told of each fact that goes into a node and each effect that comes out, in order."""

    def at(self, now_s: float, node: int, what: Fact | Effect) -> None:
        """At this simulated second, at this node."""
        ...
