"""Peers over a fake link: one link a pair, lost and found again, bounded dials, faults and their price."""

from __future__ import annotations

import pytest

from tests.support.fakelink import MESH, peer_of
from tests.support.linkpair import DOOR, LinkNet, LinkNode
from zmqchat.model.addresses import Endpoint
from zmqchat.model.faults import Fault
from zmqchat.protocol.effects import CloseDirect, DialDoor, Expel, OpenDirect, OpenFeed, Send
from zmqchat.protocol.facts import (
    DirectClosed,
    DirectOpened,
    EndpointsChanged,
    FeedClosed,
    InboundClosed,
    PeerAbused,
    StopRequested,
    TimerFired,
    Woke,
)
from zmqchat.protocol.machine import PeerFaulted, SendFrame
from zmqchat.protocol.peers import FEED_RETRY_S, WAIT_FOR_CALLER_S, WAIT_FOR_WINNER_S
from zmqchat.wire.frames import Bye, Link, Linked, encode

FAULT = Fault(reason="malformed", detail="Ping: fields")


def both_linked(first: LinkNode, second: LinkNode) -> bool:
    """Whether there is a link, as both see it."""
    return first.is_linked(second) and second.is_linked(first)


def two(net: LinkNet) -> tuple[LinkNode, LinkNode]:
    """Two strangers, the smaller id first."""
    small, large = sorted(("ann", "bob"), key=peer_of)
    return net.node(small), net.node(large)


# One link a pair ------------------------------------------------------------------------------------------


def test_both_dial_at_once_and_the_smaller_id_wins() -> None:
    """One connection is in use, that of the smaller id; the other never opens or is closed soon."""
    for seed in range(10):
        net = LinkNet(seed=seed)
        small, large = two(net)
        small.sight(large)
        large.sight(small)
        net.until(lambda: both_linked(small, large))  # noqa: B023 - called at once
        net.run(3)
        assert both_linked(small, large)
        assert list(small.directs) == [large.peer]
        assert not large.directs
        before = len(large.did(Send))
        net.run(10)
        assert all(effect.outbound for effect in small.did(Send)[-3:])
        assert all(not effect.outbound for effect in large.did(Send)[before:])
        assert len(small.did(Expel)) + len(large.did(Expel)) == 0


def test_both_came_up_and_the_larger_closes_its_own() -> None:
    """Where the larger id was faster its connection goes once the other one works; nothing is lost."""
    net = LinkNet()
    small, large = two(net)
    large.sight(small)
    net.until(lambda: bool(large.directs))
    small.peers.links.pop(large.peer, None)
    small.sight(large, peer=large.peer, source="mdns")
    net.until(lambda: large.peer in small.directs)
    net.run(1)
    assert small.peer in large.directs
    net.run(3)
    assert [effect.peer for effect in large.did(CloseDirect)] == [small.peer]
    assert both_linked(small, large)
    assert not small.did(Expel)


def test_the_larger_id_links_alone_where_it_alone_can_dial() -> None:
    """A connection from the larger id is as good as any when there is no other."""
    net = LinkNet()
    small, large = two(net)
    large.sight(small)
    net.until(lambda: both_linked(small, large))
    net.run(30)
    assert list(large.directs) == [small.peer]
    assert not small.directs
    assert both_linked(small, large)


def test_the_larger_id_waits_a_moment_for_the_winner_and_not_longer() -> None:
    """Both dialled, and the smaller id's connection never comes: the larger opens its own."""
    net = LinkNet()
    small, large = two(net)
    net.hole = lambda dialler, _listener, what: what == "direct" and dialler is small
    small.sight(large)
    large.sight(small)
    taken_s = net.until(lambda: both_linked(small, large))
    assert WAIT_FOR_WINNER_S <= taken_s <= WAIT_FOR_WINNER_S + 0.1


