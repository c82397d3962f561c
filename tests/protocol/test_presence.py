"""Presence: pings after 2 s, dead after 6 s, offline after 30 s, and what sleep and lag change."""

from __future__ import annotations

import pytest

from tests.support.fakelink import peer_of
from tests.support.linkpair import LinkNet, LinkNode
from zmqchat.model.config import Config
from zmqchat.model.limits import PING_ANSWERS_PER_S_MAX
from zmqchat.protocol.effects import Effect, Expel, PeerCameOnline, PeerWentOffline, SetTimer
from zmqchat.protocol.facts import EndpointsChanged, Fact, Instant, LoopLagged, TimerFired, Woke
from zmqchat.protocol.machine import (
    EchoHeard,
    EchoWanted,
    PeerLinked,
    PeerSilent,
    PeerUnlinked,
    ProbeAnswered,
    ProbeWanted,
    SendFrame,
)
from zmqchat.protocol.presence import RTT_UNKNOWN_S, Presence
from zmqchat.protocol.roster_facts import MemberDead, MembersLive
from zmqchat.wire.frames import Ping, Pong, decode, encode

BOB, EVE = peer_of("bob"), peer_of("eve")
WALL_MS = 1_700_000_000_000
CONFIG = Config()


class Clocked:
    """A presence machine with its one timer played."""

    def __init__(self) -> None:
        self.machine = Presence(CONFIG)
        self.now_s = 100.0
        self.timer_s: float | None = None
        self.out: list[tuple[float, Effect | Fact]] = []

    def feed(self, fact: Fact) -> None:
        """Give it a fact."""
        self.machine.facts[type(fact)](fact, self.at())
        self.collect()

    def at(self) -> Instant:
        """The moment."""
        return Instant(self.now_s, WALL_MS + int(self.now_s * 1000))

    def collect(self) -> None:
        """Take what it wants."""
        for item in self.machine.outbox:
            if isinstance(item, SetTimer):
                self.timer_s = item.at_s
            else:
                self.out.append((self.now_s, item))
        self.machine.outbox = []

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end_s = self.now_s + seconds
        while self.timer_s is not None and self.timer_s <= end_s:
            self.now_s, self.timer_s = max(self.now_s, self.timer_s), None
            self.feed(TimerFired(name=("presence",)))
        self.now_s = end_s

    def link(self, *peers: bytes) -> None:
        """These peers are linked."""
        for peer in peers:
            self.feed(PeerLinked(peer=BOB if peer == BOB else EVE, store=bytes(16), generation=1))

    def times(self, kind: type) -> list[float]:
        """When it wanted this, in seconds since the start."""
        return [round(at_s - 100.0, 3) for at_s, item in self.out if isinstance(item, kind)]

    def last_ping(self) -> Ping:
        """The newest ping that it sent."""
        frames = [decode(item.payload) for _, item in self.out if isinstance(item, SendFrame)]
        return [frame for frame in frames if isinstance(frame, Ping)][-1]

    def pong(self, token: int | None = None, wall_ms: int | None = None) -> None:
        """Bob answers a ping, the last one if none is named."""
        answer = Pong(
            token=self.last_ping().token if token is None else token,
            wall_ms=self.at().wall_ms if wall_ms is None else wall_ms,
        )
        self.machine.heard(BOB, self.now_s)
        self.machine.frames[Pong](BOB, answer, self.at())
        self.collect()


def test_an_idle_link_is_pinged_every_two_seconds_and_dead_after_six() -> None:
    """From the last sign of life: pings at 0, 2 and 4 s, silent at 6 s."""
    made = Clocked()
    made.link(BOB)
    made.run(6.0)
    assert made.times(SendFrame) == [0.0, 2.0, 4.0]
    assert made.times(PeerSilent) == [6.0]
    assert made.times(PeerCameOnline) == [0.0]


def test_a_change_of_our_addresses_gives_a_link_two_seconds_to_show_that_it_lives() -> None:
    """It may have run from an address that is gone: who answers stays, who does not is silent at once."""
    made = Clocked()
    made.link(BOB, EVE)
    made.run(1.0)
    made.feed(EndpointsChanged(endpoints=()))
    made.pong()
    made.run(2.0)
    assert made.times(PeerSilent) == [3.0]
    assert made.out[-1][1] == PeerSilent(peer=EVE)


def test_any_frame_is_a_sign_of_life() -> None:
    """While others frames come in nobody is pinged, and nobody is dead."""
    made = Clocked()
    made.link(BOB)
    for _ in range(100):
        made.run(0.5)
        made.machine.heard(BOB, made.now_s)
    assert made.times(SendFrame) == [0.0]
    assert made.times(PeerSilent) == []


