"""Links that the overlay wants and gives up, as `Peers`, the address book and the door see them."""

from __future__ import annotations

from random import Random

from tests.support.fakelink import peer_of
from tests.support.linkpair import LinkNet, LinkNode
from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.protocol.addressbook import AddressBook, Dialable
from zmqchat.protocol.effects import PeerWentOffline
from zmqchat.protocol.facts import Fact
from zmqchat.protocol.machine import DialsFailed, LinkUnwanted, LinkWanted, MeshSwitched, PeerUnlinked
from zmqchat.protocol.peers import SURPLUS_WAIT_S, THINNING_S
from zmqchat.wire.frames import Bye

HERE = Endpoint("10.0.0.9", 42100, 1, 2)
CARL = peer_of("carl")
DORA = peer_of("dora")


def book() -> AddressBook:
    """An empty address book."""
    return AddressBook(Config(), Random(1))


def handed_on(node: LinkNode) -> list[Fact]:
    """What `Peers` tells the overlay and all others from here on."""
    facts: list[Fact] = []
    for kind in (DialsFailed, PeerUnlinked):
        handler = node.overlay.facts[kind]

        def record(fact: Fact, at: object, handler: object = handler) -> None:
            facts.append(fact)
            handler(fact, at)  # type: ignore[operator]  # a handler of the machine's table

        node.mesh._by_fact[kind] = [(node.overlay, record)]
    return facts


def test_a_wanted_peer_is_due_at_once_also_where_only_others_told_of_it() -> None:
    """Its endpoints become hearsay, and the waits after failures are void for this once."""
    made = book()
    assert made.wanted(CARL, [HERE], 5.0)
    assert [target.peer for target in made.due(5.0, ())[0]] == [CARL]


def test_a_held_or_unknown_peer_can_not_be_wanted() -> None:
    """Whoever refused us is left alone; without an endpoint there is nothing to dial."""
    made = book()
    assert not made.wanted(CARL, [], 5.0)
    made.wanted(CARL, [HERE], 5.0)
    made.hold(CARL, 60.0)
    assert not made.wanted(CARL, [HERE], 59.0)
    assert made.wanted(CARL, [HERE], 60.0)


def test_what_may_not_be_dialled_is_not_due() -> None:
    """A partial mesh has no need of all: of bare endpoints in need, of some peers else."""
    made = book()
    made.sighted(HERE, CARL, "mdns", 0.0)
    made.sighted(HERE._replace(host="10.0.0.8"), None, "mdns", 0.0)
    assert [target.peer for target in made.due(1.0, (), Dialable((), True))[0]] == [None]
    assert [target.peer for target in made.due(1.0, (), Dialable((CARL, DORA), False))[0]] == [CARL]


def test_a_wanted_link_comes_about() -> None:
    """The peer is dialled at the endpoint that the overlay knew."""
    net = LinkNet()
    ann, bob = net.node("ann"), net.node("bob")
    ann.handle(LinkWanted(peer=bob.peer, endpoints=(bob.endpoint,)))
    net.until(lambda: ann.is_linked(bob) and bob.is_linked(ann))


def test_a_wanted_link_that_fails_is_told_once_all_dials_have_ended() -> None:
    """Two endpoints, one answer."""
    net = LinkNet()
    ann = net.node("ann")
    facts = handed_on(ann)
    ann.handle(LinkWanted(peer=CARL, endpoints=(HERE, HERE._replace(host="10.0.0.8"))))
    net.run(0.5)
    assert facts == [DialsFailed(peer=CARL, reason="unreachable")]


def test_a_link_that_is_given_up_ends_with_a_word_and_is_not_dialled_for_a_while() -> None:
    """BYE "surplus": neither side thinks that the other has left, nor dials before the wait is over."""
    net = LinkNet()
    ann, bob = net.pair()
    facts = handed_on(ann)
    ann.handle(LinkUnwanted(peer=bob.peer, linger_s=0.0))
    net.run(1.0)
    assert (bob.peer, Bye(reason="surplus")) in ann.sent
    assert facts == [PeerUnlinked(peer=bob.peer, reason="surplus")]
    ann.handle(LinkWanted(peer=bob.peer, endpoints=(bob.endpoint,)))
    assert facts[-1] == DialsFailed(peer=bob.peer, reason="held")
    net.run(SURPLUS_WAIT_S / 2)
    assert not ann.of(PeerWentOffline)
    target = ann.peers.book.of(bob.peer)
    assert target is not None
    assert target.held_until_s >= SURPLUS_WAIT_S


def test_links_given_up_after_a_switch_may_be_wanted_again_at_once() -> None:
    """All lose most of theirs then, and some too many; back in the full mesh, or later, it is as ever."""
    for since_s, is_held in ((0.0, False), (THINNING_S + 0.1, True)):
        net = LinkNet()
        ann, bob = net.pair()
        ann.handle(MeshSwitched(partial=True))
        net.run(since_s)
        facts = handed_on(ann)
        ann.handle(LinkUnwanted(peer=bob.peer, linger_s=0.0))
        ann.handle(LinkWanted(peer=bob.peer, endpoints=(bob.endpoint,)))
        assert (facts[-1] == DialsFailed(peer=bob.peer, reason="held")) == is_held
    net = LinkNet()
    ann, bob = net.pair()
    for partial in (True, False):
        ann.handle(MeshSwitched(partial=partial))
    facts = handed_on(ann)
    ann.handle(LinkUnwanted(peer=bob.peer, linger_s=0.0))
    ann.handle(LinkWanted(peer=bob.peer, endpoints=(bob.endpoint,)))
    assert facts[-1] == DialsFailed(peer=bob.peer, reason="held")


def test_the_other_side_may_close_a_link_that_is_given_up() -> None:
    """Whoever gives it up waits; a connection that just breaks meanwhile counts as surplus too."""
    net = LinkNet()
    ann, bob = net.pair()
    facts = handed_on(ann)
    ann.handle(LinkUnwanted(peer=bob.peer, linger_s=2.0))
    net.run(0.5)
    assert ann.is_linked(bob)
    net.cut(ann, bob)
    net.run(0.1)
    assert facts == [PeerUnlinked(peer=bob.peer, reason="surplus")]


def test_nobody_waits_for_ever_for_the_other_side() -> None:
    """After the time given the link is closed by who gave it up."""
    net = LinkNet()
    ann, bob = net.pair()
    ann.handle(LinkUnwanted(peer=bob.peer, linger_s=2.0))
    net.run(2.1)
    assert not ann.is_linked(bob)
    assert not bob.is_linked(ann)


def test_a_door_that_may_not_accept_says_full() -> None:
    """The caller hears it, and leaves the door alone for a minute."""
    net = LinkNet()
    ann, bob = net.node("ann"), net.node("bob")
    bob.admission._may_accept = lambda _peer: False
    facts = handed_on(ann)
    ann.handle(LinkWanted(peer=bob.peer, endpoints=(bob.endpoint,)))
    net.run(1.0)
    assert facts == [DialsFailed(peer=bob.peer, reason="full")]
    assert not bob.is_linked(ann)
    ann.handle(LinkWanted(peer=bob.peer, endpoints=(bob.endpoint,)))
    assert facts[-1] == DialsFailed(peer=bob.peer, reason="held")
