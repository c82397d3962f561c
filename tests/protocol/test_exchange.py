"""Peer exchange: told of one, a node learns of all; loopback stays on its machine; nobody is believed."""

from __future__ import annotations

import pytest

from tests.support.fakelink import peer_of
from tests.support.linkpair import DOOR, LinkNet, LinkNode
from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId
from zmqchat.protocol.exchange import COALESCE_S, ENTRIES_MAX, LINKS_FEW, SAMPLE
from zmqchat.wire.frames import PeerEntry, Peers, encode


def linked(*nodes: LinkNode) -> bool:
    """Whether each is linked to each."""
    return all(one.is_linked(other) for one in nodes for other in nodes if one is not other)


def told(sender: LinkNode, receiver: LinkNode) -> list[Peers]:
    """The lists that one sent to the other."""
    return [frame for peer, frame in sender.sent if peer == receiver.peer and isinstance(frame, Peers)]


def test_told_of_one_learns_of_all() -> None:
    """Three nodes, two of which know the third: all are linked within a second."""
    net = LinkNet()
    ann, bob, carol = (net.node(name) for name in ("ann", "bob", "carol"))
    bob.sight(ann)
    carol.sight(ann)
    assert net.until(lambda: linked(ann, bob, carol)) < 1.0


def test_a_newcomer_is_told_to_the_others_at_once() -> None:
    """Whoever is linked hears of it within a moment, and the newcomer of everybody."""
    net = LinkNet()
    nodes = [net.node(name) for name in ("ann", "bob", "carol")]
    for node in nodes[1:]:
        node.sight(nodes[0])
    net.until(lambda: linked(*nodes))
    net.run(10)
    dan = net.node("dan")
    dan.sight(nodes[0])
    assert net.until(lambda: linked(*nodes, dan)) < 3 * COALESCE_S


def test_peers_that_are_away_are_told_too() -> None:
    """A peer that was linked and is lost may be back by now, or be reachable for the one who is told."""
    net = LinkNet()
    ann, bob = net.pair()
    bob.kill()
    net.run(1)
    carol = net.node("carol", host="10.9.9.9")
    carol.sight(ann)
    net.until(lambda: linked(ann, carol))
    net.run(1)
    [frame] = told(ann, carol)
    assert [(entry.peer, entry.linked) for entry in frame.entries] == [(bob.peer, False)]


def test_the_list_is_repeated() -> None:
    """Every peer_exchange_s, so that a frame that was lost costs a minute."""
    net = LinkNet(config=Config(peer_exchange_s=60.0))
    nodes = [net.node(name) for name in ("ann", "bob", "carol")]
    for node in nodes[1:]:
        node.sight(nodes[0])
    net.until(lambda: linked(*nodes))
    net.run(5)
    before = len(told(nodes[0], nodes[1]))
    net.run(300)
    assert 4 <= len(told(nodes[0], nodes[1])) - before <= 6


def test_nobody_is_told_of_himself() -> None:
    """Two nodes alone have nothing to tell."""
    net = LinkNet()
    ann, bob = net.pair()
    net.run(200)
    assert told(ann, bob) == told(bob, ann) == []


def test_who_is_linked_to_whom_is_known() -> None:
    """The machines that relay ask for it; it is forgotten with the link."""
    net = LinkNet()
    ann, bob, carol = nodes = [net.node(name) for name in ("ann", "bob", "carol")]
    bob.sight(ann)
    carol.sight(ann)
    net.until(lambda: linked(*nodes))
    net.run(70)
    assert ann.exchange.linked_of[bob.peer] == {carol.peer}
    net.deliver(bob, ann, encode(Peers(entries=(PeerEntry(carol.peer, False, ()),))))
    assert ann.exchange.linked_of[bob.peer] == set()
    bob.stop()
    net.run(1)
    assert bob.peer not in ann.exchange.linked_of


def hear(node: LinkNode, teller: LinkNode, *entries: PeerEntry) -> None:
    """A linked peer tells of others."""
    node.net.deliver(teller, node, encode(Peers(entries=entries)))


def sighted(node: LinkNode, peer: PeerId) -> list[str]:
    """The hosts at which a node would look for a peer."""
    target = node.peers.book.of(peer)
    return [] if target is None else [endpoint.host for endpoint in target.endpoints]


@pytest.mark.parametrize("peer", [PeerId(b"\xff" * 32), None], ids=["no peer id", "ourselves"])
def test_entries_that_can_not_be_are_skipped(peer: PeerId | None) -> None:
    """Our own id and what is no peer id are not looked for."""
    net = LinkNet()
    ann, bob = net.pair()
    who = peer or ann.peer
    hear(ann, bob, PeerEntry(who, True, (Endpoint("10.3.3.3", DOOR),)))
    assert sighted(ann, who) == []
    assert bob.peer in ann.exchange.linked_of


def test_unusable_endpoints_are_dropped() -> None:
    """Of what a peer tells of another only addresses that can be dialled are kept, eight at most."""
    net = LinkNet()
    ann, bob = net.pair()
    carol = peer_of("carol")
    odd = ("224.0.0.1", "0.0.0.0", "127.0.0.1", "::1", "name.example", "", "x" * 200)
    hear(ann, bob, PeerEntry(carol, True, tuple(Endpoint(host, DOOR) for host in odd)))
    assert sighted(ann, carol) == []
    many = tuple(Endpoint(f"10.3.3.{number}", DOOR) for number in range(1, 60))
    hear(ann, bob, PeerEntry(carol, True, many))
    assert len(sighted(ann, carol)) == 8