def test_a_peer_without_a_link_is_offline_after_thirty_seconds() -> None:
    """Counted from the last sign of life, told once."""
    made = Clocked()
    made.link(BOB)
    made.run(6.0)
    made.feed(PeerUnlinked(peer=BOB, reason="silent"))
    assert made.machine.is_online(BOB)
    made.run(60.0)
    assert made.times(PeerWentOffline) == [30.0]
    assert not made.machine.is_online(BOB)


def test_a_bye_is_offline_at_once() -> None:
    """Who stops cleanly is gone now, not in half a minute."""
    made = Clocked()
    made.link(BOB)
    made.run(1.0)
    made.feed(PeerUnlinked(peer=BOB, reason="bye"))
    assert made.times(PeerWentOffline) == [1.0]
    made.run(60.0)
    assert made.times(PeerWentOffline) == [1.0]


def test_a_short_loss_is_not_shown() -> None:
    """A peer that links again within 30 s never went offline."""
    made = Clocked()
    made.link(BOB)
    made.run(5.0)
    made.feed(PeerUnlinked(peer=BOB, reason="lost"))
    made.run(20.0)
    made.link(BOB)
    made.run(1.0)
    assert made.times(PeerCameOnline) == [0.0]
    assert made.times(PeerWentOffline) == []


def test_one_timer_serves_all_peers() -> None:
    """The earliest deadline counts, and each peer keeps its own."""
    made = Clocked()
    made.link(BOB)
    made.run(1.0)
    made.link(EVE)
    made.run(6.2)
    assert made.times(PeerSilent)[:1] == [6.0]
    silent = [item.peer for _, item in made.out if isinstance(item, PeerSilent)]
    assert silent[0] == BOB
    assert EVE in silent


def test_our_own_lag_is_not_a_peer_s_silence() -> None:
    """When the loop could not run for five seconds everybody gets five seconds more."""
    made = Clocked()
    made.link(BOB)
    made.now_s += 5.9
    made.feed(LoopLagged(lag_s=5.0))
    made.run(4.0)
    assert made.times(PeerSilent) == []
    made.run(2.0)
    assert made.times(PeerSilent)[0] == 11.0


def test_lag_lends_nobody_a_future() -> None:
    """However long the lag, a peer was heard at the latest now."""
    made = Clocked()
    made.link(BOB)
    made.feed(LoopLagged(lag_s=1_000.0))
    assert made.machine.heard_s(BOB) == made.now_s


def test_after_waking_a_link_must_prove_itself_soon() -> None:
    """Every link is pinged at once and has ping_idle_s to answer; who is heard stays."""
    made = Clocked()
    made.link(BOB)
    made.feed(PeerUnlinked(peer=EVE, reason="lost"))
    made.now_s += 60.0
    made.feed(Woke(slept_s=60.0))
    assert made.times(SendFrame) == [0.0, 60.0]
    assert made.times(PeerSilent) == []
    made.run(2.0)
    assert made.times(PeerSilent) == [62.0]
    answered = Clocked()
    answered.link(BOB)
    answered.now_s += 60.0
    answered.feed(Woke(slept_s=60.0))
    answered.pong()
    answered.run(2.0)
    assert answered.times(PeerSilent) == []


def test_a_pong_tells_round_trip_and_clock() -> None:
    """The first sets the round trip, later ones move it by a quarter; the peer's clock is taken at half way."""
    made = Clocked()
    assert made.machine.rtt_s(BOB) == RTT_UNKNOWN_S
    made.link(BOB)
    assert made.machine.clock_difference_s(BOB) is None
    made.now_s += 0.5
    made.pong(wall_ms=made.at().wall_ms + 10_000)
    assert made.machine.rtt_s(BOB) == pytest.approx(0.5)
    assert made.machine.clock_difference_s(BOB) == pytest.approx(10.25)
    made.run(2.0)
    made.now_s += 0.1
    made.pong()
    assert made.machine.rtt_s(BOB) == pytest.approx(0.4)


def test_other_pongs_tell_nothing() -> None:
    """An old token, or a stranger's pong, moves no clock."""
    made = Clocked()
    made.link(BOB)
    made.pong(token=99)
    made.machine.frames[Pong](EVE, Pong(token=1, wall_ms=0), made.at())
    assert made.machine.rtt_s(BOB) == RTT_UNKNOWN_S
    assert made.machine.clock_difference_s(EVE) is None


