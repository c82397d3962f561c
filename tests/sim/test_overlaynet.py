"""The network of overlay machines: its links, its deaths, and the measures that experiments take of it."""

from __future__ import annotations

import pytest

from zmqchat.model.ids import PeerId
from zmqchat.protocol.machine import LinkWanted
from zmqchat.sim.overlaynet import LATENCY_S, OverlayNet, OverlayNode


def _grown(count: int, seed: int = 1) -> OverlayNet:
    net = OverlayNet(seed)
    net.grow(count)
    net.run(5.0)
    return net


def test_time_passes_in_the_order_of_the_calls() -> None:
    """Those of one moment as they were asked for; nothing after the end."""
    net = OverlayNet()
    said: list[str] = []
    for wait_s, word in ((2.0, "late"), (1.0, "first"), (1.0, "second"), (-1.0, "at once")):
        net.later(wait_s, lambda word=word: said.append(f"{word} {net.now_s:g}"))  # type: ignore[misc]  # binds it
    net.run(1.5)
    assert said == ["at once 0", "first 1", "second 1"]
    assert net.now_s == 1.5
    net.forget()
    net.run(10.0)
    assert len(said) == 3
    assert net.instant == (11.5, 11_500)


def test_the_same_seed_grows_the_same_network() -> None:
    """And another one another."""
    assert _grown(12).graph() == _grown(12).graph() != _grown(12, seed=2).graph()


def test_links_are_at_both_ends_and_break_at_both() -> None:
    """When a node dies its neighbours are told; unless unnoticed, the member tables forget it."""
    net = _grown(12)
    for node in net.nodes:
        assert all(node.peer in net.by_peer[peer].linked for peer in node.linked)
    dead, missed = net.nodes[3], net.nodes[4]
    net.kill([dead])
    net.kill([missed], unnoticed=True)
    assert dead not in net.alive and dead not in net.counted
    assert missed not in net.alive and missed in net.counted
    assert not dead.linked and not missed.linked
    assert all(dead.peer not in node.linked and missed.peer not in node.linked for node in net.alive)
    net.run(30.0)
    assert net.is_connected
    assert len(net.reached()) == 10


@pytest.mark.parametrize("obstacle", ["", "not diallable", "blocked", "dead"])
def test_a_dial_makes_a_link_where_nothing_is_in_the_way(obstacle: str) -> None:
    """And none where the other's door lets nobody in, does not let this one in, or is gone."""
    net = OverlayNet()
    contact = net.add()
    other = net.add(contact=contact, diallable=obstacle != "not diallable")
    if obstacle == "blocked":
        net.blocked = lambda _dialler, door: door is other
    if obstacle == "dead":
        net.kill([other])
    third = net.add()
    net.dial(third, LinkWanted(peer=other.peer, endpoints=(other.endpoint,)))
    net.run(1.9 * LATENCY_S)
    assert other.peer not in third.linked
    net.run(0.2 * LATENCY_S)
    assert (other.peer in third.linked) == (third.peer in other.linked) == (not obstacle)


def test_frames_take_the_latency_and_are_counted() -> None:
    """Nothing arrives at once; what is sent is known by kind and bytes."""
    net = _grown(3)
    stirred = net.stirred
    before = sum(node.sent_bytes for node in net.nodes)
    while sum(node.sent_bytes for node in net.nodes) == before:
        assert net.now_s < 120.0
        net.run(LATENCY_S / 10)
    assert net.stirred == stirred
    net.run(LATENCY_S / 2)
    assert net.stirred == stirred
    net.run(LATENCY_S)
    assert net.stirred > stirred
    assert sum(sum(node.sent.values()) for node in net.nodes) > 0


def _drawn(count: int, pairs: list[tuple[int, int]]) -> tuple[OverlayNet, dict[PeerId, list[PeerId]]]:
    """Nodes that are linked as drawn, whatever their machines want."""
    net = OverlayNet()
    nodes: list[OverlayNode] = [net.add() for _ in range(count)]
    graph: dict[PeerId, list[PeerId]] = {node.peer: [] for node in nodes}
    for one, other in pairs:
        graph[nodes[one].peer].append(nodes[other].peer)
        graph[nodes[other].peer].append(nodes[one].peer)
    net.graph = lambda: graph  # type: ignore[method-assign]  # the drawn one is measured
    return net, graph


def test_hops_are_counted_along_the_shortest_way() -> None:
    """On a ring of six with one chord."""
    net, _graph = _drawn(6, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0), (0, 3)])
    hops = net.reached(net.nodes[0].peer)
    assert [hops[node.peer] for node in net.nodes] == [0, 1, 2, 1, 2, 1]
    assert net.is_connected
    assert net.degrees() == [2, 2, 2, 2, 3, 3]
    cut, _graph = _drawn(4, [(0, 1), (2, 3)])
    assert not cut.is_connected


def test_paths_and_clustering_are_those_of_known_graphs() -> None:
    """All pairs of a star are two apart but the middle's; a triangle clusters wholly, a square not at all."""
    star, _graph = _drawn(5, [(0, other) for other in range(1, 5)])
    assert star.path_length(5) == pytest.approx((8 * 1 + 12 * 2) / 20)
    assert star.clustering() == 0.0
    triangle, _graph = _drawn(3, [(0, 1), (1, 2), (2, 0)])
    assert triangle.clustering() == 1.0
    kite, _graph = _drawn(4, [(0, 1), (1, 2), (2, 0), (2, 3)])
    assert kite.clustering() == pytest.approx((1.0 + 1.0 + 1 / 3) / 3)


def test_links_of_any_standing_count_for_who_is_linked_throughout() -> None:
    """Also those that are no neighbours yet."""
    net = OverlayNet()
    one = net.add()
    net.add(contact=one)
    net.add()
    assert not net.is_linked_throughout
    net.link(net.nodes[2], one)
    assert net.is_linked_throughout