def test_a_link_of_another_instance_is_no_link() -> None:
    """A frame of an older process that is still on its way begins nothing."""
    net = LinkNet()
    small, large = two(net)
    net.silenced = lambda _sender, _receiver: True
    small.sight(large)
    net.run(0.1)
    net.deliver(small, large, encode(Link(instance=b"x" * 16)))
    net.deliver(large, small, encode(Linked(instance=b"x" * 16)))
    assert not small.is_linked(large)
    assert not large.is_linked(small)
    net.deliver(small, large, encode(Link(instance=small.instance)))
    assert large.is_linked(small)


def test_frames_of_a_session_that_is_not_there_are_ignored() -> None:
    """LINK, LINKED, closings and openings of strangers change nothing."""
    net = LinkNet()
    ann, bob = two(net)
    net.deliver(bob, ann, encode(Link(instance=bob.instance)))
    net.deliver(bob, ann, encode(Linked(instance=bob.instance)))
    for fact in (
        DirectOpened(peer=bob.peer),
        DirectClosed(peer=bob.peer, reason="lost"),
        InboundClosed(peer=bob.peer),
        FeedClosed(peer=bob.peer, reason="lost"),
        TimerFired(name=("peers", "open", bob.peer)),
        SendFrame(peer=bob.peer, payload=b"x"),
    ):
        ann.handle(fact)
    assert not ann.peers.links
    assert not ann.did(Send)


# Lost and found again -------------------------------------------------------------------------------------


def test_a_lost_link_is_back_within_a_second() -> None:
    """A reset connection is redialled at once."""
    for seed in range(5):
        net = LinkNet(seed=seed)
        small, large = net.pair()
        net.run(5)
        net.cut(small, large)
        net.until(lambda: not small.is_linked(large))  # noqa: B023 - called at once
        assert net.until(lambda: both_linked(small, large)) < 1.0  # noqa: B023 - called at once


def test_a_node_that_is_away_is_dialled_at_most_four_seconds_apart() -> None:
    """For ten minutes the redial is quick, so that whoever comes back is found."""
    net = LinkNet()
    small, large = net.pair()
    large.kill()
    net.run(60)
    before = len(small.dialled())
    net.run(100)
    assert 25 <= len(small.dialled()) - before <= 40
    again = net.node(large.name, host=large.host)
    assert net.until(lambda: both_linked(small, again)) <= 4.1


@pytest.mark.parametrize("wake", [True, False])
def test_waits_end_when_interfaces_change_or_the_machine_wakes(wake: bool) -> None:
    """A wait of minutes is void at once."""
    net = LinkNet()
    ann, bob = net.node("ann"), net.node("bob", host="10.9.9.9")
    net.blocked = lambda _dialler, _listener, _what: True
    ann.sight(bob, source="mdns")
    net.run(1_000)
    net.blocked = lambda _dialler, _listener, _what: False
    ann.handle(Woke(slept_s=60) if wake else EndpointsChanged(endpoints=(ann.endpoint,)))
    assert net.until(lambda: both_linked(ann, bob)) < 0.5


def test_a_session_that_never_links_ends() -> None:
    """Twice dial_timeout_s after WELCOME both sides give it up and try again from the door."""
    net = LinkNet()
    ann, bob = two(net)
    net.hole = lambda _dialler, _listener, what: what == "direct"
    ann.sight(bob)
    net.run(1)
    assert bob.peer in ann.peers.links
    net.run(3.1)
    assert {effect.reason for effect in (*ann.did(Expel), *bob.did(Expel))} == {"timeout"}
    net.hole = lambda _dialler, _listener, _what: False
    net.until(lambda: both_linked(ann, bob))


def test_a_direct_socket_that_denies_is_dialled_again_from_the_door() -> None:
    """A connection that came too early for the allow-list is given up, and the door asked anew."""
    net = LinkNet()
    ann, bob = two(net)
    net.hole = lambda _dialler, _listener, what: what == "direct"
    ann.sight(bob)
    net.run(0.1)
    ann.handle(DirectClosed(peer=bob.peer, reason="denied"))
    assert [effect.reason for effect in ann.did(Expel)] == ["lost"]
    net.hole = lambda _dialler, _listener, _what: False
    net.until(lambda: both_linked(ann, bob))


