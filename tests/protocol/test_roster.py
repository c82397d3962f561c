"""The roster: everybody hears of everybody, the newest record wins, and a forged one is blamed on its sender."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fakelink import lobby, peer_of
from tests.support.rosternet import RosterNet, RosterNode, member, signed
from zmqchat.crypto.twin import TwinCrypto
from zmqchat.model.addresses import Endpoint
from zmqchat.model.limits import RECORDS_BURST_MAX, RECORDS_PER_FRAME_MAX
from zmqchat.protocol.data_facts import RoomJoined, RoomLeft
from zmqchat.protocol.facts import EndpointsChanged, FrameReceived
from zmqchat.protocol.machine import PeerUnlinked
from zmqchat.protocol.roster import GOSSIP_DELAY_S, SIGN_AGAIN_S, SIGN_DELAY_S
from zmqchat.wire.frames import decode, encode
from zmqchat.wire.roster_frames import MemberRecord, Records

SETTLED_S = 3.0


def tell(node: RosterNode, teller: RosterNode, *raws: bytes, news: bool = True) -> None:
    """Have the teller's frame arrive."""
    payload = encode(Records(records=raws, news=news))
    node.handle(FrameReceived(peer=teller.peer, payload=payload, inbound=True))


def pair(net: RosterNet) -> tuple[RosterNode, RosterNode]:
    """Two linked nodes that know each other."""
    ann, bob = net.full_mesh_of(2)
    net.run(SETTLED_S)
    return ann, bob


def test_a_record_reaches_all_of_two_hundred_nodes_within_a_few_rounds() -> None:
    """A change on one node of a random graph is known everywhere after the diameter times the delay of gossip."""
    net = RosterNet()
    nodes = net.mesh_of(200, 8)
    net.run(60.0)
    assert all(node.roster.live_count == 199 for node in nodes)
    room = lobby("news")
    nodes[0].handle(RoomJoined(room=room))
    net.run(SIGN_DELAY_S + 6 * (GOSSIP_DELAY_S + 0.01))
    assert all(node.in_room(room) == [nodes[0].peer] for node in nodes[1:])
    assert not any(node.faults for node in nodes)


def test_anti_entropy_finds_what_gossip_lost() -> None:
    """With a third of all frames lost everybody knows everybody all the same, a little later."""
    net = RosterNet()
    loss = Random(7)
    net.lose = lambda _a, _b, _payload: loss.random() < 0.33
    nodes = net.mesh_of(40, 6)
    net.run(300.0)
    assert all(node.roster.live_count == 39 for node in nodes)


def test_a_full_mesh_at_rest_costs_next_to_nothing() -> None:
    """In ten minutes of silence a node of ten sends a few small frames."""
    net = RosterNet()
    net.full_mesh_of(10)
    net.run(60.0)
    frames, sent_bytes = net.frames, net.sent_bytes
    net.run(600.0)
    assert net.frames - frames <= 10 * 30
    assert net.sent_bytes - sent_bytes <= 10 * 30 * 24


def test_a_change_in_a_full_mesh_is_told_by_its_owner() -> None:
    """Others pass on what the owner tells everybody to two links each, in case somebody missed it."""
    net = RosterNet()
    nodes = net.full_mesh_of(20)
    net.run(60.0)
    before = net.frames
    nodes[0].handle(RoomJoined(room=lobby()))
    net.run(5.0)
    assert all(node.in_room(lobby()) == [nodes[0].peer] for node in nodes[1:])
    assert net.frames - before <= 19 + 19 * 2 + 20


def test_the_newest_version_wins_in_any_order() -> None:
    """An older record that comes later changes nothing."""
    net = RosterNet()
    ann, bob = pair(net)
    room, other = lobby("new"), lobby("old")
    tell(ann, bob, signed(member("carol", 5, (room[:4],))), signed(member("carol", 4, (other[:4],))))
    record = ann.roster.record(peer_of("carol"))
    assert record is not None and record.version == 5
    assert ann.in_room(room) == [peer_of("carol")] and not ann.in_room(other)
    tell(ann, bob, signed(member("carol", 6, (other[:4],))))
    assert ann.in_room(other) == [peer_of("carol")] and not ann.in_room(room)


def test_a_forged_record_is_refused_and_blamed_on_its_sender() -> None:
    """A record that its owner did not sign is not taken, and counts against the link that it came by."""
    net = RosterNet()
    ann, bob = pair(net)
    tell(ann, bob, signed(member("carol"), TwinCrypto(bob.peer)))
    assert ann.roster.record(peer_of("carol")) is None
    assert [fault.peer for fault in ann.faults] == [bob.peer]
    assert ann.faults[0].fault.reason == "signature"


