"""Paths: over which link an author can be reached, learned from its batches that came by.

How it works. A batch comes from its author, by the tree or by an exchange, so the link that it first came by leads back
there, in no circle. Whoever brought or announced the same batch later is kept in reserve, for when that link goes:
who is nearer to the author takes over first, as two that are equally far may think of each other. By room, author
and log, as the links towards two authors differ; the least recently used are forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from zmqchat.model.ids import PeerId, RoomId
from zmqchat.model.limits import TREE_PATHS_MAX
from zmqchat.protocol.machine import Size
from zmqchat.protocol.relayed import Seen

RESERVE_MAX = 4
"""Further links that lead to an author: when all of them are gone, its next batch shows another."""


@dataclass(slots=True)
class _Path:
    peer: PeerId | None
    reserve: dict[PeerId, int] = field(default_factory=dict)


class Paths:
    """The links towards authors."""

    def __init__(self) -> None:
        self._paths: dict[tuple[RoomId, PeerId, int], _Path] = {}

    def towards(self, room: RoomId, author: PeerId, log: int) -> PeerId | None:
        """The link that leads to the author of this log; None where none is known."""
        path = self._paths.get((room, author, log))
        return None if path is None else path.peer

    def leading(self) -> dict[PeerId, PeerId]:
        """By author, the link over which the newest of its batches came."""
        return {author: path.peer for (_room, author, _log), path in self._paths.items() if path.peer is not None}

    def came(self, place: tuple[RoomId, PeerId, int], peer: PeerId) -> None:
        """A batch of this room, author and log that is new here came by this link."""
        path = self._paths.pop(place, None)
        if path is None or path.peer != peer:
            path = _Path(peer)
        path.reserve.clear()
        self._paths[place] = path
        if len(self._paths) > TREE_PATHS_MAX:
            del self._paths[next(iter(self._paths))]

    def also(self, seen: Seen, peer: PeerId, hops: int) -> None:
        """The same batch is to be had there too, where it came over so many links."""
        path = self._paths.get((seen.room, seen.author, seen.log))
        if path is None or path.peer == peer:
            return
        if path.peer is None:
            path.peer = peer
        elif len(path.reserve) < RESERVE_MAX:
            path.reserve[peer] = hops

    def unlink(self, peer: PeerId) -> None:
        """A link is gone: those in reserve take its place."""
        for path in self._paths.values():
            path.reserve.pop(peer, None)
            if path.peer == peer:
                path.peer = min(path.reserve, key=path.reserve.__getitem__, default=None)
                if path.peer is not None:
                    del path.reserve[path.peer]

    def sizes(self) -> tuple[Size, ...]:
        """The paths."""
        return (Size("paths to authors", len(self._paths), TREE_PATHS_MAX),)
