"""Eager and lazy links by room, and whose batches take links away."""

from __future__ import annotations

from tests.support.fakelink import lobby, peer_of
from zmqchat.model.ids import RoomId
from zmqchat.model.limits import TREE_EAGER_MAX, TREE_ROOMS_MAX
from zmqchat.protocol.trees import DRAWS_S, Trees

ROOM = lobby()
PEERS = [peer_of(f"peer {index}") for index in range(40)]


def trees_of(count: int) -> Trees:
    """Trees over so many links."""
    trees = Trees()
    for peer in PEERS[:count]:
        trees.link(peer)
    return trees


def test_links_are_eager_until_they_are_pruned() -> None:
    """The lists follow the order of the links; each room has its own."""
    trees = trees_of(4)
    trees.make_lazy(ROOM, PEERS[2])
    assert trees.split(ROOM) == ([PEERS[0], PEERS[1], PEERS[3]], [PEERS[2]])
    assert trees.split(lobby("other")) == (PEERS[:4], [])
    trees.make_eager(ROOM, PEERS[2])
    assert trees.split(ROOM) == (PEERS[:4], [])
    assert trees.is_eager(ROOM, PEERS[0]) and not trees.is_eager(ROOM, PEERS[9])


def test_links_come_and_go() -> None:
    """A link that comes back is eager again; one that is not there can't be lazy."""
    trees = trees_of(3)
    trees.make_lazy(ROOM, PEERS[1])
    trees.unlink(PEERS[1])
    trees.make_lazy(ROOM, PEERS[1])
    assert trees.split(ROOM) == ([PEERS[0], PEERS[2]], [])
    trees.link(PEERS[1])
    assert trees.split(ROOM) == ([PEERS[0], PEERS[2], PEERS[1]], [])


def test_a_room_begins_with_a_bounded_number_of_eager_links() -> None:
    """A node in a full mesh a moment ago does not flood its hundred links; later ones beyond the bound are lazy."""
    trees = trees_of(30)
    eager, lazy = trees.split(ROOM)
    assert len(eager) == TREE_EAGER_MAX and len(lazy) == 30 - TREE_EAGER_MAX
    trees.link(PEERS[30])
    assert not trees.is_eager(ROOM, PEERS[30])


def test_the_smallest_id_of_those_who_speak_draws() -> None:
    """A larger one takes over when that one has been silent for DRAWS_S."""
    trees = trees_of(2)
    small, middle, large = sorted(PEERS[:3])
    assert not trees.is_drawn_by(ROOM, middle)
    trees.heard(ROOM, middle, 0.0)
    trees.heard(ROOM, large, 1.0)
    assert trees.is_drawn_by(ROOM, middle)
    trees.heard(ROOM, small, 2.0)
    assert trees.is_drawn_by(ROOM, small) and not trees.is_drawn_by(ROOM, middle)
    trees.heard(ROOM, large, 2.0 + DRAWS_S)
    assert trees.is_drawn_by(ROOM, small)
    trees.heard(ROOM, large, 2.1 + DRAWS_S)
    assert trees.is_drawn_by(ROOM, large)


def test_rooms_are_bounded() -> None:
    """The one unheard of for longest begins anew."""
    trees = trees_of(2)
    for index in range(TREE_ROOMS_MAX + 10):
        trees.make_lazy(RoomId(index.to_bytes(16, "big")), PEERS[0])
        (size,) = trees.sizes()
        assert size.kept <= size.most
    assert trees.is_eager(RoomId(bytes(16)), PEERS[0])
    assert not trees.is_eager(RoomId((TREE_ROOMS_MAX + 9).to_bytes(16, "big")), PEERS[0])
