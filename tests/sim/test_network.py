"""The simulated network: each property of a link shown by itself, with nothing but ears at its ends."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from tests.support.simears import EVEN, Ear, EarNet
from zmqchat.protocol.facts import (
    DirectClosed,
    DirectOpened,
    FeedClosed,
    InboundClosed,
    LinkBlocked,
    PeerSubscribed,
)
from zmqchat.sim.author import lobby
from zmqchat.sim.conditions import RESEND_S, LinkQuality
from zmqchat.sim.network import BREAK_S, QUEUE_FRAMES_MAX
from zmqchat.sim.routes import CONNECT_S, HANDSHAKE_LATENCIES, HEADER_BYTES
from zmqchat.wire.frames import Page, Ping, encode


def _pair(quality: LinkQuality = EVEN, seed: int = 1) -> tuple[EarNet, Ear, Ear]:
    """Two ears with a link between them; the first has dialled, and the other one knows it by a frame."""
    net = EarNet(seed)
    ann, ben = net.add(), net.add()
    net.link(ann, ben)
    net.send(ann, ben, b"first")
    net.passes(1.0)
    for ear in (ann, ben):
        ear.heard.clear()
    net.conditions.quality = quality
    return net, ann, ben


def _numbered(count: int) -> list[bytes]:
    return [number.to_bytes(4, "big") for number in range(count)]


# Latency, order, loss, bandwidth -----------------------------------------------------------------------


def test_a_frame_takes_the_latency_of_its_connection_in_both_directions() -> None:
    """Ten milliseconds there, ten back."""
    net, ann, ben = _pair()
    began_s = net.now_s
    net.send(ann, ben, b"there")
    net.send(ben, ann, b"back")
    net.passes(1.0)
    assert (ben.frames, ann.frames) == ([b"there"], [b"back"])
    assert ben.frames_at_s() == pytest.approx([began_s + 0.01])
    assert ann.frames_at_s() == pytest.approx([began_s + 0.01])


def test_jitter_holds_frames_up_and_never_changes_their_order_on_one_link() -> None:
    """A hundred frames, each delayed by chance, arrive as they were sent."""
    net, ann, ben = _pair(replace(EVEN, jitter=20.0))
    sent_at_s = []
    for payload in _numbered(100):
        sent_at_s.append(net.now_s)
        net.send(ann, ben, payload)
        net.passes(0.05)
    net.passes(5.0)
    assert ben.frames == _numbered(100)
    took_s = [came_s - sent_s for came_s, sent_s in zip(ben.frames_at_s(), sent_at_s, strict=True)]
    assert min(took_s) >= 0.01 and max(took_s) - min(took_s) > 0.05


def test_frames_on_different_links_overtake_each_other() -> None:
    """A short link's frame is there before one that left earlier on a long link."""
    net = EarNet()
    ann, ben, cas = net.add(), net.add(), net.add()
    net.conditions.set_link(0, 2, replace(EVEN, latency_s=(0.5, 0.5)))
    net.link(ann, cas)
    net.link(ben, cas)
    net.send(ann, cas, b"early")
    net.passes(0.1)
    net.send(ben, cas, b"late")
    net.passes(1.0)
    assert cas.frames == [b"late", b"early"]


def test_loss_delays_and_loses_nothing_on_a_link() -> None:
    """TCP sends again: all frames arrive in order, about so many of them late as were lost."""
    net, ann, ben = _pair(replace(EVEN, loss=0.2))
    late = 0
    for payload in _numbered(300):
        sent_s = net.now_s
        net.send(ann, ben, payload)
        net.passes(5.0)
        late += ben.frames_at_s()[-1] - sent_s > RESEND_S
    assert ben.frames == _numbered(300)
    assert 40 <= late <= 80


def test_a_large_frame_is_lost_more_often_than_a_small_one() -> None:
    """Loss is of a packet, and a large frame is many."""
    conditions = EarNet().conditions
    quality = replace(EVEN, loss=0.02)
    delayed = [
        sum(conditions.delay_s(quality, 0.01, size_bytes) > RESEND_S for _ in range(400))
        for size_bytes in (100, 20_000)
    ]
    assert delayed[0] < 25 < 80 < delayed[1]


def test_bandwidth_is_shared_by_all_links_of_a_sender() -> None:
    """Each frame waits for those before it, also those to others; what is received costs nothing."""
    net = EarNet()
    ann, ben, cas = net.add(), net.add(), net.add()
    for other in (ben, cas):
        net.link(ann, other)
    net.conditions.bandwidths[0] = 1_000.0
    began_s = net.now_s
    payload = bytes(500 - HEADER_BYTES)
    for other in (ben, cas, ben):
        net.send(ann, other, payload)
    net.passes(0.001)
    assert net.network.backlog_s() == pytest.approx(1.5, abs=0.01)
    net.passes(5.0)
    assert ben.frames_at_s() == pytest.approx([began_s + 0.51, began_s + 1.51])
    assert cas.frames_at_s() == pytest.approx([began_s + 1.01])
    assert net.network.backlog_s() == 0.0
    began_s = net.now_s
    net.send(ben, ann, payload)
    net.passes(1.0)
    assert ann.frames_at_s() == pytest.approx([began_s + 0.01])


