"""Between full and partial mesh: nodes change over at different moments, and nothing is lost or doubled."""

from __future__ import annotations

import itertools
from random import Random

import pytest

from tests.support.fakelink import FakeNet, FakeNode, quick
from zmqchat.wire.tree_frames import RELAY_BYTE


def full_mesh(net: FakeNet, count: int) -> list[FakeNode]:
    """Nodes in the lobby, each linked to all others."""
    nodes = [net.node(f"node {index}") for index in range(count)]
    for node in nodes:
        node.join()
    for one, other in itertools.combinations(nodes, 2):
        net.link(one, other)
    net.run(3.0)
    return nodes


def partial_links(nodes: list[FakeNode]) -> set[tuple[str, str]]:
    """A ring with chords: four links a node."""
    names = [node.name for node in nodes]
    count = len(names)
    pairs = {(names[i], names[(i + step) % count]) for i in range(count) for step in (1, 3)}
    return pairs | {(other, one) for one, other in pairs}


def change_over(net: FakeNet, nodes: list[FakeNode], rng: Random, said: list[str], *, partial: bool) -> None:
    """Each node changes at a moment of its own, and links go or come, while all of them talk."""
    keep = partial_links(nodes)
    order = rng.sample(nodes, len(nodes))
    for node in order:
        node.partial = partial
        for other in nodes:
            wanted = not partial or (node.name, other.name) in keep
            both = node.partial == other.partial == partial
            if other is not node and both and net.linked(node, other) != wanted:
                if wanted:
                    net.link(node, other)
                else:
                    net.unlink(node, other, "surplus")
        author = nodes[rng.randrange(len(nodes))]
        said.append(f"{len(said)} of {author.name}")
        author.say(said[-1])
        net.run(rng.random() * 0.02)


@pytest.mark.parametrize("seed", range(4))
def test_switching_up_and_down_loses_and_doubles_nothing(seed: int) -> None:
    """Twice to a partial mesh and back amid talk: everybody has all that was said, each once."""
    net = FakeNet(seed=seed, config=quick(sync_interval_s=2.0))
    rng = Random(seed)
    nodes = full_mesh(net, 12)
    said: list[str] = []
    for partial in (True, False, True, False):
        change_over(net, nodes, rng, said, partial=partial)
        for _ in range(5):
            author = nodes[rng.randrange(12)]
            said.append(f"{len(said)} of {author.name}")
            author.say(said[-1])
            net.run(0.1)
    net.run(20.0)
    for node in nodes:
        texts = node.texts()
        assert sorted(texts) == sorted(said), node.name
        assert not node.faults
    assert len({node.hash() for node in nodes}) == 1


def test_in_the_partial_mesh_only_the_tree_carries_batches() -> None:
    """Once all have changed over, no feed and no push is used, and each message is delivered at once everywhere."""
    net = FakeNet(config=quick(sync_interval_s=10_000.0))
    nodes = full_mesh(net, 12)
    change_over(net, nodes, Random(1), [], partial=True)
    net.run(20.0)
    for author in nodes:
        author.say(f"warm {author.name}")
        net.run(1.0)
    published = [len(node.published) for node in nodes]
    for node in nodes:
        node.sent.clear()
    for author in nodes:
        author.say(f"now {author.name}")
        net.run(0.1)
        assert all(node.texts()[-1] == f"now {author.name}" for node in nodes)
    assert [len(node.published) for node in nodes] == published
    kinds = [payload[0] for node in nodes for _peer, payload in node.sent]
    assert kinds.count(RELAY_BYTE) == 12 * 11 and 32 not in kinds and 36 not in kinds


def test_a_node_that_still_takes_the_mesh_for_full_is_heard_everywhere() -> None:
    """Its feed and pushes reach its links alone, and go on along the tree from there; the tree reaches it."""
    net = FakeNet(config=quick(sync_interval_s=10_000.0))
    net.partial = True
    nodes = [net.node(f"node {index}") for index in range(4)]
    for one, other in itertools.pairwise(nodes):
        net.link(one, other)
    for node in nodes:
        node.join()
    nodes[1].partial = False
    net.run(3.0)
    nodes[1].say("from the middle")
    nodes[0].say("from the end")
    net.run(0.2)
    for node in nodes:
        assert sorted(node.texts()) == ["from the end", "from the middle"], node.name


def test_older_nodes_take_part_as_leaves() -> None:
    """Who does not know the tree's frames gets pushes of what its links get, and is heard through them."""
    net = FakeNet(config=quick(sync_interval_s=10_000.0))
    net.partial = True
    ann, bob, old = net.node("ann"), net.node("bob"), net.node("old", features=())
    old.partial = False
    net.link(ann, bob)
    net.link(bob, old)
    for node in (ann, bob, old):
        node.join()
    net.run(3.0)
    ann.say("hello")
    old.say("hello from of old")
    net.run(0.2)
    for node in (ann, bob, old):
        assert sorted(node.texts()) == ["hello", "hello from of old"]
    assert not ann.faults + bob.faults + old.faults
