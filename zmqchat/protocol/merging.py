"""Merging: who holds what, gathered on the way to its author through a partial mesh.

How it works. Who has stored a batch tells it to the link that leads to the author: by HAVE (`haves`) where that is a
member and a link of the tree, else by HOLDERS, within have_author_s. A relay gathers what its links tell of an
author's log for have_merged_s, and sends it on as one frame, over the link that leads to the author (`paths`):

    told of a holder --known already to hold so much--> nothing
                     --news--> waiting --have_merged_s--> one HOLDERS frame; what does not fit waits for the next
    the link towards the author goes: all of the log is told again, over another one, as soon as one is known
    the author asks (`asking`): all of the log is told again

Where gaps are relayed over (`gaps`) HOLDERS alone are used, by members that have no link to the author; and all that
is held of an author is told when the gap to it opens.

As only what rises is told on, a circle of links comes to rest by itself. The author takes it as HolderTold. Members
that it is linked to speak for themselves; of others it is the relays' word: `sent.held` says what was heard, and
nothing is deleted because of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile

from zmqchat.model.config import Config
from zmqchat.model.ids import LogKey, PeerId, RoomId, is_peer_id
from zmqchat.model.limits import HOLDERS_MAX, HOLDERS_PER_FRAME_MAX, HOLDERS_PER_LOG_MAX, HOLDERS_PER_S_MAX
from zmqchat.protocol.broadcast import Broadcast
from zmqchat.protocol.data_facts import BatchesStored, HoldersAsked, HoldersWanted, HolderTold, PeerHolds
from zmqchat.protocol.effects import SetTimer
from zmqchat.protocol.facts import Instant, TimerFired
from zmqchat.protocol.gaps import Gaps
from zmqchat.protocol.interests import Interests
from zmqchat.protocol.ledger import Ledger
from zmqchat.protocol.machine import Machine, PeerUnlinked, SendFrame, Size
from zmqchat.protocol.pace import Pace
from zmqchat.protocol.roster_facts import GapOpened
from zmqchat.wire.frames import encode
from zmqchat.wire.tree_frames import Holder, Holders

KEPT_S = 60.0
"""How long what was gathered of a log is kept for another way to its author."""

_Place = tuple[RoomId, LogKey]


@dataclass(slots=True)
class _Log:
    """What is known of one author's log.

    ends    by holder, below what it has everything
    news    holders that the author is to be told of
    due_s   when the next frame leaves, None where there is no news
    told    the link that was last told
    """

    ends: dict[PeerId, int] = field(default_factory=dict)
    news: dict[PeerId, None] = field(default_factory=dict)
    due_s: float | None = None
    told: PeerId | None = None
    at_s: float = 0.0


class Merging(Machine):
    """The machine between those who hold a batch and its author; emits HolderTold and HoldersAsked."""

    timer = "merging"

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        interests: Interests,
        broadcast: Broadcast,
        is_partial: Callable[[], bool],
        gaps: Gaps,
    ) -> None:
        super().__init__()
        self._config = config
        self._ledger = ledger
        self._interests = interests
        self._broadcast = broadcast
        self._is_partial = is_partial
        self._gaps = gaps
        self._logs: dict[_Place, _Log] = {}  # those of which nothing was heard for longest first
        self._due: dict[_Place, _Log] = {}
        self._holders = 0
        self._pace = Pace(HOLDERS_PER_S_MAX)
        self._timer_at_s: float | None = None
        self.facts = {
            BatchesStored: self._stored,
            GapOpened: self._gap_opened,
            PeerHolds: self._holds,
            HoldersWanted: self._wanted,
            PeerUnlinked: self._unlinked,
            TimerFired: self._timer_fired,
        }
        self.frames = {Holders: self._told}

    def sizes(self) -> tuple[Size, ...]:
        """What is gathered."""
        return (
            Size("holders gathered", self._holders, HOLDERS_MAX),
            Size(
                "holders of a log", max((len(log.ends) for log in self._logs.values()), default=0), HOLDERS_PER_LOG_MAX
            ),
        )

    # In ------------------------------------------------------------------------------------------

    def _stored(self, fact: BatchesStored, at: Instant) -> None:
        partial = self._is_partial()
        if not partial and not self._gaps.is_gapped:
            return
        for stored in fact.batches:
            room, key = stored.batch.room, stored.key
            if stored.peer is None or key.author == self._ledger.me:
                continue
            if not partial and self._interests.is_linked(key.author):
                continue  # as in a full mesh our HAVE tells it
            place, end, link = (room, key), self._ledger.contiguous_end(room, key), self._towards(room, key)
            if not partial or link is None or not self._hears_haves(room, link):
                self._note(place, self._ledger.me, end, at, self._config.have_author_s)
            elif self._note(place, self._ledger.me, end, at, None):
                # Our HAVE says it; what may be left to do is to tell somebody else when that link goes.
                self._logs[place].told = link
        self._set_timer(at)

    def _gap_opened(self, fact: GapOpened, at: Instant) -> None:
        """What came before was told to nobody: its author was to be linked."""
        for room in self._ledger.joined_rooms():
            for key, _frontier in self._ledger.rooms[room].frontier.of_author(fact.peer):
                end = self._ledger.contiguous_end(room, key)
                self._note((room, key), self._ledger.me, end, at, self._config.have_author_s)
        self._set_timer(at)

    def _hears_haves(self, room: RoomId, link: PeerId) -> bool:
        """Whether that end of the link is in the room, and takes what we say there as coming from the tree."""
        return link in self._interests.peers_in(room) and self._broadcast.is_eager(room, link)

    def _holds(self, fact: PeerHolds, at: Instant) -> None:
        if fact.key.author in (self._ledger.me, fact.peer) or not self._is_partial():
            return
        # Lazy links and the one that leads to the author have told, or will tell, somebody nearer to the author.
        if self._broadcast.is_eager(fact.room, fact.peer) and fact.peer != self._towards(fact.room, fact.key):
            self._note((fact.room, fact.key), fact.peer, fact.end, at, self._config.have_merged_s)
            self._set_timer(at)

    def _told(self, peer: PeerId, frame: Holders, at: Instant) -> None:
        if not self._pace.allows(peer, len(frame.holders), at.now_s):
            return
        key = LogKey(frame.author, frame.log, frame.branch)
        mine = frame.author == self._ledger.me
        if len(frame.holders) == 1 and frame.holders[0].peer == frame.author and not mine:
            number = frame.holders[0].end
            self.outbox.append(HoldersAsked(peer=peer, room=frame.room, key=key, number=number))
            return
        for holder, end in frame.holders:
            if holder in (self._ledger.me, frame.author) or not is_peer_id(holder):
                continue
            if not mine:
                self._note((frame.room, key), holder, end, at, self._config.have_merged_s)
            elif holder == peer or not self._interests.is_linked(holder):
                self.outbox.append(HolderTold(holder=holder, room=frame.room, key=key, end=end))
        self._set_timer(at)

    def _note(self, place: _Place, holder: PeerId, end: int, at: Instant, wait_s: float | None) -> bool:
        """Whether this is new; it is told on after wait_s, None for never."""
        log = self._logs.get(place) or _Log()
        known = log.ends.get(holder)
        if end <= (known or 0):
            return False
        if known is None:
            if len(log.ends) >= HOLDERS_PER_LOG_MAX or not self._has_room(place):
                return False
            self._holders += 1
            self._logs[place] = log
        log.ends[holder] = end
        log.at_s = at.now_s
        self._logs[place] = self._logs.pop(place)
        if wait_s is not None:
            log.news[holder] = None
            due_s = at.now_s + wait_s
            self._set_due(place, log, due_s if log.due_s is None else min(log.due_s, due_s))
        return True

    def _set_due(self, place: _Place, log: _Log, due_s: float | None) -> None:
        log.due_s = due_s
        if due_s is None:
            self._due.pop(place, None)
        else:
            self._due[place] = log

    def _wanted(self, fact: HoldersWanted, at: Instant) -> None:
        place, end = (fact.room, fact.key), self._ledger.contiguous_end(fact.room, fact.key)
        if end and self._ledger.is_shared(fact.room):
            self._note(place, self._ledger.me, end, at, None)
        log = self._logs.get(place)
        if log is not None:
            log.news = dict.fromkeys(log.ends)
            log.at_s = at.now_s
            self._set_due(place, log, at.now_s + self._config.have_author_s)
            self._set_timer(at)

    def _has_room(self, place: _Place) -> bool:
        """Let go of other logs, the oldest first, while there is no room."""
        while self._holders >= HOLDERS_MAX:
            other = next(iter(self._logs))
            if other == place:
                return False
            self._forget(other)
        return True

    def _forget(self, place: _Place) -> None:
        self._holders -= len(self._logs.pop(place).ends)
        self._due.pop(place, None)

    # Out -----------------------------------------------------------------------------------------

    def _towards(self, room: RoomId, key: LogKey) -> PeerId | None:
        if self._interests.is_linked(key.author):
            return key.author
        return self._broadcast.paths.towards(room, key.author, key.log) or self._gaps.towards(key.author)

    def _unlinked(self, fact: PeerUnlinked, at: Instant) -> None:
        for place, log in self._logs.items():
            if log.told == fact.peer:
                # What it was told may have ended there.
                log.told = None
                log.news = dict.fromkeys(log.ends)
                self._set_due(place, log, at.now_s + self._config.have_merged_s)
        self._set_timer(at)

    def _timer_fired(self, _fact: TimerFired, at: Instant) -> None:
        self._timer_at_s = None
        for place, log in list(self._due.items()):
            if log.due_s is not None and log.due_s <= at.now_s:
                self._tell(place, log, at)
        self._forget_old(at)
        self._set_timer(at)

    def _forget_old(self, at: Instant) -> None:
        old = list(takewhile(lambda place: at.now_s >= self._logs[place].at_s + KEPT_S, self._logs))
        for place in old:
            if place not in self._due:
                self._forget(place)

    def _tell(self, place: _Place, log: _Log, at: Instant) -> None:
        room, key = place
        link = self._towards(room, key)
        if link is None:
            # Its next batch shows a way, or an announcement.
            is_kept = at.now_s < log.at_s + KEPT_S
            self._set_due(place, log, at.now_s + self._config.have_others_s if is_kept else None)
            return
        named = list(log.news)[:HOLDERS_PER_FRAME_MAX]
        for holder in named:
            del log.news[holder]
        self._set_due(place, log, at.now_s + self._config.have_merged_s if log.news else None)
        log.told = link
        holders = tuple(Holder(holder, log.ends[holder]) for holder in named if holder != link)
        if holders:
            frame = Holders(room=room, author=key.author, log=key.log, branch=key.branch, holders=holders)
            self.outbox.append(SendFrame(peer=link, payload=encode(frame)))

    def _set_timer(self, at: Instant) -> None:
        at_s = min((log.due_s for log in self._due.values() if log.due_s is not None), default=None)
        if at_s is None and self._logs:
            at_s = next(iter(self._logs.values())).at_s + KEPT_S
        if at_s is not None:
            at_s = max(at_s, at.now_s)
        if at_s != self._timer_at_s:
            self._timer_at_s = at_s
            self.outbox.append(SetTimer(name=(self.timer,), at_s=at_s))
