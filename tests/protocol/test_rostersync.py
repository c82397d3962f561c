"""Anti-entropy of the roster: what differs is found and told, in either direction, and little else is."""

from __future__ import annotations

from tests.support.fakelink import peer_of
from tests.support.rosternet import RosterNet, RosterNode, member, signed
from zmqchat.protocol.facts import FrameReceived
from zmqchat.protocol.roster_facts import LinkGapped
from zmqchat.protocol.rostersync import COMPARE_AFTER_S, DIGESTS_PER_EXCHANGE
from zmqchat.wire.frames import decode, encode
from zmqchat.wire.roster_frames import (
    Records,
    RosterBuckets,
    RosterDigest,
    RosterSummary,
)


def know(node: RosterNode, *names: str, version: int = 1) -> None:
    """Have these members in the node's roster, as if heard long ago."""
    for name in names:
        record = member(name, version)
        pool = node.roster.pool
        node.roster.table.put(pool.add(record, signed(record)), node.peer, node.net.now_s, known=True)


def frames_of(node: RosterNode, kind: type) -> int:
    """How many frames of this type the node has sent."""
    return sum(isinstance(decode(payload), kind) for _peer, payload in node.sent)


def pair() -> tuple[RosterNet, RosterNode, RosterNode]:
    """Two nodes, not yet linked."""
    net = RosterNet(shared=False)
    return net, net.node("ann"), net.node("bob")


def test_two_that_meet_tell_each_other_what_they_lack() -> None:
    """Records that only one has, and newer versions, go both ways in one exchange."""
    net, ann, bob = pair()
    know(ann, *(f"of ann {n}" for n in range(300)))
    know(bob, *(f"of bob {n}" for n in range(100)))
    know(ann, "both")
    know(bob, "both", version=2)
    net.link(ann, bob)
    net.run(COMPARE_AFTER_S + 20.0)
    assert ann.roster.live_count == bob.roster.live_count == 402
    for node in (ann, bob):
        record = node.roster.record(peer_of("both"))
        assert record is not None and record.version == 2


def test_equal_rosters_cost_one_small_frame() -> None:
    """Where nothing differs only the summary is sent."""
    net, ann, bob = pair()
    for node in (ann, bob):
        know(node, *(f"member {n}" for n in range(50)))
    net.link(ann, bob)
    net.run(COMPARE_AFTER_S + 1.0)
    assert frames_of(ann, RosterSummary) + frames_of(bob, RosterSummary) == 1
    assert not any(frames_of(node, kind) for node in (ann, bob) for kind in (RosterBuckets, RosterDigest))
    summary = [
        payload for node in (ann, bob) for _p, payload in node.sent if isinstance(decode(payload), RosterSummary)
    ]
    assert len(summary[0]) <= 24


def test_over_a_fresh_link_that_tells_of_gaps_rosters_are_compared_at_once() -> None:
    """Whichever of the two is told, and once: an older link is compared when its turn comes."""
    for told_is_smaller in (True, False):
        net, *both = pair()
        told, other = sorted(both, key=lambda node: node.peer, reverse=not told_is_smaller)
        names = [f"member {n}" for n in range(10)]
        know(other, *names)
        net.link(told, other)
        net.run(0.1)
        told.handle(LinkGapped(peer=other.peer))
        net.run(0.1)
        assert all(told.roster.is_live(peer_of(name)) for name in names)
        summaries = frames_of(told, RosterSummary)
        for wait_s in (0.0, 2 * COMPARE_AFTER_S):
            net.run(wait_s)
            before = frames_of(told, RosterSummary)
            told.handle(LinkGapped(peer=other.peer))
            net.run(0.1)
            assert frames_of(told, RosterSummary) == before
        assert summaries == 1


def test_a_newcomer_to_a_large_mesh_learns_all_of_it() -> None:
    """Bucket by bucket, as fast as records may come over one link."""
    net, ann, bob = pair()
    know(ann, *(f"member {n}" for n in range(3_000)))
    net.link(ann, bob)
    net.run(30.0)
    assert bob.roster.live_count == 3_001
    assert bob.roster.late_records <= 1_000


def test_who_is_dead_for_one_is_asked_before_the_other_believes_it() -> None:
    """A member that one holds for dead and the other for live becomes a suspect, and dead where nobody refutes."""
    net, ann, bob = pair()
    know(ann, "carol")
    know(bob, "carol")
    slot = ann.roster.table.slot(peer_of("carol"))
    assert slot is not None
    ann.roster.table.set_state(slot, 2)
    net.link(ann, bob)
    net.run(COMPARE_AFTER_S + 0.5)
    assert bob.liveness.suspects == [peer_of("carol")]
    net.run(net.config.confirm_s + 1.0)
    assert not bob.roster.is_live(peer_of("carol"))


def test_what_both_hold_for_dead_is_told_to_nobody() -> None:
    """Dead members are in no hash and in no digest."""
    net, ann, bob = pair()
    know(ann, "carol", "dan")
    slot = ann.roster.table.slot(peer_of("carol"))
    assert slot is not None
    ann.roster.table.set_state(slot, 2)
    net.link(ann, bob)
    net.run(10.0)
    assert bob.roster.is_live(peer_of("dan")) and bob.roster.record(peer_of("carol")) is None


def test_digests_that_nobody_asked_for_are_not_answered() -> None:
    """Only so many are looked at between two summaries; more, and any before the first, cost nothing."""
    net, ann, bob = pair()
    net.link(ann, bob)
    net.run(1.0)
    know(ann, *(f"member {n}" for n in range(30)))

    def ask(bucket: int) -> None:
        payload = encode(RosterDigest(bucket=bucket, entries=b"", reply=True))
        ann.handle(FrameReceived(peer=bob.peer, payload=payload, inbound=True))

    before = frames_of(ann, Records)
    for bucket in range(256):
        ask(bucket)
    assert frames_of(ann, Records) == before
    payload = encode(RosterSummary(count=0, hash=bytes(8)))
    ann.handle(FrameReceived(peer=bob.peer, payload=payload, inbound=True))
    ann.handle(FrameReceived(peer=bob.peer, payload=payload, inbound=True))
    assert frames_of(ann, RosterBuckets) == 1, "a second summary so soon is not looked at"
    for bucket in range(256):
        ask(bucket)
    assert 0 < frames_of(ann, Records) - before <= DIGESTS_PER_EXCHANGE