def test_a_ping_is_answered_with_its_token() -> None:
    """And with our wall clock, which is never below zero."""
    made = Clocked()
    made.machine.frames[Ping](BOB, Ping(token=7, wall_ms=1), Instant(1.0, -5))
    made.collect()
    [(_, item)] = made.out
    assert isinstance(item, SendFrame)
    assert decode(item.payload) == Pong(token=7, wall_ms=0)


def test_pings_are_answered_ten_times_a_second() -> None:
    """Of ten thousand in a second at most twenty are let through: the burst, and a second's worth."""
    made = Clocked()
    assert not made.machine.ping_allowed(BOB, made.now_s), "a stranger's are not"
    made.link(BOB)
    allowed = sum(made.machine.ping_allowed(BOB, made.now_s + number / 10_000) for number in range(10_000))
    assert PING_ANSWERS_PER_S_MAX <= allowed <= 2 * PING_ANSWERS_PER_S_MAX


def test_a_probe_is_answered_by_a_pong_alone() -> None:
    """Frames that were on their way before the ping prove nothing."""
    made = Clocked()
    made.link(BOB)
    old = made.last_ping().token
    made.feed(ProbeWanted(peer=BOB))
    made.machine.heard(BOB, made.now_s)
    made.pong(token=old)
    made.pong(token=old + 99)
    assert made.times(ProbeAnswered) == []
    made.run(2.0)
    made.pong(token=old + 1)
    assert made.times(ProbeAnswered) == [2.0]
    made.pong()
    assert made.times(ProbeAnswered) == [2.0]


def test_an_echo_is_the_answer_to_a_ping_that_left_since() -> None:
    """The first such one, also where another ping was sent after it; an older answer says nothing."""
    made = Clocked()
    made.link(BOB)
    old = made.last_ping().token
    made.feed(EchoWanted(peer=BOB))
    made.pong(token=old)
    assert made.times(EchoHeard) == []
    made.feed(EchoWanted(peer=BOB))
    made.feed(ProbeWanted(peer=BOB))
    made.pong(token=old + 1)
    assert made.times(EchoHeard) == [0.0] and made.times(ProbeAnswered) == []
    made.pong()
    assert made.times(EchoHeard) == [0.0] and made.times(ProbeAnswered) == [0.0]


def test_no_echo_comes_over_another_link_or_from_strangers() -> None:
    """A link that came back has nothing of what was sent over the old one."""
    made = Clocked()
    made.feed(EchoWanted(peer=BOB))
    made.link(BOB)
    made.feed(EchoWanted(peer=BOB))
    made.feed(PeerUnlinked(peer=BOB, reason="lost"))
    made.link(BOB)
    made.pong()
    assert made.times(EchoHeard) == []


def test_nobody_without_a_link_is_probed() -> None:
    """A session that never linked, or a stranger's, has nothing to answer with."""
    made = Clocked()
    made.feed(ProbeWanted(peer=BOB))
    made.link(BOB)
    made.feed(PeerUnlinked(peer=BOB, reason="lost"))
    sent = len(made.times(SendFrame))
    made.feed(ProbeWanted(peer=BOB))
    assert len(made.times(SendFrame)) == sent


def test_strangers_have_no_presence() -> None:
    """Who was never linked is not online, was never heard, and can go away."""
    made = Clocked()
    made.machine.heard(BOB, 1.0)
    made.feed(PeerUnlinked(peer=BOB, reason="bye"))
    assert not made.machine.is_online(BOB)
    assert made.machine.heard_s(BOB) is None
    assert made.out == []


# Two nodes -----------------------------------------------------------------------------------------------


def test_two_idle_nodes_stay_linked() -> None:
    """An hour of silence: pings alone keep the link, about one each way in two seconds."""
    net = LinkNet()
    ann, bob = net.pair()
    before = len(ann.sent)
    net.run(600)
    assert ann.is_linked(bob)
    assert bob.is_linked(ann)
    assert len(ann.sent) - before <= 620
    assert ann.of(PeerWentOffline) == bob.of(PeerWentOffline) == []


def test_a_frozen_peer_is_dropped_after_six_seconds_and_offline_after_thirty() -> None:
    """SIGSTOP: the connection stays open, nothing comes; on waking all is as before within a few seconds."""
    net = LinkNet()
    ann, bob = net.pair()
    net.run(10)
    frozen_s = net.now_s
    freeze(net, bob)
    net.until(lambda: not ann.is_linked(bob))
    assert 3.9 <= net.now_s - frozen_s <= 6.1, "counted from the last sign of life"
    net.until(lambda: bool(ann.of(PeerWentOffline)), within_s=40)
    assert 27.9 <= net.now_s - frozen_s <= 30.1
    net.run(60 - (net.now_s - frozen_s))
    thaw(net)
    bob.handle(Woke(slept_s=60.0))
    assert net.until(lambda: ann.is_linked(bob) and bob.is_linked(ann)) < 6.0
    assert len(ann.of(PeerCameOnline)) == 2