@pytest.mark.parametrize("is_refused", [True, False])
@pytest.mark.parametrize("by_the_smaller", [True, False])
def test_who_answered_at_the_door_links_where_nobody_gets_in_to_it(by_the_smaller: bool, is_refused: bool) -> None:
    """A firewall refuses or swallows the caller's connection to direct: the other side opens one after a second."""
    net = LinkNet()
    small, large = two(net)
    caller, answerer = (small, large) if by_the_smaller else (large, small)

    def to_the_answerer(_dialler: LinkNode, listener: LinkNode, what: str) -> bool:
        return what == "direct" and listener is answerer

    if is_refused:
        net.blocked = to_the_answerer
    else:
        net.hole = to_the_answerer
    caller.sight(answerer)
    taken_s = net.until(lambda: both_linked(small, large))
    assert WAIT_FOR_CALLER_S <= taken_s < WAIT_FOR_CALLER_S + 0.5
    net.run(30)
    assert both_linked(small, large)
    assert not small.did(Expel) and not large.did(Expel)


def test_the_inbound_half_alone_keeps_a_link() -> None:
    """Of two connections either may go; when the last one goes the link is lost."""
    net = LinkNet()
    small, large = net.pair()
    small.handle(DirectClosed(peer=large.peer, reason="lost"))
    assert not small.is_linked(large)
    small, large = LinkNet().pair()
    large.handle(DirectClosed(peer=small.peer, reason="lost"))
    assert large.is_linked(small), "it had no outbound connection of its own"
    large.handle(InboundClosed(peer=small.peer))
    large.handle(InboundClosed(peer=small.peer))
    assert not large.is_linked(small)


@pytest.mark.parametrize("inbound_goes", [True, False])
def test_one_of_two_connections_may_close(inbound_goes: bool) -> None:
    """While both sides' connections are up either may go; when the other goes too the link is lost."""
    net = LinkNet()
    small, large = net.pair()
    net.deliver(large, small, encode(Link(instance=large.instance)))
    closings = [InboundClosed(peer=large.peer), DirectClosed(peer=large.peer, reason="lost")]
    first, second = closings if inbound_goes else reversed(closings)
    small.handle(first)
    assert small.is_linked(large)
    small.handle(second)
    assert not small.is_linked(large)


def test_a_configured_address_links_whoever_lives_there() -> None:
    """--peer HOST:PORT names no identity: a new one at the same address is linked too."""
    net = LinkNet()
    ann, bob = net.node("ann"), net.node("bob")
    ann.sight(bob)
    net.until(lambda: both_linked(ann, bob))
    bob.stop()
    carol = net.node("carol", host=bob.host)
    assert net.until(lambda: both_linked(ann, carol)) <= 4.1


def test_an_expected_identity_is_insisted_on() -> None:
    """PEERID@HOST:PORT takes nobody else for that peer who answers there."""
    net = LinkNet()
    ann, bob = net.node("ann"), net.node("bob")
    ann.sight(bob, peer=peer_of("carol"))
    net.run(30)
    assert not ann.peers.is_linked(peer_of("carol"))
    target = ann.peers.book.of(peer_of("carol"))
    assert target is not None
    assert "another node answered" in target.last_error


@pytest.mark.parametrize("reason", ["mesh", "version"])
def test_who_refused_for_a_lasting_reason_is_left_alone_for_a_minute(reason: str) -> None:
    """A configured node of another mesh or version is not knocked at every few seconds."""
    net = LinkNet()
    ann = net.node("ann")
    bob = net.node("bob", versions=(9,)) if reason == "version" else net.node("bob", mesh=type(MESH)(bytes(32)))
    ann.sight(bob)
    net.run(59)
    assert len(ann.dialled()) == 1
    net.run(10)
    assert len(ann.dialled()) == 2


