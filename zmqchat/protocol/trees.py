"""The trees of all rooms as one node sees them: over which links a room's batches go, and over which only their names.

How it works. Every link is eager in every room until it is found not to be needed, as Plumtree begins with the whole
overlay ("Gossip and Tree Construction"). So only what is lazy is kept, by room. Where a node has many more links
than a tree needs (it was in a full mesh a moment ago), a room begins with some of them, the others are lazy. Lists
follow the order in which the links came up.

One author at a time draws the tree of a room. Plumtree prunes whichever link brings any batch for the second time;
where batches of several authors are under way at once, each cuts another link of the same circle, and what is left
falls apart (measured: 100 nodes, 20 authors, 500 batches a second never settled; half of all deliveries waited for a
GRAFT). So only the batches of the author with the smallest id of those who speak now take links away: one author's
batches all come the same way, so they agree on what is needless. All nodes hear the same authors, so they agree on
who draws.
"""

from __future__ import annotations

from dataclasses import dataclass

from zmqchat.model.ids import PeerId, RoomId
from zmqchat.model.limits import TREE_EAGER_MAX, TREE_ROOMS_MAX
from zmqchat.protocol.machine import Size

DRAWS_S = 10.0
"""How long the author that draws a tree may be silent until the next one to speak takes over."""


@dataclass(slots=True)
class _Tree:
    """One room: its lazy links, who draws it, and when that one was last heard."""

    lazy: dict[PeerId, None]
    author: PeerId | None = None
    heard_s: float = 0.0


class Trees:
    """Eager and lazy links by room."""

    def __init__(self) -> None:
        self._links: dict[PeerId, None] = {}
        self._trees: dict[RoomId, _Tree] = {}

    def sizes(self) -> tuple[Size, ...]:
        """The rooms in which links are told apart."""
        return (Size("trees", len(self._trees), TREE_ROOMS_MAX),)

    def link(self, peer: PeerId) -> None:
        """A link came up: it is eager, unless a room has more than enough of them."""
        self._links[peer] = None
        for tree in self._trees.values():
            if len(self._links) - len(tree.lazy) > TREE_EAGER_MAX:
                tree.lazy[peer] = None

    def unlink(self, peer: PeerId) -> None:
        """A link is gone."""
        self._links.pop(peer, None)
        for tree in self._trees.values():
            tree.lazy.pop(peer, None)

    def split(self, room: RoomId) -> tuple[list[PeerId], list[PeerId]]:
        """The eager links of a room, and the lazy ones."""
        lazy = self._tree(room).lazy
        return [peer for peer in self._links if peer not in lazy], [peer for peer in self._links if peer in lazy]

    def is_eager(self, room: RoomId, peer: PeerId) -> bool:
        """Whether this room's batches go over this link."""
        return peer in self._links and peer not in self._tree(room).lazy

    def make_eager(self, room: RoomId, peer: PeerId) -> None:
        """Let the room's batches go over this link from now on."""
        self._tree(room).lazy.pop(peer, None)

    def make_lazy(self, room: RoomId, peer: PeerId) -> None:
        """Let only their names go over it."""
        if peer in self._links:
            self._tree(room).lazy[peer] = None

    def heard(self, room: RoomId, author: PeerId, now_s: float) -> None:
        """A new batch of this author came by."""
        tree = self._tree(room)
        if tree.author is None or author <= tree.author or now_s - tree.heard_s > DRAWS_S:
            tree.author, tree.heard_s = author, now_s

    def is_drawn_by(self, room: RoomId, author: PeerId) -> bool:
        """Whether batches of this author take links away."""
        return self._tree(room).author == author

    def _tree(self, room: RoomId) -> _Tree:
        tree = self._trees.pop(room, None)
        if tree is None:
            tree = _Tree(dict.fromkeys(list(self._links)[TREE_EAGER_MAX:]))
        self._trees[room] = tree
        if len(self._trees) > TREE_ROOMS_MAX:
            del self._trees[next(iter(self._trees))]
        return tree