def test_a_list_of_made_up_peers_is_bounded() -> None:
    """Two hundred and fifty-six entries a frame, and the book's own bounds."""
    net = LinkNet()
    ann, bob = net.pair()
    for round_number in range(30):
        made_up = [peer_of(f"fake {round_number} {number}") for number in range(ENTRIES_MAX)]
        hear(ann, bob, *(PeerEntry(peer, True, (Endpoint("10.3.3.3", DOOR),)) for peer in made_up))
    assert len(dict(ann.peers.book.peers())) <= 5_200
    assert len(ann.exchange.linked_of[bob.peer]) <= ENTRIES_MAX
    assert ann.is_linked(bob)


def test_loopback_is_told_and_kept_over_the_loopback_alone() -> None:
    """Nodes of one machine find each other over 127.0.0.1; a node elsewhere never hears of it."""
    net = LinkNet()
    here = [net.node(name, host="127.0.0.1", door=41000 + 10 * number) for number, name in enumerate("abc")]
    here[1].sight(here[0])
    here[2].sight(here[0])
    net.until(lambda: linked(*here))
    far = net.node("far", host="10.0.0.9")
    net.nodes[("10.0.0.1", 41000)] = here[0]
    far.sight(Endpoint("10.0.0.1", 41000))
    net.until(lambda: linked(here[0], far))
    net.run(70)
    told_far = [endpoint.host for frame in told(here[0], far) for e in frame.entries for endpoint in e.endpoints]
    assert "127.0.0.1" not in told_far
    told_near = [endpoint.host for frame in told(here[0], here[1]) for e in frame.entries for endpoint in e.endpoints]
    assert "127.0.0.1" in told_near
    hear(here[0], far, PeerEntry(peer_of("carol"), True, (Endpoint("127.0.0.1", 22),)))
    assert sighted(here[0], peer_of("carol")) == []


def test_hosts_of_a_full_list_fit_a_frame() -> None:
    """256 peers with eight addresses of the longest form each stay within a frame."""
    places = tuple(Endpoint(f"fe80::aaaa:bbbb:cccc:{n:04x}%{'i' * 32}", 65535, 65535, 65535) for n in range(8))
    frame = Peers(entries=tuple(PeerEntry(peer_of(f"peer {n}"), True, places) for n in range(ENTRIES_MAX)))
    assert len(encode(frame)) < 256 * 1024


def many_linked(*, published: bool) -> tuple[LinkNet, list[LinkNode]]:
    """More nodes than LINKS_FEW, all linked; a roster that tells of all of them, or of none."""
    net = LinkNet()
    nodes = [net.node(f"node {number}") for number in range(LINKS_FEW + 4)]
    if published:
        for node in nodes:
            node.published.update((other.peer, (other.endpoint,)) for other in nodes)
    for node in nodes[1:]:
        node.sight(nodes[0])
    net.until(lambda: linked(*nodes), 20.0)
    net.run(3.0)
    return net, nodes


def newcomer_told(net: LinkNet, nodes: list[LinkNode], *, published: bool = True) -> LinkNode:
    """One more, linked to the first, whose list is all that it has; nothing that it is told is dialled yet."""
    for node in nodes:
        node.sent.clear()
    dan = net.node("dan", config=Config(exchange_dials=False))
    if published:
        nodes[0].published[dan.peer] = (dan.endpoint,)
    dan.sight(nodes[0])
    net.until(lambda: linked(nodes[0], dan))
    net.run(3 * COALESCE_S)
    return dan


def test_with_many_links_what_the_roster_tells_is_not_told_again() -> None:
    """A newcomer gets a few to go on from, and nobody hears of it from here."""
    net, nodes = many_linked(published=True)
    dan = newcomer_told(net, nodes)
    [frame] = told(nodes[0], dan)
    assert len(frame.entries) == SAMPLE
    assert all(told(nodes[0], other) == [] for other in nodes[1:])


def test_with_many_links_what_the_roster_lacks_is_told() -> None:
    """Peers of whom no record is known are told to all, and so is an address that the record does not name."""
    net, nodes = many_linked(published=False)
    dan = newcomer_told(net, nodes, published=False)
    [frame] = told(nodes[0], dan)
    assert len(frame.entries) == len(nodes) - 1
    assert all(len(told(nodes[0], other)) == 1 for other in nodes[1:])

    net, nodes = many_linked(published=True)
    nodes[0].published[nodes[5].peer] = (Endpoint("10.200.0.1", DOOR),)
    dan = newcomer_told(net, nodes)
    [frame] = told(nodes[0], dan)
    assert nodes[5].peer in [entry.peer for entry in frame.entries]
    assert len(frame.entries) == SAMPLE + 1


def test_with_many_links_a_round_tells_little() -> None:
    """The repeated list is a few entries a link, not all of them."""
    net, nodes = many_linked(published=True)
    for node in nodes:
        node.sent.clear()
    net.run(61.0)
    lists = [frame for other in nodes[1:] for frame in told(nodes[0], other)]
    assert 0 < len(lists) <= 2 * len(nodes)
    assert all(len(frame.entries) <= SAMPLE for frame in lists)