# The feed ---------------------------------------------------------------------------------------------------


def test_the_feed_is_opened_with_the_link_and_retried() -> None:
    """Where a peer's feed can't be dialled the link works without, and the feed is tried again."""
    net = LinkNet()
    ann, bob = two(net)
    net.blocked = lambda dialler, _listener, what: what == "feed" and dialler is ann
    ann.sight(bob)
    net.until(lambda: both_linked(ann, bob))
    net.run(60)
    tried = ann.did(OpenFeed)
    assert 4 + (60 - 2 * FEED_RETRY_S) / FEED_RETRY_S <= len(tried) <= 12
    assert ann.is_linked(bob)
    assert bob.feeds == {ann.peer}
    net.blocked = lambda _dialler, _listener, _what: False
    net.run(FEED_RETRY_S + 1)
    assert ann.feeds == {bob.peer}
    assert ann.peers.links[bob.peer].feed_attempt == 0


def test_the_feed_is_tried_at_the_other_addresses_too() -> None:
    """A peer with two addresses may be reachable for the feed at the second only."""
    net = LinkNet()
    other = Endpoint("10.6.6.6", DOOR, DOOR + 1, DOOR + 2)
    ann = net.node("ann")
    bob = net.node("bob", advertised=(Endpoint("10.0.0.2", DOOR, DOOR + 1, DOOR + 2), other))
    net.blocked = lambda _dialler, _listener, what: what == "feed"
    ann.sight(bob)
    net.until(lambda: both_linked(ann, bob))
    net.run(5)
    assert {effect.endpoint.host for effect in ann.did(OpenFeed)} == {"10.0.0.2", "10.6.6.6"}


def test_a_peer_without_ports_has_no_feed() -> None:
    """Who never told where its feed is gets pushes; nothing is dialled."""
    net = LinkNet()
    ann, bob = net.node("ann"), net.node("bob", advertised=())
    bob.admission._endpoints = ()
    bob.sight(ann)
    net.until(lambda: both_linked(ann, bob))
    assert not ann.did(OpenFeed)


# Faults ------------------------------------------------------------------------------------------------------


def misbehave(net: LinkNet, node: LinkNode, peer: LinkNode, times: int = 5) -> None:
    """A peer sends frames that do not decode."""
    for _ in range(times):
        net.deliver(peer, node, b"\x12\xc1")


def test_a_peer_at_the_floor_is_disconnected_and_comes_back_later() -> None:
    """Five malformed frames: cut, refused at the door for 30 s, then linked again; the next time for longer."""
    net = LinkNet()
    ann, bob = net.pair()
    for wait_s in (30, 60):
        misbehave(net, ann, bob, 4)
        assert ann.is_linked(bob)
        misbehave(net, ann, bob, 1)
        assert not ann.is_linked(bob)
        assert ann.did(Expel)[-1].reason == "fault"
        net.run(wait_s - 1)
        assert not ann.is_linked(bob)
        net.until(lambda: both_linked(ann, bob), within_s=61 + 5)
        net.run(60)


def test_faults_far_apart_are_forgiven() -> None:
    """One malformed frame every two minutes disconnects nobody."""
    net = LinkNet()
    ann, bob = net.pair()
    for _ in range(10):
        misbehave(net, ann, bob, 1)
        net.run(120)
    assert ann.is_linked(bob)


def test_others_go_on_while_one_is_cut() -> None:
    """A fault is its peer's alone."""
    net = LinkNet()
    ann, bob, carol = net.node("ann"), net.node("bob"), net.node("carol")
    for node in (bob, carol):
        node.sight(ann)
    net.until(lambda: both_linked(ann, bob) and both_linked(ann, carol))
    misbehave(net, ann, bob)
    net.run(10)
    assert both_linked(ann, carol)
    assert not ann.is_linked(bob)


