"""Walks: newcomers and samples of contacts go from node to node, and only what may be dialled there."""

from __future__ import annotations

import pytest

from tests.support.fakelink import peer_of
from zmqchat.model.addresses import Endpoint
from zmqchat.protocol.facts import Instant
from zmqchat.protocol.views import Linked, Standing, contacts_allowance
from zmqchat.protocol.walks import ACTIVE_WALK, PASSIVE_WALK, tellable
from zmqchat.sim.overlaynet import OverlayNet
from zmqchat.wire.overlay_frames import Contact, ForwardJoin, Shuffle

PLACES = (
    Endpoint("192.168.1.7", 42100, 1, 2),
    Endpoint("127.0.0.1", 42100, 1, 2),
    Endpoint("fe80::1%eth0", 42100, 1, 2),
    Endpoint("224.0.0.1", 42100, 1, 2),
    Endpoint("host.example", 42100, 1, 2),
    Endpoint("10.0.0.1", 0, 1, 2),
)


def line(count: int, *, ring: bool = False) -> OverlayNet:
    """So many nodes, each a neighbour of the one before and the one after it, that do nothing by themselves."""
    net = OverlayNet()
    for _ in range(count):
        net.add(subnet=len(net.nodes))
    for one, other in zip(net.nodes, net.nodes[1:], strict=False):
        net.link(one, other)
    if ring:
        net.link(net.nodes[-1], net.nodes[0])
    net.forget()
    for node in net.nodes:
        for link in node.overlay.active.links.values():
            link.standing, link.due_s = Standing.NEIGHBOUR, None
        node.overlay.facts = {}
        node.overlay.outbox = []
    return net


def link_over(*, loopback: bool) -> Linked:
    """A link to somewhere."""
    return Linked("a", (), loopback, True, Standing.NEIGHBOUR, contacts_allowance(30.0))


@pytest.mark.parametrize("loopback", [False, True])
def test_only_numeric_addresses_that_mean_something_there_are_told(loopback: bool) -> None:
    """Names, scopes, multicast and port 0 never; the loopback over the loopback alone."""
    told = tellable(Contact(peer_of("x"), PLACES), link_over(loopback=loopback))
    assert told.endpoints == (PLACES[:2] if loopback else PLACES[:1])


def test_a_newcomer_goes_six_hops_and_stays_in_reserve_three_before_the_end() -> None:
    """The last on the walk links to it, the one three hops before keeps its contact, the others forget it."""
    net = line(9)
    newcomer = net.add(subnet=50)
    told = Contact(newcomer.peer, (newcomer.endpoint,))
    first, second = net.nodes[0], net.nodes[1]
    frame = ForwardJoin(newcomer=told, hops=ACTIVE_WALK)
    second.overlay.frames[ForwardJoin](first.peer, frame, Instant(net.now_s, 0))
    second.tell()
    net.run(0.2)
    keepers = [node.number for node in net.nodes if newcomer.peer in node.overlay.passive]
    takers = [node.number for node in net.nodes if newcomer.peer in node.linked]
    assert takers == [1 + ACTIVE_WALK]
    assert keepers == [1 + ACTIVE_WALK - PASSIVE_WALK]


def test_a_shuffle_is_answered_at_the_end_of_its_walk_and_both_learn() -> None:
    """The origin's contact and sample stay at the far end, contacts of the far end come back to the origin."""
    net = line(9)
    origin, end = net.nodes[0], net.nodes[ACTIVE_WALK]
    for number in range(4):
        far = Contact(peer_of(f"far {number}"), (Endpoint(f"10.8.{number}.1", 1),))
        end.overlay.passive.add(far, peer_of(f"teller {number}"))
        near = Contact(peer_of(f"near {number}"), (Endpoint(f"10.9.{number}.1", 1),))
        origin.overlay.passive.add(near, peer_of(f"teller {number}"))
    origin.overlay.walks.begin_shuffle(net.instant)
    origin.tell()
    net.run(0.5)
    assert origin.peer in end.overlay.passive
    assert all(peer_of(f"near {number}") in end.overlay.passive for number in range(4))
    assert all(peer_of(f"far {number}") in origin.overlay.passive for number in range(4))
    assert all(len(node.overlay.walks.shuffles) == 0 for node in net.nodes)


def test_whom_nobody_reaches_is_not_spread() -> None:
    """A node that can't be dialled names itself without an endpoint, and nobody keeps it."""
    net = line(9)
    origin = net.nodes[0]
    origin.reach.nobody_reaches_us = True
    origin.overlay.walks.begin_shuffle(net.instant)
    origin.tell()
    net.run(0.5)
    assert not any(origin.peer in node.overlay.passive for node in net.nodes)


def test_a_shuffle_that_comes_by_again_ends_there() -> None:
    """A walk through a ring is answered where it closes, and the answer still finds its way."""
    net = line(3, ring=True)
    frame = Shuffle(origin=Contact(peer_of("x"), (Endpoint("10.9.1.1", 1),)), token=5, hops=6, entries=())
    node = net.nodes[0]
    node.overlay.frames[Shuffle](net.nodes[2].peer, frame, net.instant)
    node.tell()
    net.run(0.5)
    assert [peer_of("x") in other.overlay.passive for other in net.nodes].count(True) == 1
