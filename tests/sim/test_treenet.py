"""The network of trees: its links, what it does to frames, and what is read off it."""

from __future__ import annotations

import itertools

import pytest

from zmqchat.model.ids import PeerId
from zmqchat.sim.author import lobby
from zmqchat.sim.treenet import TreeNet, TreeNode
from zmqchat.wire.frames import Frame


def _row(count: int, **options: float) -> TreeNet:
    """Nodes that are linked one to the next."""
    net = TreeNet(**options)  # type: ignore[arg-type]  # seed and rtt_s
    nodes = net.add(count)
    for one, other in itertools.pairwise(nodes):
        net.link(one, other)
    net.run(1.0)
    return net


def test_a_text_goes_through_all_links_and_is_counted_where_it_comes() -> None:
    """With the moment; its author does not count."""
    net = _row(4, rtt_s=0.1)
    source = net.nodes[0]
    said_s = net.now_s
    batch = source.say("hello")
    net.run(5.0)
    assert net.reached(batch, source) == net.nodes[1:]
    came_s = [node.got[batch.raw][0] - said_s for node in net.nodes[1:]]
    assert came_s == sorted(came_s)
    assert all(0.025 * hops <= took_s <= 0.075 * hops for hops, took_s in enumerate(came_s, start=1))
    assert batch.raw not in source.got
    assert sum(sum(node.sent.values()) for node in net.nodes) >= 3
    assert all(node.sent_bytes > 0 for node in net.nodes[:3])


def test_an_unlinked_pair_and_the_dead_hear_nothing() -> None:
    """What is on the way over a link that is cut is lost; who is linked to the dead is told."""
    net = _row(4, rtt_s=0.1)
    batch = net.nodes[0].say("hello")
    net.unlink(net.nodes[1], net.nodes[2])
    net.run(5.0)
    assert net.reached(batch, net.nodes[0]) == net.nodes[1:2]
    net.kill(net.nodes[1])
    assert net.neighbours(net.nodes[0]) == []
    second = net.nodes[2].say("alone")
    net.run(5.0)
    assert net.reached(second, net.nodes[2]) == [net.nodes[3]]
    assert not net.nodes[1].alive and second.raw not in net.nodes[1].got


def _arrivals(node: TreeNode) -> list[Frame]:
    """What comes to a node's machine from now on."""
    came: list[Frame] = []
    receive = node.receive

    def noting(peer: PeerId, frame: Frame) -> None:
        came.append(frame)
        receive(peer, frame)

    node.receive = noting  # type: ignore[method-assign]  # it is passed on
    return came


def test_what_is_on_the_way_over_a_link_that_is_cut_is_lost() -> None:
    """It would have come a moment later."""
    net = _row(2, rtt_s=0.1)
    one, other = net.nodes
    sent: list[Frame] = []
    net.tap = lambda _sender, _to, frame: sent.append(frame)
    came = _arrivals(other)
    one.say()
    assert sent
    net.unlink(one, other)
    net.run(5.0)
    assert came == [] and other.got == {}


def _pushes(_one: TreeNode, _other: TreeNode, frame: Frame) -> bool:
    return hasattr(frame, "batch")


def test_frames_are_lost_doubled_and_held_as_the_test_wants() -> None:
    """Each over the link that it names; the tap is told of all of them."""
    net = _row(2, rtt_s=0.1)
    one, other = net.nodes
    tapped: list[Frame] = []
    net.tap = lambda _sender, _to, frame: tapped.append(frame)
    net.lose = _pushes
    lost = one.say("lost")
    net.run(0.09)
    assert other.got == {}
    assert [frame for frame in tapped if hasattr(frame, "batch")]
    net.lose = lambda _one, _other, _frame: False
    net.hold = lambda _one, _other, frame: 3.0 if hasattr(frame, "batch") else 0.0
    held = one.say("held")
    net.run(2.5)
    assert held.raw not in other.got
    net.run(5.0)
    assert held.raw in other.got
    assert lost.raw != held.raw


def test_a_double_delivery_is_seen() -> None:
    """`reached` fails where a node handed a batch on twice."""
    net = _row(2)
    one, other = net.nodes
    net.double = _pushes
    came = _arrivals(other)
    batch = one.say("once")
    net.run(5.0)
    assert sum(_pushes(one, other, frame) for frame in came) == 2
    assert net.reached(batch, one) == [other]
    other.got[batch.raw].append(net.now_s)
    with pytest.raises(AssertionError, match="twice"):
        net.reached(batch, one)


def test_eager_links_and_depths_are_those_of_the_tree() -> None:
    """In a row all links are needed, and depths count along it."""
    net = _row(5)
    source = net.nodes[0]
    for _ in range(3):
        source.say()
        net.run(2.0)
    edges = {(net.nodes.index(one), net.nodes.index(other)) for one, other in net.eager_edges(lobby())}
    assert {(number, number + 1) for number in range(4)} <= edges
    assert all(abs(one - other) == 1 for one, other in edges)
    depths = net.depths(source)
    assert [depths[node.peer] for node in net.nodes] == [0, 1, 2, 3, 4]
    for node in net.nodes:
        node.sizes()


def test_a_random_mesh_is_connected_and_bounded() -> None:
    """Everybody has two links at least, and about so many as were asked for; a seed draws one mesh."""
    meshes = []
    for seed in (1, 1, 2):
        net = TreeNet(seed)
        net.add(30)
        net.random_mesh(5)
        counts = [len(net.neighbours(node)) for node in net.nodes]
        assert min(counts) >= 2 and max(counts) <= 6
        batch = net.nodes[7].say()
        net.run(10.0)
        assert len(net.reached(batch, net.nodes[7])) == 29
        meshes.append(sorted(net.delays))
    assert meshes[0] == meshes[1] != meshes[2]


def test_who_is_not_in_the_room_gets_nothing_of_it() -> None:
    """A node that has not joined."""
    net = TreeNet()
    inside, (outside,) = net.add(2), net.add(1, joined=False)
    for node in (inside[1], outside):
        net.link(inside[0], node)
    net.run(1.0)
    batch = inside[0].say()
    net.run(5.0)
    assert net.reached(batch, inside[0]) == [inside[1]]
    assert net.sent("Push") == sum(node.sent["Push"] for node in net.nodes)
