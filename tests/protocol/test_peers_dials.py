"""What peers dial: paced, the known first, never ourselves, and hardly ever a third party."""

from __future__ import annotations

import pytest

from tests.support.fakelink import MESH, peer_of
from tests.support.linkpair import DOOR, LinkNet, LinkNode
from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.model.limits import DIALS_AT_ONCE_MAX, DIALS_PER_S_MAX
from zmqchat.protocol.facts import (
    DoorCaller,
    DoorKnocked,
    EndpointsChanged,
    StopRequested,
)
from zmqchat.protocol.peers import SESSIONS_UNLINKED_MAX
from zmqchat.wire.frames import Hello, encode


def both_linked(first: LinkNode, second: LinkNode) -> bool:
    """Whether there is a link, as both see it."""
    return first.is_linked(second) and second.is_linked(first)


def test_dials_are_bounded_and_paced() -> None:
    """A thousand announced services cost ten dials a second, four at once."""
    net = LinkNet()
    ann = net.node("ann")
    net.hole = lambda _dialler, _listener, _what: True
    for number in range(1_000):
        net.nodes[("10.1.0.1", number + 1)] = ann
        ann.sight(Endpoint("10.1.0.1", number + 1), source="mdns")
    assert len(ann.dialled()) == DIALS_AT_ONCE_MAX
    net.hole = lambda _dialler, _listener, _what: False
    net.nodes = {(ann.host, DOOR): ann}
    net.run(10)
    assert len(ann.dialled()) <= DIALS_PER_S_MAX * 11
    assert len(set(ann.dialled())) >= DIALS_PER_S_MAX * 7


def test_a_known_peer_is_found_among_a_flood_of_sightings() -> None:
    """A peer that is lost while strangers are announced without end is redialled before them."""
    net = LinkNet()
    ann, bob = net.pair()
    for number in range(3_000):
        net.at(number / 300, lambda n=number: ann.sight(Endpoint("10.1.0.1", n + 1), source="mdns"))  # type: ignore[misc]  # a default binds the number
    net.run(3)
    net.cut(ann, bob)
    bob.handle(StopRequested())
    net.until(lambda: not ann.is_linked(bob))
    bob.kill()
    again = net.node(bob.name, host=bob.host)
    assert net.until(lambda: both_linked(ann, again)) < 2.0


def test_our_own_addresses_are_never_dialled() -> None:
    """Neither what we announced, nor the loopback with one of our ports, nor our id there."""
    net = LinkNet()
    ann = net.node("ann")
    ann.sight(ann)
    ann.sight(ann, source="mdns", peer=ann.peer)
    for port in ann.ports:
        ann.sight(Endpoint("127.0.0.1", port))
    net.run(10)
    assert ann.dialled() == []
    ann.sight(Endpoint("127.0.0.1", 9_999))
    assert len(ann.dialled()) == 1, "another node on this machine is normal"


def test_a_peer_that_moved_onto_our_address_is_not_dialled_there() -> None:
    """An endpoint that becomes ours while it is remembered as another's is skipped."""
    net = LinkNet()
    ann = net.node("ann")
    ann.sight(Endpoint("10.7.7.7", DOOR), source="mdns", peer=peer_of("bob"))
    net.run(5)
    before = len(ann.dialled())
    ann.handle(EndpointsChanged(endpoints=(Endpoint("10.7.7.7", DOOR),)))
    net.run(60)
    assert len(ann.dialled()) == before


def test_hearsay_can_be_switched_off() -> None:
    """With exchange_dials off only what we found ourselves is dialled."""
    net = LinkNet(config=Config(exchange_dials=False))
    ann = net.node("ann")
    ann.sight(Endpoint("10.0.0.9", DOOR), source="exchange", peer=peer_of("bob"))
    assert ann.dialled() == []
    ann.sight(Endpoint("10.0.0.9", DOOR), source="mdns", peer=peer_of("bob"))
    assert len(ann.dialled()) == 1


HOSTILE_ENDPOINTS = (
    *(Endpoint("10.5.0.1", port) for port in range(1, 300)),
    Endpoint("127.0.0.1", 1),
    Endpoint("224.0.0.251", 5353),
    Endpoint("0.0.0.0", 1),
    Endpoint("10.0.0.1", 0),
    Endpoint("", 1),
)


@pytest.mark.parametrize(
    "told", [HOSTILE_ENDPOINTS[-5:], HOSTILE_ENDPOINTS, HOSTILE_ENDPOINTS[:5] + HOSTILE_ENDPOINTS[-5:]]
)
def test_hostile_endpoints_are_kept_out(told: tuple[Endpoint, ...]) -> None:
    """Of however many endpoints in HELLO at most eight are kept, none of them unusable."""
    net = LinkNet()
    ann, bob = net.node("ann"), net.node("bob", advertised=told)
    bob.sight(ann)
    net.until(lambda: both_linked(ann, bob))
    target = ann.peers.book.of(bob.peer)
    assert target is not None
    assert len(target.endpoints) <= 8
    hosts = {endpoint.host for endpoint in target.endpoints}
    assert not hosts & {"127.0.0.1", "224.0.0.251", "0.0.0.0", ""}


def test_a_victim_is_hardly_dialled() -> None:
    """A peer that names a third party's address in HELLO makes us knock there a few times, then once a minute."""
    net = LinkNet()
    victim = Endpoint("203.0.113.1", 22)
    ann, bob = net.node("ann"), net.node("bob", advertised=(Endpoint("10.0.0.2", DOOR, DOOR + 1, DOOR + 2), victim))
    bob.sight(ann)
    net.until(lambda: both_linked(ann, bob))
    bob.kill()
    net.run(600)
    assert len([place for place in ann.dialled() if place.host == victim.host]) <= 3 + 600 / 60


def test_welcomed_callers_that_never_link_are_bounded() -> None:
    """The oldest gives way to the newest; linked peers and our own dials stay."""
    net = LinkNet()
    ann, bob = net.pair()
    for number in range(2 * SESSIONS_UNLINKED_MAX):
        peer = peer_of(f"caller {number}")
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
        ann.handle(DoorKnocked(caller=DoorCaller(b"r", peer, "10.9.9.9"), payload=encode(hello)))
        net.now_s += 0.02
    assert len(ann.peers.links) <= SESSIONS_UNLINKED_MAX + 1
    assert ann.is_linked(bob)
    assert peer_of(f"caller {2 * SESSIONS_UNLINKED_MAX - 1}") in ann.peers.links