def freeze(net: LinkNet, node: LinkNode) -> None:
    """The node neither sends nor reads, and answers at no door."""
    net.silenced = lambda sender, receiver: node in (sender, receiver)
    net.hole = lambda dialler, listener, _what: node in (dialler, listener)


def thaw(net: LinkNet) -> None:
    """All is as before."""
    net.silenced = lambda _sender, _receiver: False
    net.hole = lambda _dialler, _listener, _what: False


def test_a_pulled_cable_is_put_back() -> None:
    """Twenty seconds without a network: no offline is shown, and the link is back at once when interfaces change."""
    net = LinkNet()
    ann, bob = net.pair()
    freeze(net, bob)
    net.run(20)
    assert not ann.is_linked(bob)
    thaw(net)
    for node in (ann, bob):
        node.handle(EndpointsChanged(endpoints=(node.endpoint,)))
    assert net.until(lambda: ann.is_linked(bob) and bob.is_linked(ann)) < 5.0
    assert ann.of(PeerWentOffline) == bob.of(PeerWentOffline) == []


def test_a_cable_put_back_unnoticed_is_found_within_five_seconds() -> None:
    """Without any sign from the interfaces the redial alone is fast enough."""
    for seed in range(5):
        net = LinkNet(seed=seed)
        ann, bob = net.pair()
        freeze(net, bob)
        net.run(20 + seed / 7)
        thaw(net)
        assert net.until(lambda: ann.is_linked(bob) and bob.is_linked(ann)) < 5.0  # noqa: B023 - called at once


def test_a_bye_ends_it_at_once() -> None:
    """A clean stop is offline within a moment, and the session is over."""
    net = LinkNet()
    ann, bob = net.pair()
    bob.stop()
    assert ann.of(PeerWentOffline) == [PeerWentOffline(peer=bob.peer)]
    assert [effect.reason for effect in ann.did(Expel)] == ["bye"]


def test_a_ping_flood_is_answered_ten_times_a_second() -> None:
    """Ten thousand pings in a second get a few answers; the link stays."""
    net = LinkNet()
    ann, bob = net.pair()
    net.run(1)
    before = len(ann.sent)
    for number in range(10_000):
        net.at(number / 10_000, lambda n=number: net.deliver(bob, ann, encode(Ping(token=n, wall_ms=0))))  # type: ignore[misc]  # a default binds the number
    net.run(1.5)
    assert len(ann.sent) - before <= 3 * PING_ANSWERS_PER_S_MAX
    assert ann.is_linked(bob)


def test_a_member_without_a_link_is_in_touch_where_the_roster_says_so() -> None:
    """Link and roster are told as one: once when either begins, once when both have ended."""
    live: set[bytes] = set()
    clocked = Clocked()
    clocked.machine = Presence(CONFIG, live.__contains__)
    clocked.link(BOB)
    live.add(BOB)
    clocked.feed(MembersLive(peers=(BOB,)))
    assert clocked.times(PeerCameOnline) == [0]
    clocked.feed(PeerUnlinked(peer=BOB, reason="surplus"))
    clocked.run(2 * CONFIG.offline_s)
    assert clocked.times(PeerWentOffline) == [] and clocked.machine.is_online(BOB)
    live.discard(BOB)
    clocked.feed(MemberDead(peer=BOB))
    assert clocked.times(PeerWentOffline) == [60] and not clocked.machine.is_online(BOB)
    live.add(EVE)
    clocked.feed(MembersLive(peers=(EVE,)))
    assert clocked.times(PeerCameOnline) == [0, 60]
    clocked.link(EVE)
    live.discard(EVE)
    clocked.feed(MemberDead(peer=EVE))
    assert clocked.times(PeerCameOnline) == [0, 60] and clocked.times(PeerWentOffline) == [60]


def test_a_goodbye_is_told_once_though_two_machines_notice() -> None:
    """The link ends first and the roster follows: the application hears of it when both have."""
    live = {BOB}
    clocked = Clocked()
    clocked.machine = Presence(CONFIG, live.__contains__)
    clocked.link(BOB)
    clocked.feed(PeerUnlinked(peer=BOB, reason="bye"))
    assert clocked.times(PeerWentOffline) == []
    live.discard(BOB)
    clocked.feed(MemberDead(peer=BOB))
    assert clocked.times(PeerWentOffline) == [0]
