"""Liveness: which members are gone, found out by those who had a link and refuted by those who live.

How it works (SWIM; Das, Gupta, Motivala, DSN 2002, sections 4.1 suspicion and 4.2 incarnations). Links are the
probes: presence pings them, and a neighbour notices a death within link_dead_s. An incarnation is the version of the
member's record: who hears that it is suspected signs a newer one, and that goes to everybody.

    live --a link of ours broke, not back within doubt_s--> suspect, told to all links
         --suspicion of this very version heard-----------> suspect, passed on, told to the suspect itself
         --DEAD heard-------------------------------------> suspect for confirm_s only, passed on
         --our link said goodbye--------------------------> dead, told to all links as DEAD
    suspect --a newer record--> live, told to the links that had told us
            --suspect_s without one--> dead; who began the suspicion tells it as DEAD

DEAD is believed only after confirm_s (the paper: at once): after a partition heals, both halves hold each other for
dead, and would otherwise make everybody flicker. Suspects count as live. Whoever has a link to a suspect asks it
again instead of burying it. A member to which a dial failed is suspected too, once in DIAL_DOUBT_S: where all
neighbours died together, nobody else would tell.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId
from zmqchat.model.limits import LIVENESS_ENTRIES_PER_FRAME_MAX, ROSTER_MEMBERS_MAX, SUSPECTS_MAX
from zmqchat.protocol.effects import SetTimer
from zmqchat.protocol.facts import Instant, TimerFired, Woke
from zmqchat.protocol.machine import DialEnded, Machine, PeerLinked, PeerUnlinked, SendFrame, Size
from zmqchat.protocol.roster import GOSSIP_DELAY_S, Roster, record_frames
from zmqchat.protocol.roster_facts import MemberDead, MembersUpdated, Refute
from zmqchat.wire.frames import encode
from zmqchat.wire.roster_frames import DEAD, SUSPECT, LivenessEntry
from zmqchat.wire.roster_frames import Liveness as LivenessFrame

DIAL_DOUBT_S = 1800.0
"""A member that only a failed dial speaks against is suspected once in this: it may be one that nobody can dial."""
DIAL_DOUBTS_MAX = 1_024
"""Such members remembered."""


@dataclass(slots=True)
class _Suspicion:
    """A suspected member: when it is dead, whether we began it and will tell, and which links have told us."""

    version: int
    due_s: float
    began: bool
    told_by: dict[PeerId, None] = field(default_factory=dict)


@dataclass(slots=True)
class _News:
    entry: LivenessEntry
    heard_from: set[PeerId] = field(default_factory=set)


class Liveness(Machine):
    """The machine of suspicions; emits MemberDead and Refute."""

    timer = "liveness"

    def __init__(self, me: PeerId, config: Config, roster: Roster) -> None:
        super().__init__()
        self._me = me
        self._config = config
        self._roster = roster
        self._table = roster.table
        self._linked: set[PeerId] = set()
        self._doubts: dict[PeerId, float] = {}
        self._suspects: dict[PeerId, _Suspicion] = {}
        self._due: list[tuple[float, PeerId]] = []
        self._timer_at_s: float | None = None
        self._news: dict[PeerId, _News] = {}
        self._dial_doubts: dict[PeerId, float] = {}
        self.facts = {
            PeerLinked: self._peer_linked,
            PeerUnlinked: self._peer_unlinked,
            MembersUpdated: self._updated,
            DialEnded: self._dial_ended,
            Woke: self._woke,
            TimerFired: self._timer_fired,
        }
        self.frames = {LivenessFrame: self._told}

    def sizes(self) -> tuple[Size, ...]:
        """Suspicions, and members that only a failed dial speaks against."""
        return (
            Size("suspects", len(self._suspects), SUSPECTS_MAX),
            Size("dial doubts", len(self._dial_doubts), DIAL_DOUBTS_MAX),
            Size("news of the dead", len(self._news), ROSTER_MEMBERS_MAX),
        )

    @property
    def suspects(self) -> list[PeerId]:
        """The members under suspicion, sorted."""
        return sorted(self._suspects)

    def is_suspect(self, peer: PeerId) -> bool:
        """Whether somebody doubts that this member lives."""
        return peer in self._suspects

    # Links ---------------------------------------------------------------------------------------------

    def _peer_linked(self, fact: PeerLinked, _at: Instant) -> None:
        peer = fact.peer
        self._linked.add(peer)
        self._doubts.pop(peer, None)
        slot = self._table.slot(peer)
        if slot is not None and self._table.state(slot) in (SUSPECT, DEAD) and self._roster.is_linked(peer):
            # It lives, whatever the others think: it must tell them.
            entry = LivenessEntry(peer, self._table.version(slot), self._table.state(slot))
            self.outbox.append(SendFrame(peer=peer, payload=encode(LivenessFrame(entries=(entry,)))))

    def _peer_unlinked(self, fact: PeerUnlinked, at: Instant) -> None:
        peer = fact.peer
        self._linked.discard(peer)
        slot = self._table.slot(peer)
        if slot is None or not self._table.is_live(slot):
            return
        if fact.reason == "bye":
            self._spread(LivenessEntry(peer, self._table.version(slot), DEAD), None, at)
            self._bury(peer, slot)
        elif fact.reason in ("lost", "silent"):
            self._doubts[peer] = at.now_s + self._config.doubt_s
            self._wait_until(self._doubts[peer], peer, at)

    def _dial_ended(self, fact: DialEnded, at: Instant) -> None:
        peer = fact.expected
        if peer is None or peer in self._linked or fact.reason not in ("unreachable", "timeout"):
            return
        if self._dial_doubts.get(peer, 0.0) > at.now_s or not self._roster.is_live(peer):
            return
        self._dial_doubts.pop(peer, None)
        self._dial_doubts[peer] = at.now_s + DIAL_DOUBT_S
        if len(self._dial_doubts) > DIAL_DOUBTS_MAX:
            del self._dial_doubts[next(iter(self._dial_doubts))]
        self._doubts.setdefault(peer, at.now_s + self._config.doubt_s)
        self._wait_until(self._doubts[peer], peer, at)

    def _woke(self, _fact: Woke, at: Instant) -> None:
        # Answers may have come and gone while we slept.
        for suspicion in self._suspects.values():
            suspicion.due_s = max(suspicion.due_s, at.now_s + self._config.suspect_s)

    # Suspicions ----------------------------------------------------------------------------------------

    def _suspect(self, peer: PeerId, slot: int, wait_s: float, began: bool, at: Instant) -> None:
        self._table.set_state(slot, SUSPECT)
        self._suspects[peer] = _Suspicion(self._table.version(slot), at.now_s + wait_s, began)
        self._wait_until(at.now_s + wait_s, peer, at)

    def _updated(self, fact: MembersUpdated, _at: Instant) -> None:
        for peer in fact.peers:
            suspicion, slot = self._suspects.pop(peer, None), self._table.slot(peer)
            if suspicion is not None and slot is not None:
                self._tell_doubters(peer, slot, suspicion)
            self._doubts.pop(peer, None)
            self._news.pop(peer, None)

    def _tell_doubters(self, answered: PeerId, slot: int, suspicion: _Suspicion) -> None:
        """Whoever told us may have no link to it, and no other that would tell of its answer."""
        payloads = record_frames([self._roster.raw(slot)], news=True)
        doubters = [peer for peer in suspicion.told_by if peer != answered and self._roster.is_linked(peer)]
        self.outbox += [SendFrame(peer=peer, payload=payload) for peer in doubters for payload in payloads]

    def _bury(self, peer: PeerId, slot: int) -> None:
        self._suspects.pop(peer, None)
        self._table.set_state(slot, DEAD)
        self.outbox.append(MemberDead(peer=peer))

    # What others tell ----------------------------------------------------------------------------------

    def _told(self, peer: PeerId, frame: LivenessFrame, at: Instant) -> None:
        if not self._roster.is_linked(peer):
            return
        newer: list[bytes] = []
        for entry in frame.entries:
            if entry.peer == self._me:
                if entry.version >= self._roster.own_version:
                    self.outbox.append(Refute())
                else:
                    newer.append(self._roster.own_raw)
                continue
            slot = self._table.slot(entry.peer)
            if slot is None or entry.version > self._table.version(slot):
                continue  # of nobody that we know, or of a record that we wait for
            if entry.version < self._table.version(slot):
                newer.append(self._roster.raw(slot))
            else:
                self._hear(peer, entry, slot, at)
        for payload in record_frames(newer, news=True):
            self.outbox.append(SendFrame(peer=peer, payload=payload))

    def _hear(self, peer: PeerId, entry: LivenessEntry, slot: int, at: Instant) -> None:
        if not self._table.is_live(slot):
            return
        known = self._news.get(entry.peer)
        if known is not None and known.entry == entry:
            known.heard_from.add(peer)
        wait_s = self._config.suspect_s if entry.state == SUSPECT else self._config.confirm_s
        suspicion = self._suspects.get(entry.peer)
        if suspicion is not None:
            suspicion.told_by[peer] = None
        if suspicion is None:
            if len(self._suspects) >= SUSPECTS_MAX:
                return
            self._suspect(entry.peer, slot, wait_s, began=False, at=at)
            self._suspects[entry.peer].told_by[peer] = None
        elif entry.state == DEAD and at.now_s + wait_s < suspicion.due_s:
            suspicion.due_s = at.now_s + wait_s
            self._wait_until(suspicion.due_s, entry.peer, at)
        else:
            return
        self._spread(entry, peer, at)

    def _spread(self, entry: LivenessEntry, source: PeerId | None, at: Instant) -> None:
        if not self._news:
            self.outbox.append(SetTimer(name=(self.timer, "news"), at_s=at.now_s + GOSSIP_DELAY_S))
        self._news[entry.peer] = _News(entry, {source} if source is not None else set())

    def _pass_on(self) -> None:
        news, self._news = self._news, {}
        by_link: dict[PeerId, list[LivenessEntry]] = {}
        links = self._roster.links()
        for subject, item in news.items():
            others = [peer for peer in links if peer != subject and peer not in item.heard_from]
            audience = self._roster.audience(others, subject, told_by_owner=False)
            if self._roster.is_linked(subject) and subject not in item.heard_from:
                audience.append(subject)
            for peer in audience:
                by_link.setdefault(peer, []).append(item.entry)
        for peer, entries in by_link.items():
            for payload in liveness_frames(entries):
                self.outbox.append(SendFrame(peer=peer, payload=payload))

    # Time ----------------------------------------------------------------------------------------------

    def _wait_until(self, due_s: float, peer: PeerId, at: Instant) -> None:
        heapq.heappush(self._due, (due_s, peer))
        self._set_timer(at)

    def _set_timer(self, at: Instant) -> None:
        due_s = max(self._due[0][0], at.now_s) if self._due else None
        if due_s != self._timer_at_s:
            self._timer_at_s = due_s
            self.outbox.append(SetTimer(name=(self.timer, "due"), at_s=due_s))

    def _timer_fired(self, fact: TimerFired, at: Instant) -> None:
        if fact.name[1] == "news":
            self._pass_on()
            return
        self._timer_at_s = None
        while self._due and self._due[0][0] <= at.now_s:
            _due_s, peer = heapq.heappop(self._due)
            self._doubt_due(peer, at)
            self._suspicion_due(peer, at)
        self._set_timer(at)

    def _doubt_due(self, peer: PeerId, at: Instant) -> None:
        if self._doubts.get(peer, float("inf")) > at.now_s:
            return
        del self._doubts[peer]
        slot = self._table.slot(peer)
        if slot is None or peer in self._linked or not self._table.is_live(slot):
            return
        if peer not in self._suspects and len(self._suspects) < SUSPECTS_MAX:
            self._suspect(peer, slot, self._config.suspect_s, began=True, at=at)
        if peer in self._suspects:
            self._suspects[peer].began = True
            self._spread(LivenessEntry(peer, self._table.version(slot), SUSPECT), None, at)

    def _suspicion_due(self, peer: PeerId, at: Instant) -> None:
        suspicion = self._suspects.get(peer)
        if suspicion is None:
            return
        if suspicion.due_s > at.now_s:
            heapq.heappush(self._due, (suspicion.due_s, peer))
            return
        slot = self._table.slot(peer)
        if slot is None or self._table.version(slot) != suspicion.version:
            del self._suspects[peer]
        elif peer in self._linked:
            suspicion.due_s = at.now_s + self._config.suspect_s
            heapq.heappush(self._due, (suspicion.due_s, peer))
            entry = LivenessEntry(peer, suspicion.version, SUSPECT)
            self.outbox.append(SendFrame(peer=peer, payload=encode(LivenessFrame(entries=(entry,)))))
        else:
            if suspicion.began:
                self._spread(LivenessEntry(peer, suspicion.version, DEAD), None, at)
            self._bury(peer, slot)


def liveness_frames(entries: list[LivenessEntry]) -> list[bytes]:
    """These entries in as many frames as they need."""
    return [
        encode(LivenessFrame(entries=tuple(entries[first : first + LIVENESS_ENTRIES_PER_FRAME_MAX])))
        for first in range(0, len(entries), LIVENESS_ENTRIES_PER_FRAME_MAX)
    ]