def test_of_what_waits_on_a_link_there_is_a_most() -> None:
    """At the high-water mark a frame is dropped, and its sender is told."""
    net, ann, ben = _pair()
    net.send(ann, ben, *_numbered(QUEUE_FRAMES_MAX + 2))
    net.passes(1.0)
    assert ben.frames == _numbered(QUEUE_FRAMES_MAX)
    assert ann.facts == [LinkBlocked(peer=ben.peer)] * 2
    net.send(ann, ben, b"there is room again")
    net.passes(1.0)
    assert ben.frames[-1] == b"there is room again"


def test_what_a_node_sends_of_history_is_counted() -> None:
    """Pages only, by node."""
    net, ann, ben = _pair()
    page = encode(Page(request=1, batches=(), done=True))
    net.send(ann, ben, page, encode(Ping(token=1, wall_ms=0)))
    assert net.network.sent_history_bytes == {0: len(page)}


# Feeds: loss, doubles, topics --------------------------------------------------------------------------


def test_a_feed_loses_and_doubles_as_it_is_told_and_keeps_the_order() -> None:
    """Unlike a link: frames are gone, or come twice."""
    for quality, count in (
        (EVEN, {1}),
        (replace(EVEN, feed_loss=0.3), {0, 1}),
        (replace(EVEN, feed_double=0.3), {1, 2}),
    ):
        net = EarNet()
        ann, ben = net.add(), net.add()
        net.subscribe(ben, ann, lobby())
        net.conditions.quality = quality
        for payload in _numbered(200):
            net.network.publish(ann.process, lobby(), payload)
        net.passes(1.0)
        assert ben.frames == sorted(ben.frames)
        counts = [ben.frames.count(payload) for payload in _numbered(200)]
        assert set(counts) == count
        odd = sum(each != 1 for each in counts)
        assert odd == 0 if count == {1} else 35 <= odd <= 85


def test_a_feed_carries_the_rooms_that_were_asked_for() -> None:
    """Its owner hears of each topic, on and off, and sends nothing else."""
    net = EarNet()
    ann, ben = net.add(), net.add()
    kitchen = lobby("kitchen")
    net.subscribe(ben, ann, lobby())
    assert ann.facts == [PeerSubscribed(peer=ben.peer, room=lobby(), on=True)]
    (feed,) = ben.feeds.values()
    net.network.subscribe(feed, frozenset({lobby()}), frozenset({kitchen}))
    net.passes(1.0)
    assert ann.facts[1:] == [
        PeerSubscribed(peer=ben.peer, room=lobby(), on=False),
        PeerSubscribed(peer=ben.peer, room=kitchen, on=True),
    ]
    for room, payload in ((lobby(), b"lobby"), (kitchen, b"kitchen")):
        net.network.publish(ann.process, room, payload)
    net.passes(1.0)
    assert ben.frames == [b"kitchen"]


# Dialling ----------------------------------------------------------------------------------------------


def test_a_dial_takes_some_latencies_and_ends_in_a_link() -> None:
    """Where the other one has admitted the dialler."""
    net = EarNet()
    ann, ben = net.add(), net.add()
    ben.admitted.add(ann.peer)
    reason, took_s = net.reason(ann, ben)
    assert reason == ""
    assert took_s == pytest.approx(HANDSHAKE_LATENCIES * 0.01, abs=0.011)
    assert list(ann.directs) == [ben.peer]


def test_a_dial_that_comes_to_nothing_says_why() -> None:
    """Not admitted, nobody there, a machine that is off, a network that is apart."""
    net = EarNet()
    ann, ben, cas, dan = net.add(), net.add(), net.add(), net.add()
    assert net.reason(ann, ben)[0] == "denied"
    net.gone(cas)
    reason, took_s = net.reason(ann, cas)
    assert reason == "refused" and took_s < 0.1
    net.gone(dan, silent=True)
    reason, took_s = net.reason(ann, dan)
    assert reason == "timeout" and took_s == pytest.approx(CONNECT_S, abs=0.02)
    for one_way in ((0, 1), (1, 0)):
        net.conditions.cut(*one_way, one_way=True)
        assert net.reason(ann, ben)[0] == "timeout"
        net.conditions.heal()
    assert ann.directs == {}


def test_a_dial_is_lost_with_its_listener_or_a_later_dial() -> None:
    """Who dies while the handshake is under way refuses it; of two dials only the second counts."""
    net = EarNet()
    ann, ben = net.add(), net.add()
    ben.admitted.add(ann.peer)
    net.dial(ann, ben)
    net.dial(ann, ben)
    net.passes(1.0)
    assert ann.facts == [DirectOpened(peer=ben.peer)]
    net.dial(ann, ben)
    net.passes(0.02)
    net.gone(ben)
    net.passes(1.0)
    assert ann.facts[-1] == DirectClosed(peer=ben.peer, reason="refused")