def test_members_without_a_link_are_told_to_the_address_book() -> None:
    """Where a record says that its owner is, is hearsay for who dials; not loopback, and nobody who is linked."""
    net = RosterNet()
    ann, bob = pair(net)
    assert not ann.sighted
    endpoints = (Endpoint("127.0.0.1", 1, 2, 3), Endpoint("10.9.9.9", 42100, 42101, 42102))
    tell(ann, bob, signed(member("carol")._replace(endpoints=endpoints)))
    assert [(s.endpoint, s.peer, s.source) for s in ann.sighted] == [(endpoints[1], peer_of("carol"), "exchange")]


def test_a_record_of_nobody_is_refused() -> None:
    """An id that no key can have, and bytes that are no record, are faults."""
    net = RosterNet()
    ann, bob = pair(net)
    nobody = member("carol")._replace(peer=type(ann.peer)(b"\xff" * 32))
    tell(ann, bob, signed(nobody))
    tell(ann, bob, bytes(100))
    assert [fault.fault.reason for fault in ann.faults] == ["identity", "malformed"]


def test_peers_of_an_older_version_are_sent_nothing() -> None:
    """Who does not name the roster in HELLO hears nothing of it, and is not listened to."""
    net = RosterNet()
    ann, bob = net.node("ann"), net.node("bob")
    net.link(ann, bob, features=())
    net.run(60.0)
    assert not ann.sent and not bob.sent
    tell(ann, bob, signed(member("carol")))
    assert ann.roster.live_count == 0


def test_rooms_and_addresses_that_change_together_share_a_record() -> None:
    """One signature covers what happened within a moment, and nothing is signed where nothing changed."""
    net = RosterNet()
    ann, bob = pair(net)
    net.run(10.0)
    told = len(ann.sent)
    for name in ("one", "two", "three"):
        ann.handle(RoomJoined(room=lobby(name)))
    ann.handle(EndpointsChanged(endpoints=(Endpoint("10.0.0.9", 1, 2, 3),)))
    ann.handle(RoomLeft(room=lobby("three")))
    net.run(SIGN_DELAY_S + 0.05)
    assert len(ann.sent) - told == 1
    record = bob.roster.record(ann.peer)
    assert record is not None and len(record.rooms) == 2 and record.endpoints[0].host == "10.0.0.9"
    ann.handle(EndpointsChanged(endpoints=(Endpoint("10.0.0.9", 1, 2, 3),)))
    net.run(5.0)
    assert bob.roster.record(ann.peer) == record


def test_addresses_that_mean_nothing_elsewhere_are_not_in_the_record() -> None:
    """Link-local ones never, loopback ones only where there are no others; the receiver looks again."""
    net = RosterNet()
    ann, bob = pair(net)
    hosts = ("127.0.0.1", "fe80::1%eth0", "10.0.0.5")
    ann.handle(EndpointsChanged(endpoints=tuple(Endpoint(host, 1, 2, 3) for host in hosts)))
    net.run(5.0)
    record = bob.roster.record(ann.peer)
    assert record is not None and [e.host for e in record.endpoints] == ["10.0.0.5"]
    ann.handle(EndpointsChanged(endpoints=(Endpoint("127.0.0.1", 1, 2, 3),)))
    net.run(5.0)
    record = bob.roster.record(ann.peer)
    assert record is not None and [e.host for e in record.endpoints] == ["127.0.0.1"]
    assert bob.roster.endpoints_of(ann.peer) == ()


def test_a_record_with_many_long_addresses_still_fits() -> None:
    """The last addresses are left out where the record would be too long."""
    net = RosterNet()
    ann, bob = pair(net)
    hosts = [f"2001:db8:1111:2222:3333:4444:5555:{number}{number:03}" for number in range(8)]
    for number in range(16):
        ann.handle(RoomJoined(room=lobby(str(number))))
    ann.handle(EndpointsChanged(endpoints=tuple(Endpoint(host, 42100, 42101, 42102) for host in hosts)))
    net.run(5.0)
    record = bob.roster.record(ann.peer)
    assert record is not None and 3 <= len(record.endpoints) < 8 and len(record.rooms) == 16


