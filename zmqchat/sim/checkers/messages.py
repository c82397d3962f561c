"""What a user may expect of each message: it comes, once, as it was said, in its author's order, and it stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zmqchat.model.ids import LogKey, MessageId
from zmqchat.sim.checkers.base import Base, machines_of, named, watched_members
from zmqchat.sim.checks import CheckFailed

if TYPE_CHECKING:
    from zmqchat.sim.world import World

GONE: Final = -1
"""The author of what its own disk no longer holds: it must come where a member was given it."""


class Once(Base):
    """No cursor gives a message twice."""

    name = "once"

    def __init__(self) -> None:
        self._seen: set[tuple[int, str, MessageId]] = set()

    def delivered(self, node: int, room: str, message: MessageId, text: str) -> None:
        """It must be new here."""
        place = (node, room, message)
        if place in self._seen:
            raise CheckFailed(f"node {node} was given {named(message)} ({text!r}) twice in {room}")
        self._seen.add(place)

    def rewound(self, node: int) -> None:
        """Its cursors begin anew."""
        self._seen = {place for place in self._seen if place[0] != node}


class Faithful(Base):
    """An id means one text for good, whoever reads it."""

    name = "faithful"

    def __init__(self) -> None:
        self._texts: dict[tuple[str, MessageId], str] = {}

    def acknowledged(self, node: int, room: str, message: MessageId, text: str) -> None:
        """The id means this text."""
        self._means(node, room, message, text)

    def delivered(self, node: int, room: str, message: MessageId, text: str) -> None:
        """The same."""
        self._means(node, room, message, text)

    def _means(self, node: int, room: str, message: MessageId, text: str) -> None:
        known = self._texts.setdefault((room, message), text)
        if known != text:
            raise CheckFailed(f"node {node} sees {text!r} as {named(message)} in {room}, others see {known!r}")


class Complete(Base):
    """Every acknowledged message, and every one that anybody was given, was given to every member in the end.

    Who leaves a room takes along what nobody else was given: that is not awaited while he is away.
    """

    name = "complete"

    def __init__(self) -> None:
        self._said: dict[str, dict[MessageId, int]] = {}
        self._delivered: dict[tuple[int, str], set[MessageId]] = {}
        self._rewound: set[int] = set()

    def acknowledged(self, node: int, room: str, message: MessageId, text: str) -> None:  # noqa: ARG002  # ids are enough
        """It was promised."""
        self._said.setdefault(room, {})[message] = node

    def delivered(self, node: int, room: str, message: MessageId, text: str) -> None:  # noqa: ARG002  # ids are enough
        """It came."""
        self._said.setdefault(room, {}).setdefault(message, node)
        self._delivered.setdefault((node, room), set()).add(message)

    def rewound(self, node: int) -> None:
        """What only this node had is gone with its disk; what it had read before the backup comes no more."""
        self._rewound.add(node)
        for place in [place for place in self._delivered if place[0] == node]:
            del self._delivered[place]
        for room, said in self._said.items():
            self._said[room] = {message: GONE if author == node else author for message, author in said.items()}

    def quiet(self, world: World) -> None:
        """Nothing is missing anywhere."""
        for room, said in self._said.items():
            promised = self._held_by(set(world.members(room)), room, said)
            for node in watched_members(world, room):
                given = self._delivered.get((node, room), set())
                if node in self._rewound:
                    given = {said.message for said in world.timeline(node, room)}
                missing = [message for message in promised if message not in given]
                if missing:
                    first = missing[0]
                    raise CheckFailed(
                        f"node {node} was never given {len(missing)} of {len(promised)} messages in {room},"
                        f" such as {named(first)}"
                    )

    def _held_by(self, members: set[int], room: str, said: dict[MessageId, int]) -> dict[MessageId, int]:
        """Those of the messages that a member wrote or was given."""
        given = [given for (node, name), given in self._delivered.items() if name == room and node in members]
        return {
            message: author
            for message, author in said.items()
            if author in members or any(message in messages for messages in given)
        }


class Durable(Base):
    """What was acknowledged or given at a node stays on its disk, whatever becomes of the node."""

    name = "durable"

    def __init__(self) -> None:
        self._kept: dict[tuple[int, str], dict[MessageId, None]] = {}

    def acknowledged(self, node: int, room: str, message: MessageId, text: str) -> None:  # noqa: ARG002  # ids are enough
        """It is durable."""
        self._kept.setdefault((node, room), {})[message] = None

    def delivered(self, node: int, room: str, message: MessageId, text: str) -> None:  # noqa: ARG002  # ids are enough
        """It is durable, or it would come from nowhere."""
        self._kept.setdefault((node, room), {})[message] = None

    def rewound(self, node: int) -> None:
        """The disk is another."""
        for place in [place for place in self._kept if place[0] == node]:
            del self._kept[place]

    def quiet(self, world: World) -> None:
        """The history of each node, up or not, has all of it."""
        for (node, room), kept in self._kept.items():
            history = {said.message for said in world.timeline(node, room)}
            lost = [message for message in kept if message not in history]
            if lost:
                raise CheckFailed(f"node {node} has lost {len(lost)} messages in {room}, such as {named(lost[0])}")


class AuthorOrder(Base):
    """A cursor gives an author's messages in the order in which they were said, but for what fills a gap it told of.

    The branches of a forked log share numbers, so they have no one order and are left out.
    """

    name = "order"

    def __init__(self) -> None:
        self._next: dict[tuple[int, str, bytes, int], int] = {}
        self._gaps: dict[tuple[int, str, bytes, int], list[tuple[int, int]]] = {}
        self._suspects: list[tuple[int, str, MessageId]] = []

    def missed(self, node: int, room: str, key: LogKey, first: int, end: int) -> None:
        """What is in it may come later."""
        self._gaps.setdefault((node, room, key.author, key.log), []).append((first, end))

    def rewound(self, node: int) -> None:
        """Its cursors begin anew."""
        self._next = {place: number for place, number in self._next.items() if place[0] != node}

    def delivered(self, node: int, room: str, message: MessageId, text: str) -> None:  # noqa: ARG002  # ids are enough
        """It stands behind all that came before, or in a gap."""
        place = (node, room, message.author, message.log)
        if message.number >= self._next.get(place, 0):
            self._next[place] = message.number + 1
        elif not any(first <= message.number < end for first, end in self._gaps.get(place, ())):
            self._suspects.append((node, room, message))

    def quiet(self, world: World) -> None:
        """Out of order is wrong where the log is no fork."""
        for node, room, message in self._suspects:
            machines = machines_of(world, node)
            ledger = None if machines is None else machines.data.ledger.rooms.get(world.room(room))
            if ledger is None or not ledger.frontier.is_forked(message.author, message.log):
                raise CheckFailed(f"node {node} was given {named(message)} in {room} after later ones of its author")
