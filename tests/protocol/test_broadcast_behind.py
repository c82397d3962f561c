"""A peer to whom much is under way is no branch of a tree: what it passes on comes late."""

from __future__ import annotations

import pytest

from tests.support.fakelink import lobby
from zmqchat.model.ids import PeerId
from zmqchat.protocol.lines import BEHIND_BYTES
from zmqchat.protocol.machine import PeerLinked
from zmqchat.sim.author import Author
from zmqchat.sim.treenet import TreeNet, TreeNode
from zmqchat.wire.tree_frames import Prune, Relay, Taken

TEXT_BYTES = 50_000


def linked(net: TreeNet) -> tuple[TreeNode, PeerId, PeerId]:
    """A node with two links."""
    (node,) = net.add(1)
    peers = Author("slow").peer, Author("fast").peer
    for peer in peers:
        node.handle(PeerLinked(peer=peer, store=bytes(16), generation=1, features=("overlay-1",)))
    return node, *peers


def said(node: TreeNode, *readers: PeerId) -> None:
    """The node says more than is under way to a fast reader; these have read all of it."""
    sizes = [len(node.say(f"{number}".ljust(TEXT_BYTES, "x")).raw) for number in range(BEHIND_BYTES // TEXT_BYTES + 1)]
    for reader in readers:
        node.receive(reader, Taken(size_bytes=sum(sizes)))


def pruned(net: TreeNet, node: TreeNode, first: PeerId, second: PeerId) -> list[PeerId]:
    """Whom the node prunes when the same batch comes over both links."""
    found: list[PeerId] = []
    net.tap = lambda _sender, to, frame: found.append(to) if isinstance(frame, Prune) else None
    author = min((Author(str(number)) for number in range(40)), key=lambda author: author.peer)
    assert author.peer < node.peer, "its batches draw the tree"
    batch = author.batch()
    for peer in (first, second):
        node.receive(peer, Relay(hops=1, batch=batch.raw))
    return found


def test_of_two_copies_that_of_who_is_behind_is_needless() -> None:
    """Though it came first; the other link is the one that new batches come by."""
    net = TreeNet()
    node, slow, fast = linked(net)
    said(node, fast)
    assert pruned(net, node, slow, fast) == [slow]
    assert node.broadcast.is_eager(lobby(), fast) and not node.broadcast.is_eager(lobby(), slow)


@pytest.mark.parametrize("which", ["neither", "second", "both"])
def test_otherwise_the_second_copy_is(which: str) -> None:
    """Where nobody is behind, where the second one is, and where it makes no difference."""
    net = TreeNet()
    node, one, other = linked(net)
    said(node, *{"neither": (one, other), "second": (one,), "both": ()}[which])
    assert pruned(net, node, one, other) == [other]
    assert node.broadcast.is_eager(lobby(), one) and not node.broadcast.is_eager(lobby(), other)
