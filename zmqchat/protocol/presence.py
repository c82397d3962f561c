"""Presence: who is in touch, by signs of life; and what pings tell besides (round trip, clock).

How it works. Any frame of a peer is a sign of life. An idle link is pinged after ping_idle_s; one
without a sign for link_dead_s is reported silent (`peers` ends it); a peer is told offline after
offline_s without a sign, or at once after BYE. One timer serves all peers: the earliest deadline. When
our own addresses change all peers are pinged and have ping_idle_s to answer: a connection from an address
that is gone is dead without a word.

    unknown --PeerLinked--> online --PeerUnlinked--> away --offline_s or bye--> offline
                                     <--PeerLinked--

A peer without a link is in touch all the same where the roster knows that it lives: the application is told of the
two as one, by `is_live`, MembersLive and MemberDead.

Probing: when an identity dials again, the old session is pinged; a pong to that ping or a later one means
that two nodes share the identity. Other frames prove nothing: they may have been on their way before. In the same way
`broadcast` learns that what it had asked a peer for would have come by now.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId
from zmqchat.model.limits import PING_ANSWERS_PER_S_MAX
from zmqchat.protocol.effects import PeerCameOnline, PeerWentOffline, SetTimer
from zmqchat.protocol.facts import EndpointsChanged, Instant, LoopLagged, TimerFired, Woke
from zmqchat.protocol.machine import (
    EchoHeard,
    EchoWanted,
    Machine,
    PeerLinked,
    PeerSilent,
    PeerUnlinked,
    ProbeAnswered,
    ProbeWanted,
    SendFrame,
)
from zmqchat.protocol.roster_facts import MemberDead, MembersLive
from zmqchat.wire.frames import Ping, Pong, encode

RTT_UNKNOWN_S = 0.05
"""Assumed before the first pong: a LAN is faster, a busy Wi-Fi slower."""

_SMOOTHING = 0.25
"""Weight of the newest round trip (RFC 6298 uses 1/8 for many more samples)."""


@dataclass(slots=True)
class _Pulse:
    """What is known of one peer's life."""

    heard_s: float
    linked: bool = True
    online: bool = True
    pinged_s: float = 0.0
    ping_token: int = 0
    rtt_s: float | None = None
    clock_difference_s: float | None = None
    probe_token: int | None = None
    echo_token: int | None = None
    answers: float = float(PING_ANSWERS_PER_S_MAX)
    answers_at_s: float = 0.0


