"""HAVE: what this node has on its disk, told to whoever may wait for it; and what others told us.

How it works. After a commit each log that moved is due to be told: to its author and to the link that
it came by almost at once (after REST, and not more often than PACE of have_author_s, so that a stream costs
200 small frames a second), to the other linked members of the room within have_others_s. What is due to a
peer is a set of logs, so any number of commits make one entry; a HAVE carries the `end` that holds when it
leaves. In a partial mesh that is for the links of a room's tree: over the lazy ones names go (`broadcast`), which
show what is missing sooner. What comes by an exchange has no names there, so all links are told of it, and whoever
lacks it too has more holders to ask.

    due to a peer: nothing --stored--> soon (after REST, and PACE after the last) --timer--> sent
                           --stored--> late (have_others_s)         soon wins over late

A HAVE that comes in is split into PeerHolds facts, one a log (the acknowledgement, for `fanout` and
`receipts`). One that ends above what we hold is remembered for 2 RTT: if the part has not come by then,
BehindPeer tells `sync` to ask for it. An author that tells of its own log waits for ours. Claims for
others (holder is not the sender) are ignored: in a partial mesh they come merged (`merging`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from zmqchat.model.config import Config
from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.model.limits import SUMMARY_ENTRIES_MAX
from zmqchat.protocol.data_facts import BatchesStored, BatchHeld, BehindPeer, OwnLogAhead, PeerHolds
from zmqchat.protocol.effects import SetTimer
from zmqchat.protocol.facts import Instant, TimerFired
from zmqchat.protocol.interests import Interests
from zmqchat.protocol.ledger import Ledger
from zmqchat.protocol.machine import Machine, PeerLinked, PeerUnlinked, SendFrame
from zmqchat.wire.frames import Have, HaveEntry, encode

HAVE_ENTRIES_MAX = SUMMARY_ENTRIES_MAX // 4
"""Logs named in one HAVE: about 60 KiB at worst."""

BEHIND_MAX = SUMMARY_ENTRIES_MAX
"""Logs that a peer may be remembered to have more of; the periodic exchange finds the rest."""

PACE = 0.1
"""The part of have_author_s that lies at least between two HAVEs to one peer."""

REST = 0.02
"""The part of have_author_s that a HAVE waits at least: whoever reads the message and answers it goes first."""

_TIMER = ("haves",)


@dataclass(slots=True)
class _Due:
    """What one peer is to be told, and when."""

    logs: dict[RoomId, dict[LogKey, None]] = field(default_factory=dict)
    at_s: float | None = None
    sent_s: float = float("-inf")
    behind: dict[tuple[RoomId, LogKey], tuple[int, float]] = field(default_factory=dict)


class Haves(Machine):
    """The acknowledging machine; emits PeerHolds and BehindPeer."""

    timer = "haves"

    def __init__(
        self,
        me: PeerId,
        config: Config,
        ledger: Ledger,
        interests: Interests,
        rtt_s: Callable[[PeerId], float],
        is_told_late: Callable[[RoomId, PeerId], bool] = lambda _room, _peer: True,
        is_fetching: Callable[[RoomId, LogKey], bool] = lambda _room, _key: False,
    ) -> None:
        super().__init__()
        self._is_fetching = is_fetching
        self._me = me
        self._config = config
        self._ledger = ledger
        self._interests = interests
        self._rtt_s = rtt_s
        self._is_told_late = is_told_late
        self._due: dict[PeerId, _Due] = {}
        self._timer_at_s: float | None = None
        self.facts = {
            PeerLinked: self._linked,
            PeerUnlinked: self._unlinked,
            BatchesStored: self._stored,
            BatchHeld: self._held,
            TimerFired: self._timer_fired,
        }
        self.frames = {Have: self._told}

    # Telling -----------------------------------------------------------------------------------

    def _linked(self, fact: PeerLinked, _at: Instant) -> None:
        self._due[fact.peer] = _Due()

    def _unlinked(self, fact: PeerUnlinked, at: Instant) -> None:
        self._due.pop(fact.peer, None)
        self._set_timer(at)

    def _stored(self, fact: BatchesStored, at: Instant) -> None:
        for room in dict.fromkeys(stored.batch.room for stored in fact.batches):
            members = self._interests.peers_in(room)
            told_late = {peer for peer in members if self._is_told_late(room, peer)}
            for stored in fact.batches:
                # What is our own leaves as a batch; only the offer of `fanout` tells of it by HAVE.
                if stored.peer is None or stored.batch.room != room:
                    continue
                fetched = len(told_late) < len(members) and self._is_fetching(room, stored.key)
                for peer in members:
                    soon = peer in (stored.peer, stored.key.author)
                    if soon or fetched or peer in told_late:
                        self._tell(peer, room, stored.key, soon, at)
        self._set_timer(at)

    def _held(self, fact: BatchHeld, at: Instant) -> None:
        if fact.peer in self._due:
            self._tell(fact.peer, fact.room, fact.key, True, at)
            self._set_timer(at)

    def _tell(self, peer: PeerId, room: RoomId, key: LogKey, soon: bool, at: Instant) -> None:
        due = self._due[peer]
        due.logs.setdefault(room, {})[key] = None
        wait_s = self._config.have_author_s
        paced_s = max(at.now_s + wait_s * REST, due.sent_s + wait_s * PACE)
        at_s = paced_s if soon else at.now_s + self._config.have_others_s
        due.at_s = at_s if due.at_s is None else min(due.at_s, at_s)

    def _send(self, peer: PeerId, due: _Due, at: Instant) -> None:
        for room, keys in due.logs.items():
            self.outbox += [SendFrame(peer=peer, payload=payload) for payload in self.payloads(room, list(keys))]
        due.logs = {}
        due.at_s = None
        due.sent_s = at.now_s

    def payloads(self, room: RoomId, keys: list[LogKey]) -> list[bytes]:
        """HAVEs of what we hold of these logs."""
        entries = self.entries(room, keys)
        parts = (tuple(entries[start : start + HAVE_ENTRIES_MAX]) for start in range(0, len(entries), HAVE_ENTRIES_MAX))
        return [encode(Have(room=room, holder=self._me, entries=part)) for part in parts]

    def entries(self, room: RoomId, keys: list[LogKey]) -> list[HaveEntry]:
        """What we hold of these logs from their floor on without a gap; nothing of what ends at its floor."""
        logs = [(key, self._ledger.frontier(room, key)) for key in keys]
        ends = [(key, log.contiguous_end) for key, log in logs if log is not None and log.contiguous_end > log.floor]
        return [HaveEntry(key.author, key.log, key.branch, end) for key, end in ends]

    # Hearing -----------------------------------------------------------------------------------

    def _told(self, peer: PeerId, frame: Have, at: Instant) -> None:
        due = self._due.get(peer)
        if due is None or frame.holder != peer or not self._ledger.is_given(frame.room):
            return
        is_shared = self._ledger.is_shared(frame.room)
        for entry in frame.entries:
            key = LogKey(entry.author, entry.log, entry.branch)
            self.outbox.append(PeerHolds(peer=peer, room=frame.room, key=key, end=entry.end))
            if not is_shared:
                continue  # We have left it: nothing more is taken in.
            if entry.author == peer:
                # An author offers its own log when it has not heard from us: the answer is what we hold.
                self._tell(peer, frame.room, key, True, at)
            if entry.end <= self._ledger.contiguous_end(frame.room, key):
                due.behind.pop((frame.room, key), None)
            elif self._ledger.is_current(key):
                self.outbox.append(OwnLogAhead(peer=peer, proven=False))
                due.behind[(frame.room, key)] = (entry.end, at.now_s)
            elif len(due.behind) < BEHIND_MAX:
                ask_s = due.behind.get((frame.room, key), (0, at.now_s + 2 * self._rtt_s(peer)))[1]
                due.behind[(frame.room, key)] = (entry.end, ask_s)
        self._flush(at)

    def _ask(self, peer: PeerId, due: _Due, now_s: float) -> None:
        for (room, key), (end, ask_s) in list(due.behind.items()):
            if ask_s <= now_s:
                del due.behind[(room, key)]
                if end > self._ledger.contiguous_end(room, key):
                    self.outbox.append(BehindPeer(peer=peer, room=room, key=key, end=end))

    # Time --------------------------------------------------------------------------------------

    def _timer_fired(self, _fact: TimerFired, at: Instant) -> None:
        self._timer_at_s = None
        self._flush(at)

    def _flush(self, at: Instant) -> None:
        for peer, due in self._due.items():
            if due.at_s is not None and due.at_s <= at.now_s:
                self._send(peer, due, at)
            if due.behind:
                self._ask(peer, due, at.now_s)
        self._set_timer(at)

    def _set_timer(self, at: Instant) -> None:
        at_s: float | None = None
        for due in self._due.values():
            if due.at_s is not None and (at_s is None or due.at_s < at_s):
                at_s = due.at_s
            if due.behind:
                ask_s = min(moment_s for _end, moment_s in due.behind.values())
                at_s = ask_s if at_s is None else min(at_s, ask_s)
        if at_s is not None:
            at_s = max(at.now_s, at_s)
        if at_s != self._timer_at_s:
            self._timer_at_s = at_s
            self.outbox.append(SetTimer(name=_TIMER, at_s=at_s))
