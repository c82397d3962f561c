"""Asking: an author who does not hear that members beyond its links hold its last batch asks all anew.

How it works. Word of who holds a batch comes to its author over relays (`merging`), each along the link that it
believes to lead there. Where links come and go such links may lead in a circle or nowhere, and whoever starts again
does not know whom it has told. So an author asks, as routes are found on demand in AODV (Perkins and Royer, WMCSA 1999,
section 2.1): its question is flooded over all links, and each node's way back is the link that it first came by, so no
circle is possible. A question is HOLDERS about a log that names its author alone, with the question's number as `end`.

    own batch stored --ASK_AFTER--> asked, while a live member beyond our links is pending --twice as long--> asked ...
    such a member tells a new record (it started again) --> asked after ASK_AFTER once more
    the mesh becomes partial, or a gap opens --> the same for all own logs: who was linked may be so no more

    question --its number no higher than the last one of this log, less than FORGET_S ago--> nothing
             --else--> the way to its author is there; what is known here is told again; passed on to all other links
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zmqchat.model.config import Config
from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.model.limits import ASKED_LOGS_MAX, ASKS_PER_S_MAX, NUMBER_MAX
from zmqchat.protocol.broadcast import Broadcast
from zmqchat.protocol.data_facts import BatchesStored, HoldersAsked, HoldersWanted
from zmqchat.protocol.effects import SetTimer
from zmqchat.protocol.facts import Instant, TimerFired
from zmqchat.protocol.interests import Interests
from zmqchat.protocol.ledger import Ledger
from zmqchat.protocol.machine import Machine, MeshSwitched, SendFrame, Size
from zmqchat.protocol.pace import Pace
from zmqchat.protocol.receipts import Receipts
from zmqchat.protocol.roster_facts import GapOpened, MembersUpdated
from zmqchat.wire.frames import encode
from zmqchat.wire.tree_frames import Holder, Holders

ASK_AFTER = 3
"""So many have_others_s after a batch its author asks, if it must: by then all has come that was not lost."""

ASK_SELDOM = 100
"""At most so many have_others_s lie between two questions."""

FORGET_S = 60.0
"""How long a question's number is remembered: no way through the mesh takes that long. An author's clock gives the
numbers, and may have been put back since."""


@dataclass(slots=True)
class _Wait:
    """When to look next whether somebody is pending, and how long to wait after that."""

    due_s: float
    wait_s: float


class Asking(Machine):
    """The machine of questions for holders; emits HoldersWanted.

    is_wide  whether there may be members that this node can't link to
    """

    timer = "asking"

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        interests: Interests,
        receipts: Receipts,
        broadcast: Broadcast,
        is_wide: Callable[[], bool],
        is_live: Callable[[PeerId], bool],
    ) -> None:
        super().__init__()
        self._config = config
        self._ledger = ledger
        self._interests = interests
        self._receipts = receipts
        self._broadcast = broadcast
        self._is_wide = is_wide
        self._is_live = is_live
        self._waits: dict[tuple[RoomId, int], _Wait] = {}
        self._asked: dict[tuple[RoomId, LogKey], tuple[int, float]] = {}
        self._number = 0
        self._pace = Pace(ASKS_PER_S_MAX)
        self._timer_at_s: float | None = None
        self.facts = {
            BatchesStored: self._stored,
            MeshSwitched: self._widened,
            GapOpened: self._widened,
            MembersUpdated: self._updated,
            HoldersAsked: self._was_asked,
            TimerFired: self._timer_fired,
        }

    def sizes(self) -> tuple[Size, ...]:
        """Logs that were asked for."""
        return (Size("logs asked for", len(self._asked), ASKED_LOGS_MAX),)

    # Our own batches -----------------------------------------------------------------------------

    def _stored(self, fact: BatchesStored, at: Instant) -> None:
        first_s = ASK_AFTER * self._config.have_others_s
        for stored in fact.batches:
            if stored.peer is None and self._is_wide():
                self._waits[(stored.batch.room, stored.batch.log)] = _Wait(at.now_s + first_s, first_s)
        self._set_timer(at)

    def _widened(self, _fact: MeshSwitched | GapOpened, at: Instant) -> None:
        if not self._is_wide():
            return
        first_s = ASK_AFTER * self._config.have_others_s
        for room in self._ledger.joined_rooms():
            for key, _frontier in self._ledger.rooms[room].frontier.of_author(self._ledger.me):
                self._waits.setdefault((room, key.log), _Wait(at.now_s + first_s, first_s))
        self._set_timer(at)

    def _updated(self, fact: MembersUpdated, at: Instant) -> None:
        first_s, updated = ASK_AFTER * self._config.have_others_s, frozenset(fact.peers)
        for (room, log), wait in self._waits.items():
            if not updated.isdisjoint(self._far(room, log)):
                wait.due_s, wait.wait_s = min(wait.due_s, at.now_s + first_s), first_s
        self._set_timer(at)

    def _pending(self, room: RoomId, log: int) -> tuple[PeerId, ...]:
        frontier = self._ledger.frontier(room, LogKey(self._ledger.me, log))
        if frontier is None or not frontier.end or not self._ledger.is_joined(room):
            return ()
        return self._receipts.state(room, log, frontier.end - 1).pending

    def _far(self, room: RoomId, log: int) -> list[PeerId]:
        """Who is pending and beyond our links: those that we are linked to tell it themselves."""
        return [peer for peer in self._pending(room, log) if not self._interests.is_linked(peer)]

    def _timer_fired(self, _fact: TimerFired, at: Instant) -> None:
        self._timer_at_s = None
        for (room, log), wait in list(self._waits.items()):
            if wait.due_s > at.now_s:
                continue
            if not self._pending(room, log):
                del self._waits[(room, log)]
                continue
            if self._is_wide() and any(map(self._is_live, self._far(room, log))):
                self._number = min(NUMBER_MAX, max(self._number + 1, at.wall_ms))
                self._ask(room, LogKey(self._ledger.me, log), self._number, None)
            wait.wait_s = min(2 * wait.wait_s, ASK_SELDOM * self._config.have_others_s)
            wait.due_s = at.now_s + wait.wait_s
        self._set_timer(at)

    def _ask(self, room: RoomId, key: LogKey, number: int, source: PeerId | None) -> None:
        asker = Holder(key.author, number)
        frame = Holders(room=room, author=key.author, log=key.log, branch=key.branch, holders=(asker,))
        payload = encode(frame)
        for peer in self._broadcast.links:
            if peer not in (source, key.author):
                self.outbox.append(SendFrame(peer=peer, payload=payload))

    # Questions of others ---------------------------------------------------------------------------

    def _was_asked(self, fact: HoldersAsked, at: Instant) -> None:
        peer, number, place = fact.peer, fact.number, (fact.room, fact.key)
        last, last_s = self._asked.get(place, (-1, float("-inf")))
        if (number <= last and at.now_s < last_s + FORGET_S) or not self._pace.allows(peer, 1, at.now_s):
            return
        self._asked.pop(place, None)
        self._asked[place] = (number, at.now_s)
        if len(self._asked) > ASKED_LOGS_MAX:
            del self._asked[next(iter(self._asked))]
        self._broadcast.paths.came((fact.room, fact.key.author, fact.key.log), peer)
        self.outbox.append(HoldersWanted(room=fact.room, key=fact.key))
        self._ask(fact.room, fact.key, number, peer)

    def _set_timer(self, at: Instant) -> None:
        due_s = min((wait.due_s for wait in self._waits.values()), default=None)
        at_s = None if due_s is None else max(due_s, at.now_s)
        if at_s != self._timer_at_s:
            self._timer_at_s = at_s
            self.outbox.append(SetTimer(name=(self.timer,), at_s=at_s))
