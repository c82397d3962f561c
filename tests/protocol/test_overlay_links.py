"""The overlay with doors, dials and links: real machines of many nodes over an in-memory network."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from tests.support.linkpair import LinkNet, LinkNode
from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId
from zmqchat.protocol.effects import PeerWentOffline

SMALL = replace(Config(), full_mesh_max=6, full_mesh_again=4, neighbours=3)
"""A partial mesh from seven members on, with two to four neighbours."""


def grown(count: int) -> LinkNet:
    """A partial mesh of so many nodes, each of which was told of one that is there."""
    net = LinkNet(config=SMALL, has_census=True)
    nodes: list[LinkNode] = []
    for number in range(count):
        node = net.node(f"node {number}", host=f"10.0.{number}.1")
        if nodes:
            node.sight(nodes[number // 2], source="mdns")
        nodes.append(node)
        net.run(0.5)
    net.run(90.0)
    return net


def reached(net: LinkNet) -> set[PeerId]:
    """Whom the links lead to from the first node."""
    nodes = {node.peer: node for node in net.nodes.values()}
    first = next(iter(nodes))
    found, queue = {first}, deque((first,))
    while queue:
        for peer in nodes[queue.popleft()].peers.linked:
            if peer in nodes and peer not in found:
                found.add(peer)
                queue.append(peer)
    return found


def test_twelve_nodes_keep_a_few_links_each_and_hang_together() -> None:
    """Two to four neighbours, some passing links, one component; nobody faults anybody."""
    net = grown(12)
    nodes = list(net.nodes.values())
    assert all(node.overlay.is_partial for node in nodes)
    assert len(reached(net)) == 12
    for node in nodes:
        assert 2 <= len(node.overlay.neighbours) <= 4
        assert len(node.peers.linked) <= node.overlay.shape.sessions
        assert node.peers.linked >= node.overlay.neighbours
        assert all(size.kept <= size.most for size in node.overlay.sizes())


def test_neighbours_agree_about_each_other() -> None:
    """Who counts another as its neighbour is counted by it, once nothing is under way."""
    net = grown(12)
    nodes = {node.peer: node for node in net.nodes.values()}
    one_sided = [
        (node.peer, peer)
        for node in nodes.values()
        for peer in node.overlay.neighbours
        if node.peer not in nodes[peer].overlay.neighbours
    ]
    assert not one_sided


def test_what_is_left_of_a_mesh_mends_within_seconds() -> None:
    """Four of twelve are killed: each of the others has its links again within ten seconds."""
    net = grown(12)
    for node in list(net.nodes.values())[3:7]:
        node.kill()
    net.run(15.0)
    assert len(reached(net)) == 8
    assert all(len(node.overlay.neighbours) >= 2 for node in net.nodes.values())


def test_a_small_rest_is_a_full_mesh_again() -> None:
    """With three left everybody is linked to everybody."""
    net = grown(9)
    for node in list(net.nodes.values())[3:]:
        node.kill()
    net.run(60.0)
    left = list(net.nodes.values())
    assert not any(node.overlay.is_partial for node in left)
    assert all(one.is_linked(other) for one in left for other in left if one is not other)


def test_a_link_that_is_given_up_is_not_dialled_again_at_once() -> None:
    """After the mesh has settled, dials are few: visits and repairs, not the redialling of what was given up."""
    net = grown(12)
    before = sum(len(node.dialled()) for node in net.nodes.values())
    net.run(60.0)
    dials = sum(len(node.dialled()) for node in net.nodes.values()) - before
    assert dials <= 12 * 6


def test_whoever_is_given_up_is_not_said_to_have_left() -> None:
    """A surplus link ends without anybody being told offline at once."""
    net = LinkNet(config=SMALL, has_census=True)
    nodes = [net.node(f"node {number}", host=f"10.0.{number}.1") for number in range(6)]
    for node in nodes:
        for other in nodes:
            node.sight(other, source="mdns")
    net.run(5.0)
    assert all(len(node.peers.linked) == 5 for node in nodes)
    net.node("node 6", host="10.0.6.1").sight(nodes[0], source="mdns")
    net.run(15.0)
    assert min(len(node.peers.linked) for node in nodes) < 5
    assert not [effect for node in nodes for effect in node.of(PeerWentOffline)]


def test_a_node_behind_a_firewall_keeps_its_outgoing_links_and_knows_why() -> None:
    """Nobody can dial it; it has its neighbours all the same, and can say that nobody reaches it."""
    net = grown(11)
    hidden = net.node("hidden", host="10.0.99.1")
    net.blocked = lambda _dialler, listener, _what: listener is hidden
    hidden.sight(next(iter(net.nodes.values())), source="mdns")
    net.run(60.0)
    assert 2 <= len(hidden.overlay.neighbours) <= 4
    assert hidden.reach.nobody_reaches_us
    others = [node for node in net.nodes.values() if node is not hidden]
    assert not any(node.reach.nobody_reaches_us for node in others)
    assert all(hidden.peer in node.reach.undiallable for node in others if node.is_linked(hidden))


def test_doors_are_full_for_whom_there_is_no_place() -> None:
    """A node takes so many sessions and refuses the next caller, who tries others."""
    net = grown(30)
    assert len(reached(net)) == 30
    assert all(len(node.peers.links) <= node.overlay.shape.sessions + 8 for node in net.nodes.values())