def test_what_the_transport_cut_is_penalised() -> None:
    """A peer that broke a bound of the sockets is out at once."""
    net = LinkNet()
    ann, bob = net.pair()
    ann.handle(PeerAbused(peer=bob.peer, reason="topics"))
    assert not ann.is_linked(bob)
    assert ("last fault", "topics") in ann.peers.describe(bob.peer, ann.instant())


def test_a_fault_of_a_stranger_is_remembered_only() -> None:
    """Who is not linked can't be cut, and is refused later."""
    net = LinkNet()
    ann, bob = two(net)
    for _ in range(5):
        ann.handle(PeerFaulted(peer=bob.peer, fault=FAULT))
    bob.sight(ann)
    net.run(5)
    assert not ann.is_linked(bob)
    assert ann.admission.refusals["penalty"] >= 1


# Sending, stopping, telling -------------------------------------------------------------------------------------


def test_frames_go_over_the_one_link() -> None:
    """SendFrame becomes Send for linked peers and nothing for others."""
    net = LinkNet()
    ann, bob = net.pair()
    ann.handle(SendFrame(peer=bob.peer, payload=b"x"))
    ann.handle(SendFrame(peer=peer_of("carol"), payload=b"y"))
    assert ann.did(Send)[-1] == Send(peer=bob.peer, payload=b"x", outbound=True)
    assert ann.peers.linked == {bob.peer}


def test_a_stop_says_bye_and_dials_nobody_more() -> None:
    """Every linked peer hears it; sightings and losses after it change nothing."""
    net = LinkNet()
    ann, bob = net.pair()
    carol = net.node("carol", host="10.9.9.9")
    ann.handle(StopRequested())
    assert ann.did(Send)[-1].payload == encode(Bye(reason="stop"))
    before = len(ann.dialled())
    ann.sight(carol)
    net.run(10)
    assert len(ann.dialled()) == before
    assert not bob.is_linked(ann)


def test_what_we_think_of_a_peer_can_be_told() -> None:
    """`doctor PEER` reads how the link came, where it goes, how it was found and what went wrong."""
    net = LinkNet()
    ann, bob = net.pair()
    ann.handle(PeerFaulted(peer=bob.peer, fault=FAULT))
    lines = dict(ann.peers.describe(bob.peer, ann.instant()))
    assert lines["linked"] == "yes"
    assert lines["link"] == "dialled"
    assert lines["address"] == f"{bob.host} door {DOOR}"
    assert lines["found by"] == "config"
    assert lines["last fault"] == "malformed: Ping: fields"
    assert dict(bob.peers.describe(ann.peer, bob.instant()))["link"] == "accepted"
    bob.kill()
    net.run(10)
    assert "last dial" in dict(ann.peers.describe(bob.peer, ann.instant()))
    assert dict(ann.peers.describe(peer_of("nobody"), ann.instant())) == {"linked": "no"}


def test_a_session_without_a_way_is_described_too() -> None:
    """Before the link there is a session with neither connection."""
    net = LinkNet()
    ann, bob = two(net)
    net.hole = lambda _dialler, _listener, what: what == "direct"
    ann.sight(bob)
    net.run(1)
    lines = dict(ann.peers.describe(bob.peer, ann.instant()))
    assert lines["link"] == "none"
    assert lines["linked"] == "no"


def test_twenty_nodes_that_know_one_find_all() -> None:
    """Started at once, each told of the first: a full mesh within three seconds, and quiet after that."""
    net = LinkNet()
    nodes = [net.node(f"node {number}", host=f"10.0.1.{number}") for number in range(20)]
    for node in nodes[1:]:
        node.sight(nodes[0])
    net.until(lambda: all(len(node.peers.linked) == 19 for node in nodes), within_s=4.0)
    net.run(5)
    before = sum(len(node.did(DialDoor)) + len(node.did(OpenDirect)) for node in nodes)
    net.run(30)
    assert sum(len(node.did(DialDoor)) + len(node.did(OpenDirect)) for node in nodes) == before
    assert sum(len(node.directs) for node in nodes) == 190
