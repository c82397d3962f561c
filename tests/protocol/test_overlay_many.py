"""Meshes of many overlays: they are connected, keep their shape, and mend."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.fakelink import peer_of
from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.sim.overlaynet import PARTIAL_AT_ONCE, OverlayNet, OverlayNode
from zmqchat.wire.frames import Frame
from zmqchat.wire.overlay_frames import Contact, ForwardJoin, Join, Neighbour, Shuffle


@pytest.mark.parametrize("seed", [1, 2])
def test_two_hundred_nodes_are_connected_with_six_to_twelve_neighbours(seed: int) -> None:
    """After two minutes: one component, each degree within its bounds, short paths, little clustering."""
    net = OverlayNet(seed)
    net.grow(200)
    net.run(120.0)
    degrees = net.degrees()
    assert net.is_connected
    assert degrees[0] >= 6
    assert degrees[-1] <= 12
    assert net.path_length() < 3.2
    assert net.clustering() < 0.06
    assert all(len(node.linked) <= node.overlay.shape.sessions for node in net.alive)


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_what_is_left_after_a_massive_failure_is_connected_again(share: float) -> None:
    """Half, or four of five nodes fail at once; within half a minute all have their links again."""
    net = OverlayNet(3)
    net.grow(200)
    net.run(60.0)
    net.kill(net.rng.sample(net.alive, int(200 * share)))
    net.run(30.0)
    assert net.is_connected
    assert net.degrees()[0] >= 6


def test_halves_whose_views_forgot_each_other_find_together_again() -> None:
    """No contact of either half is left in the other: the visit over the member table crosses."""
    net = OverlayNet(4)
    net.grow(60)
    net.run(60.0)
    halves = {node: number % 2 for number, node in enumerate(net.alive)}
    net.blocked = lambda one, other: halves[one] != halves[other]
    for node in net.alive:
        for peer in sorted(node.linked):
            if halves[net.by_peer[peer]] != halves[node]:
                net.unlink(node.peer, peer, "lost")
    net.run(120.0)
    for node in net.alive:
        for peer in list(node.overlay.passive):
            if halves[net.by_peer[peer]] != halves[node]:
                node.overlay.passive.remove(peer)
    assert not net.is_connected
    net.blocked = lambda _one, _other: False
    net.run(90.0)
    assert net.is_linked_throughout


def test_a_full_mesh_becomes_partial_and_full_again() -> None:
    """At 21 members links are given up down to the bounds, and nobody is alone for long; at nine it is full again."""
    config = replace(Config(), full_mesh_max=20, full_mesh_again=10, neighbours=4)
    net = OverlayNet(5, config)
    for _ in range(20):
        node = net.add()
        for other in net.alive[:-1]:
            net.link(node, other)
    net.run(10.0)
    assert net.degrees()[0] == 19
    net.add(contact=net.alive[0])
    for _ in range(60):
        net.run(1.0)
        assert len(net.reached(net.alive[1].peer)) >= 20  # the newcomer may be without for a moment
    assert net.is_connected
    assert net.degrees()[0] >= 3
    assert net.degrees()[-1] <= 6
    net.kill(net.alive[9:])
    net.run(10.0)
    assert not any(node.overlay.is_partial for node in net.alive)


def test_a_node_that_nobody_can_dial_has_its_links() -> None:
    """Behind a firewall it dials out, and its neighbours give up others before it."""
    net = OverlayNet(6)
    net.grow(60)
    hidden = [net.add(diallable=False, contact=net.alive[number]) for number in range(5)]
    net.run(180.0)
    assert net.is_connected
    assert all(6 <= node.degree <= 12 for node in hidden)


def _eclipse(net: OverlayNet, victim: OverlayNode, count: int) -> list[OverlayNode]:
    """So many identities of one subnet, linked to the victim as far as it lets them, that want to be all it sees."""
    attackers = [net.add(subnet=999) for _ in range(count)]
    for attacker in attackers:
        attacker.overlay.facts = {}
    for _ in range(10):
        for number, attacker in enumerate(attackers):
            if attacker.peer not in victim.linked and victim.overlay.may_accept(attacker.peer):
                net.link(attacker, victim)
            others = tuple(Contact(other.peer, (other.endpoint,)) for other in attackers[number : number + 7])
            frames: tuple[Frame, ...] = (
                Join(),
                Neighbour(priority=2),
                ForwardJoin(newcomer=others[0], hops=0),
                Shuffle(origin=others[0], token=number, hops=0, entries=others),
            )
            for frame in frames:
                victim.receive(attacker.peer, frame)
        net.run(6.0)
    return attackers


def test_two_hundred_identities_of_one_subnet_do_not_surround_a_node() -> None:
    """At most half of its links and half of its reserve are theirs, and its honest neighbours stay enough."""
    net = OverlayNet(7)
    net.grow(60, subnets=20)
    net.run(90.0)
    victim = net.alive[10]
    attackers = {node.peer for node in _eclipse(net, victim, 200)}
    overlay = victim.overlay
    assert len(overlay.neighbours & attackers) <= overlay.shape.most // 2
    assert len(overlay.neighbours - attackers) >= 2
    assert len([peer for peer in overlay.passive if peer in attackers]) <= overlay.shape.passive // 2 + 1
    assert all(size.kept <= size.most for size in overlay.sizes())
    net.kill([net.by_peer[peer] for peer in sorted(attackers)])
    net.run(60.0)
    assert net.is_connected
    assert victim.degree >= 6


def test_two_runs_of_one_seed_are_the_same() -> None:
    """Nothing depends on the order of sets or on hash seeds."""

    def run() -> list[tuple[int, list[str]]]:
        net = OverlayNet(8)
        net.grow(40)
        net.run(60.0)
        return [(len(node.linked), sorted(peer.hex() for peer in node.overlay.passive)) for node in net.alive]

    assert run() == run()


def test_contacts_of_strangers_that_lead_nowhere_are_dropped_when_tried() -> None:
    """Made-up contacts cost a dial each and leave the reserve."""
    net = OverlayNet(9, PARTIAL_AT_ONCE)
    net.grow(30)
    net.run(60.0)
    node = net.alive[3]
    for number in range(10):
        node.overlay.passive.add(
            Contact(peer_of(f"nobody {number}"), (Endpoint(f"10.7.{number}.1", 1),)), peer_of(f"teller {number}")
        )
    for peer in sorted(node.linked)[:-2]:
        net.unlink(node.peer, peer, "lost")
    net.run(60.0)
    assert node.degree >= 6
    assert net.is_connected