def test_somebody_else_at_the_address_is_not_taken_for_the_peer() -> None:
    """The key is wrong."""
    net = EarNet()
    ann, ben, cas = net.add(), net.add(), net.add()
    for ear in (ben, cas):
        ear.admitted.add(ann.peer)
    cas.endpoint = ben.endpoint  # type: ignore[method-assign]  # an address that somebody else has now
    assert net.reason(ann, cas)[0] == "denied"


# Trouble: cuts, partitions, deaths ---------------------------------------------------------------------


def test_a_partition_holds_frames_and_a_short_one_loses_none() -> None:
    """They wait, as in TCP, and come in order once it has healed."""
    net, ann, ben = _pair()
    net.conditions.partition([[0], [1]])
    net.network.changed()
    net.send(ann, ben, b"one", b"two")
    net.send(ben, ann, b"three")
    net.passes(BREAK_S[0] - 2.0)
    assert ann.frames == ben.frames == []
    net.conditions.heal()
    net.network.changed()
    net.send(ann, ben, b"later")
    net.passes(2.0)
    assert ben.frames == [b"one", b"two", b"later"]
    assert ann.frames == [b"three"]


def test_a_long_partition_ends_the_connections_at_both_ends() -> None:
    """After BREAK_S, and what waited is gone."""
    net, ann, ben = _pair()
    net.conditions.partition([[0], [1]])
    net.network.changed()
    cut_s = net.now_s
    net.send(ann, ben, b"lost")
    net.passes(BREAK_S[1] + 0.1)
    assert ann.facts == [DirectClosed(peer=ben.peer, reason="lost")]
    assert ben.facts == [InboundClosed(peer=ann.peer)]
    assert BREAK_S[0] <= ann.heard[0][0] - cut_s <= BREAK_S[1]
    net.conditions.heal()
    net.network.changed()
    net.passes(60.0)
    assert ben.frames == []


def test_a_partition_leaves_links_within_a_part_alone() -> None:
    """Those of one part talk on."""
    net, ann, ben = _pair()
    net.add()
    net.conditions.partition([[0, 1], [2]])
    net.network.changed()
    net.passes(2 * BREAK_S[1])
    net.send(ann, ben, b"still here")
    net.passes(1.0)
    assert ben.frames == [b"still here"]
    assert ann.facts == []


def test_a_one_way_cut_holds_up_one_direction_only() -> None:
    """The other goes on, until the kernels give the connection up for want of answers."""
    net, ann, ben = _pair()
    net.conditions.cut(0, 1, one_way=True)
    net.network.changed()
    net.send(ann, ben, b"held")
    net.send(ben, ann, b"through")
    net.passes(1.0)
    assert (ann.frames, ben.frames) == ([b"through"], [])
    net.passes(BREAK_S[1])
    assert ann.facts[-1] == DirectClosed(peer=ben.peer, reason="lost")
    assert ben.facts[-1] == InboundClosed(peer=ann.peer)


def test_what_was_sent_before_a_close_arrives_before_it() -> None:
    """The other end reads to the end, and then learns of it."""
    net, ann, ben = _pair()
    net.send(ann, ben, b"last words")
    net.network.close(ann.directs.pop(ben.peer), ann.process)
    net.send(ben, ann, b"to nobody")
    net.passes(1.0)
    assert ben.frames == [b"last words"]
    assert ben.facts[-1] == InboundClosed(peer=ann.peer)
    assert ann.facts == []


@pytest.mark.parametrize(("silent", "least_s", "most_s"), [(False, 0.0, 0.1), (True, *BREAK_S)])
def test_a_death_is_heard_of_at_once_unless_the_machine_is_off(silent: bool, least_s: float, most_s: float) -> None:
    """A kernel closes what its process had open; a machine without power closes nothing."""
    net, ann, ben = _pair()
    net.subscribe(ann, ben, lobby())
    ann.heard.clear()
    died_s = net.now_s
    net.gone(ben, silent=silent)
    net.passes(20.0)
    assert set(map(repr, ann.facts)) == {
        repr(DirectClosed(peer=ben.peer, reason="lost")),
        repr(FeedClosed(peer=ben.peer, reason="lost")),
    }
    assert all(least_s <= at_s - died_s <= most_s for at_s, _fact in ann.heard)
    assert ben.facts[1:] == []


def test_who_is_admitted_no_more_has_no_link_with_the_next_frame() -> None:
    """The listener closes it."""
    net, ann, ben = _pair()
    ben.admitted.clear()
    net.send(ann, ben, b"unwanted")
    net.passes(1.0)
    assert ben.frames == []
    assert ann.facts == [DirectClosed(peer=ben.peer, reason="lost")]


def test_the_same_seed_gives_the_same_network() -> None:
    """Chance is of the seed only."""
    runs = []
    for seed in (1, 1, 2):
        net, ann, ben = _pair(LinkQuality(latency_s=(0.01, 0.1), loss=0.2), seed)
        net.send(ann, ben, *_numbered(50))
        net.passes(60.0)
        runs.append(ben.frames_at_s())
    assert runs[0] == runs[1] != runs[2]
    assert all(early <= late for early, late in itertools.pairwise(runs[0]))