class Presence(Machine):
    """The liveness machine; emits PeerSilent, PeerCameOnline and PeerWentOffline."""

    timer = "presence"

    def __init__(self, config: Config, is_live: Callable[[PeerId], bool] = lambda _peer: False) -> None:
        super().__init__()
        self._config = config
        self._is_live = is_live
        self._pulses: dict[PeerId, _Pulse] = {}
        self._timer_at_s: float | None = None
        self.facts = {
            PeerLinked: self._linked,
            PeerUnlinked: self._unlinked,
            ProbeWanted: self._probe_wanted,
            EchoWanted: self._echo_wanted,
            LoopLagged: self._lagged,
            Woke: self._woke,
            EndpointsChanged: self._endpoints_changed,
            MembersLive: self._members_live,
            MemberDead: self._member_dead,
            TimerFired: self._timer_fired,
        }
        self.frames = {Ping: self._pinged, Pong: self._ponged}

    def heard(self, peer: PeerId, now_s: float) -> None:
        """A frame of this peer came in: the hot path, so a method rather than a fact."""
        pulse = self._pulses.get(peer)
        if pulse is not None:
            pulse.heard_s = now_s

    def ping_allowed(self, peer: PeerId, now_s: float) -> bool:
        """Whether a ping of this peer may be decoded and answered now (a flood is dropped unread)."""
        pulse = self._pulses.get(peer)
        if pulse is None:
            return False
        earned = (now_s - pulse.answers_at_s) * PING_ANSWERS_PER_S_MAX
        pulse.answers = min(float(PING_ANSWERS_PER_S_MAX), pulse.answers + earned)
        pulse.answers_at_s = now_s
        if pulse.answers < 1:
            return False
        pulse.answers -= 1
        return True

    def rtt_s(self, peer: PeerId) -> float:
        """Smoothed round trip to a linked peer, a guess before the first pong."""
        pulse = self._pulses.get(peer)
        return RTT_UNKNOWN_S if pulse is None or pulse.rtt_s is None else pulse.rtt_s

    def clock_difference_s(self, peer: PeerId) -> float | None:
        """The peer's wall clock minus ours, None before the first pong."""
        pulse = self._pulses.get(peer)
        return None if pulse is None else pulse.clock_difference_s

    def is_online(self, peer: PeerId) -> bool:
        """Whether the application is told that this peer is in touch."""
        return self._has_pulse(peer) or self._is_live(peer)

    def _has_pulse(self, peer: PeerId) -> bool:
        pulse = self._pulses.get(peer)
        return pulse is not None and pulse.online

    def heard_s(self, peer: PeerId) -> float | None:
        """The monotonic second of the last sign of life, None for strangers."""
        pulse = self._pulses.get(peer)
        return None if pulse is None else pulse.heard_s

    def _linked(self, fact: PeerLinked, at: Instant) -> None:
        pulse = self._pulses.get(fact.peer)
        if pulse is None:
            pulse = self._pulses[fact.peer] = _Pulse(heard_s=at.now_s, online=False)
        pulse.linked = True
        pulse.probe_token = pulse.echo_token = None
        pulse.heard_s = at.now_s
        if not pulse.online:
            pulse.online = True
            if not self._is_live(fact.peer):
                self.outbox.append(PeerCameOnline(peer=fact.peer))
        self._ping(fact.peer, pulse, at)
        self._set_timer(at)

    def _unlinked(self, fact: PeerUnlinked, at: Instant) -> None:
        pulse = self._pulses.get(fact.peer)
        if pulse is None:
            return
        pulse.linked = False
        pulse.probe_token = pulse.echo_token = None
        if fact.reason == "bye":
            self._go_offline(fact.peer)
        self._set_timer(at)

    def _go_offline(self, peer: PeerId) -> None:
        if self._pulses.pop(peer).online and not self._is_live(peer):
            self.outbox.append(PeerWentOffline(peer=peer))

    def _members_live(self, fact: MembersLive, _at: Instant) -> None:
        self.outbox += [PeerCameOnline(peer=peer) for peer in fact.peers if not self._has_pulse(peer)]

    def _member_dead(self, fact: MemberDead, _at: Instant) -> None:
        if not self._has_pulse(fact.peer):
            self.outbox.append(PeerWentOffline(peer=fact.peer))

    def _ping(self, peer: PeerId, pulse: _Pulse, at: Instant) -> None:
        pulse.pinged_s = at.now_s
        pulse.ping_token += 1
        self.outbox.append(
            SendFrame(peer=peer, payload=encode(Ping(token=pulse.ping_token, wall_ms=max(0, at.wall_ms))))
        )

    def _pinged(self, peer: PeerId, frame: Ping, at: Instant) -> None:
        self.outbox.append(SendFrame(peer=peer, payload=encode(Pong(token=frame.token, wall_ms=max(0, at.wall_ms)))))

    def _ponged(self, peer: PeerId, frame: Pong, at: Instant) -> None:
        pulse = self._pulses.get(peer)
        if pulse is None:
            return
        if pulse.probe_token is not None and pulse.probe_token <= frame.token <= pulse.ping_token:
            pulse.probe_token = None
            self.outbox.append(ProbeAnswered(peer=peer))
        if pulse.echo_token is not None and pulse.echo_token <= frame.token <= pulse.ping_token:
            pulse.echo_token = None
            self.outbox.append(EchoHeard(peer=peer))
        if frame.token != pulse.ping_token:
            return
        measured = max(0.0, at.now_s - pulse.pinged_s)
        pulse.rtt_s = measured if pulse.rtt_s is None else pulse.rtt_s + _SMOOTHING * (measured - pulse.rtt_s)
        pulse.clock_difference_s = (frame.wall_ms - at.wall_ms) / 1000 + measured / 2

    def _probe_wanted(self, fact: ProbeWanted, at: Instant) -> None:
        pulse = self._pulses.get(fact.peer)
        if pulse is not None and pulse.linked:
            self._ping(fact.peer, pulse, at)
            pulse.probe_token = pulse.ping_token

    def _echo_wanted(self, fact: EchoWanted, at: Instant) -> None:
        pulse = self._pulses.get(fact.peer)
        if pulse is not None and pulse.linked:
            self._ping(fact.peer, pulse, at)
            if pulse.echo_token is None:
                pulse.echo_token = pulse.ping_token

    def _lagged(self, fact: LoopLagged, at: Instant) -> None:
        for pulse in self._pulses.values():
            pulse.heard_s = min(at.now_s, pulse.heard_s + fact.lag_s)

    def _woke(self, _fact: Woke, at: Instant) -> None:
        for peer, pulse in self._pulses.items():
            if pulse.linked:
                pulse.heard_s = max(pulse.heard_s, at.now_s - self._config.link_dead_s + self._config.ping_idle_s)
                self._ping(peer, pulse, at)
        self._set_timer(at)

    def _endpoints_changed(self, _fact: EndpointsChanged, at: Instant) -> None:
        for peer, pulse in self._pulses.items():
            if pulse.linked:
                pulse.heard_s = min(pulse.heard_s, at.now_s - self._config.link_dead_s + self._config.ping_idle_s)
                self._ping(peer, pulse, at)
        self._set_timer(at)

    def _timer_fired(self, _fact: TimerFired, at: Instant) -> None:
        self._timer_at_s = None
        now_s, ping_idle_s, link_dead_s = at.now_s, self._config.ping_idle_s, self._config.link_dead_s
        for peer, pulse in list(self._pulses.items()):
            silence_s = now_s - pulse.heard_s
            if not pulse.linked:
                if silence_s >= self._config.offline_s:
                    self._go_offline(peer)
            elif silence_s < ping_idle_s:
                continue  # most links, most of the time
            elif silence_s >= link_dead_s:
                self.outbox.append(PeerSilent(peer=peer))
            elif now_s - pulse.pinged_s >= ping_idle_s:
                self._ping(peer, pulse, at)
        self._set_timer(at)

    def _first_due_s(self) -> float | None:
        """When the first ping or end is due; None where nothing is watched."""
        ping_idle_s, link_dead_s, offline_s = self._config.ping_idle_s, self._config.link_dead_s, self._config.offline_s
        first_s: float | None = None
        for pulse in self._pulses.values():
            heard_s, pinged_s = pulse.heard_s, pulse.pinged_s
            if not pulse.linked:
                due_s = heard_s + offline_s
            elif pinged_s > heard_s:
                due_s = min(pinged_s + ping_idle_s, heard_s + link_dead_s)
            else:
                due_s = heard_s + ping_idle_s
            if first_s is None or due_s < first_s:
                first_s = due_s
        return first_s

    def _set_timer(self, at: Instant) -> None:
        due_s = self._first_due_s()
        if due_s is not None:
            due_s = max(due_s, at.now_s + self._config.ping_idle_s / 20)
        if due_s != self._timer_at_s:
            self._timer_at_s = due_s
            self.outbox.append(SetTimer(name=(self.timer,), at_s=due_s))