def test_a_record_of_ours_from_an_earlier_start_is_outdone() -> None:
    """Where our clock was put back, we sign with a version above the old one, so that others take it."""
    net = RosterNet()
    ann, bob = pair(net)
    future = 2**50
    tell(ann, bob, signed(member("node 0", future)))
    net.run(SIGN_AGAIN_S + 1.0)
    record = bob.roster.record(ann.peer)
    assert record is not None and record.version == future + 1


def test_who_signs_below_an_earlier_start_is_told_of_it() -> None:
    """Whoever gets an old record from its owner answers with the newer one; from others it is no news."""
    net = RosterNet()
    ann, bob, carol = net.full_mesh_of(3)
    net.run(SETTLED_S)
    future = 2**50
    tell(bob, carol, signed(member("node 0", future)))
    before = len(bob.sent)
    tell(bob, carol, signed(member("node 0", future - 1)))
    assert len(bob.sent) == before
    ann.handle(RoomJoined(room=lobby("news")))
    net.run(2 * SIGN_AGAIN_S + 1.0)
    record = bob.roster.record(ann.peer)
    assert record is not None and record.version == future + 1 and len(record.rooms) == 1


def test_a_flood_of_records_is_taken_at_a_pace() -> None:
    """Beyond a burst, what one link tells is verified at a bounded rate; the rest is dropped unread."""
    net = RosterNet()
    ann, bob = pair(net)
    raws = [signed(member(f"made up {number}")) for number in range(RECORDS_BURST_MAX + 1_000)]
    for first in range(0, len(raws), RECORDS_PER_FRAME_MAX):
        tell(ann, bob, *raws[first : first + RECORDS_PER_FRAME_MAX], news=False)
    assert RECORDS_BURST_MAX <= ann.roster.live_count <= RECORDS_BURST_MAX + 2
    assert ann.roster.late_records >= 990


def test_answers_are_not_passed_on() -> None:
    """What came by anti-entropy is nobody's news."""
    net = RosterNet()
    nodes = net.full_mesh_of(3)
    net.run(10.0)
    before = len(nodes[0].sent)
    tell(nodes[0], nodes[1], signed(member("carol")), news=False)
    net.run(1.0)
    assert not [payload for _peer, payload in nodes[0].sent[before:] if isinstance(decode(payload), Records)]


def test_questions_name_the_live_in_order() -> None:
    """Members are listed sorted, picked at random without the excluded, and found by what their records hint at."""
    net = RosterNet()
    nodes = net.full_mesh_of(8)
    net.run(30.0)
    ann = nodes[0]
    others = sorted(node.peer for node in nodes[1:])
    assert list(ann.roster.members_live()) == others
    assert ann.roster.members_live() is ann.roster.members_live()
    assert sorted(ann.roster.pick(20)) == others
    assert set(ann.roster.pick(3, others[:4])) == set(others[4:])
    assert not ann.roster.pick(3, others)
    assert ann.roster.record(ann.peer) is None and not ann.roster.is_live(ann.peer)
    for number in range(20):
        nodes[1].handle(RoomJoined(room=lobby(f"room {number}")))
    net.run(5.0)
    assert ann.roster.may_be_in(nodes[1].peer, lobby("any other"))
    assert not ann.roster.may_be_in(nodes[2].peer, lobby("any other"))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6), st.booleans()), max_size=40))
def test_rosters_that_heard_the_same_in_any_order_are_equal(told: list[tuple[int, int, bool]]) -> None:
    """Whatever the order and however often, the same records give the same table and the same hash."""
    net = RosterNet()
    ann, bob = pair(net)
    raws: list[tuple[MemberRecord, bytes]] = []
    for number, version, _news in told:
        record = member(f"member {number}", version)
        raws.append((record, signed(record)))
    for _record, raw in raws:
        tell(ann, bob, raw, news=False)
    for _record, raw in reversed(raws):
        tell(bob, ann, raw, news=False)
    newest = {record.peer: max(r.version for r, _ in raws if r.peer == record.peer) for record, _raw in raws}
    for node in (ann, bob):
        held = {peer: node.roster.record(peer) for peer in newest}
        assert {peer: record.version for peer, record in held.items() if record} == newest
    before = len(ann.sent) + len(bob.sent)
    for node in (ann, bob):
        node.handle(PeerUnlinked(peer=node.net.nodes[ann.peer if node is bob else bob.peer].peer, reason="surplus"))
    net.link(ann, bob)
    net.run(25.0)
    assert len(ann.sent) + len(bob.sent) - before <= 4, "equal rosters need a record each and one summary"
