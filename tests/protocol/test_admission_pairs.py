"""Admission and links between two nodes: restarts, copies of an identity, other meshes and versions, floods."""

from __future__ import annotations

import pytest

from tests.support.fakelink import MESH, peer_of
from tests.support.linkpair import LATENCY_S, LinkNet, LinkNode
from zmqchat.model.addresses import Endpoint
from zmqchat.model.ids import MeshId, mesh_id
from zmqchat.protocol.effects import Expel, IdentityShared
from zmqchat.protocol.facts import DoorCaller, DoorKnocked, EndpointsChanged
from zmqchat.wire.frames import Hello, encode


def test_two_nodes_admit_each_other() -> None:
    """One --peer is enough: both have a session and a link after a few round trips."""
    net = LinkNet()
    ann, bob = net.node("ann"), net.node("bob")
    ann.sight(bob)
    assert net.until(lambda: ann.is_linked(bob) and bob.is_linked(ann)) <= 10 * LATENCY_S


@pytest.mark.parametrize(
    ("mesh", "versions", "reason"),
    [(mesh_id("other"), (1,), "mesh"), (MESH, (7,), "version")],
)
def test_nodes_that_do_not_fit_stay_apart(mesh: MeshId, versions: tuple[int, ...], reason: str) -> None:
    """Another mesh or no shared version: no link, no warning, and few dials."""
    net = LinkNet()
    ann, bob = net.node("ann"), net.node("bob", mesh=mesh, versions=versions)
    ann.sight(bob, source="mdns")
    net.run(120)
    assert not ann.is_linked(bob)
    assert bob.admission.refusals == {reason: len(ann.dialled())}
    assert len(ann.dialled()) <= 4


def test_older_and_newer_nodes_link_in_the_highest_shared_version() -> None:
    """A node that speaks 1 and 2 and one that speaks 2 and 3 speak 2."""
    net = LinkNet()
    ann, bob = net.node("ann", versions=(1, 2)), net.node("bob", versions=(2, 3))
    ann.sight(bob)
    net.until(lambda: ann.is_linked(bob))
    assert ann.peers.links[bob.peer].version == bob.peers.links[ann.peer].version == 2


def test_a_restart_replaces_the_session_within_the_probe() -> None:
    """A node killed without a closed connection and started again is linked after the probe's time."""
    net = LinkNet()
    ann, bob = net.pair()
    again = restarted(net, bob)
    again.sight(ann)
    taken_s = net.until(lambda: again.is_linked(ann) and ann.is_linked(again))
    assert 0.5 <= taken_s <= 0.6
    assert ann.peers.links[bob.peer].instance == again.instance
    assert [effect.reason for effect in ann.did(Expel)] == ["replaced"]
    assert not ann.of(IdentityShared)


def restarted(net: LinkNet, node: LinkNode) -> LinkNode:
    """The same node as a new process, the old one gone without a word, its connections still seen as open."""
    node.alive = False
    return net.node(node.name, host=node.host)


def test_a_restart_whose_old_connection_closed_is_linked_at_once() -> None:
    """SIGKILL closes the sockets, so nobody waits for a probe."""
    net = LinkNet()
    ann, bob = net.pair()
    bob.kill()
    again = net.node(bob.name, host=bob.host)
    again.sight(ann)
    assert net.until(lambda: again.is_linked(ann) and ann.is_linked(again)) < 0.1


def test_two_live_nodes_with_one_identity_are_both_told() -> None:
    """A third node that links the first copy refuses the second; each copy tells its user."""
    net = LinkNet()
    ann, bob = net.pair()
    copy = net.node("copy", identity=bob.name)
    copy.sight(ann)
    net.until(lambda: bool(copy.of(IdentityShared)))
    net.run(0.1)
    assert IdentityShared(peer=bob.peer, ours=True) in copy.of(IdentityShared)
    assert IdentityShared(peer=bob.peer, ours=True) in bob.of(IdentityShared)
    assert IdentityShared(peer=bob.peer, ours=False) in ann.of(IdentityShared)
    assert ann.peers.links[bob.peer].instance == bob.instance


def test_two_copies_that_see_each_other_are_told_without_a_third() -> None:
    """Discovery shows our own id at another address: what answers there is the copy."""
    net = LinkNet()
    ann, copy = net.node("ann"), net.node("copy", identity="ann")
    ann.sight(copy, source="mdns", peer=ann.peer)
    net.until(lambda: bool(ann.of(IdentityShared)) and bool(copy.of(IdentityShared)))
    assert not ann.is_linked(copy)


def test_our_own_address_is_left_alone() -> None:
    """Whatever name leads to our own door, it is dialled once in ten minutes."""
    net = LinkNet()
    ann = net.node("ann")
    net.nodes[("another-name.example", 42100)] = ann
    ann.sight(Endpoint("another-name.example", 42100))
    net.run(599)
    ann.sight(Endpoint("another-name.example", 42100))
    ann.handle(EndpointsChanged(endpoints=(ann.endpoint,)))
    assert len(ann.dialled()) == 1
    net.run(61)
    assert len(ann.dialled()) == 2


def test_an_honest_peer_gets_in_during_a_flood() -> None:
    """Welcomed callers that never link are bounded and give way: a full second of them keeps nobody out."""
    net = LinkNet()
    ann, bob = net.node("ann"), net.node("bob")
    for number in range(40 * 10):
        net.at(number / 40, lambda n=number: flood(ann, n))  # type: ignore[misc]  # a default binds the number
    net.run(5)
    bob.sight(ann)
    assert net.until(lambda: bob.is_linked(ann) and ann.is_linked(bob)) < 2.0
    assert len(ann.peers.links) <= 130
    net.run(20)
    assert set(ann.peers.links) == {bob.peer}


def flood(node: LinkNode, number: int) -> None:
    """A HELLO of a fresh identity that will never link."""
    peer = peer_of(f"flood {number}")
    caller = DoorCaller(b"%d" % number, peer, "10.9.9.9")
    hello = Hello(
        versions=(1,),
        features=(),
        peer=peer,
        mesh=MESH,
        instance=bytes(16),
        store=bytes(16),
        generation=1,
        endpoints=(),
    )
    node.handle(DoorKnocked(caller=caller, payload=encode(hello)))
