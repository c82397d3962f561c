"""Parting: rooms that this node has left, until somebody of them is known to have heard it.

How it works. Who leaves a room says so in its own log there, and takes no part in the room from then on: it is neither
compared nor told of. Where no link led into the room at that moment, nobody has heard the leave, nor what was said
before while nobody else was there. So a room that was left is parting, by its row over a restart too:

    left --somebody holds all of our logs there--> held, still given to who asks for SERVED_S --> done
         --somebody of the room is linked anew---> HAVE of all that is here, again after twice the time each;
                                                   the peer asks for what it lacks, and its HAVE says what it has
         --joined again, or PARTING_DAYS_MAX after----------------------------------------------> done

To those who were linked already `fanout` has sent the leave, and offers our log until they tell that they hold it; only
if that is not enough they are offered the room from here. So where a leave is heard at once nothing is sent for this.
In a partial mesh a room that is parting is lonely where no link leads into it, so the next visit looks for a member
(`seeking`). What others said there is offered too: this node may be the only one to have it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId, RoomId
from zmqchat.model.limits import PARTING_DAYS_MAX, PARTING_ROOMS_MAX
from zmqchat.protocol.data_facts import HolderTold, InterestTold, PartingEnded, PeerHolds, RoomJoined, RoomLeft
from zmqchat.protocol.effects import SetTimer
from zmqchat.protocol.facts import Instant, NodeStarted, TimerFired
from zmqchat.protocol.haves import Haves
from zmqchat.protocol.interests import Interests
from zmqchat.protocol.ledger import Ledger
from zmqchat.protocol.machine import Machine, PeerUnlinked, SendFrame, Size
from zmqchat.protocol.receipts import Receipts

FIRST_S = 5.0
"""After a leave, or a start, before those who are linked are offered it: by then they have told what they have."""

WAIT_S_MAX = 600.0
"""At most so long lies between two offers."""

SERVED_S = 10.0
"""How long the room is given to others after our own logs are held: who has begun to ask gets the rest."""

OFFERED_AT_ONCE = 3
"""Peers that a room is offered at a time: one that takes it is enough."""

_DAY_MS = 86_400_000


@dataclass(slots=True)
class _Part:
    """A room that was left.

    due_s    when it is offered next; where it is held, when it is done
    wait_s   how long to wait after that
    held     our own logs there are held by others
    offered  those of the room that were linked when we left, or have been offered it since
    """

    due_s: float
    wait_s: float = FIRST_S
    held: bool = False
    offered: dict[PeerId, None] = field(default_factory=dict)


class Parting(Machine):
    """The machine of rooms that were left; emits PartingEnded.

    left_ms  when we left a room, by our wall clock
    """

    timer = "parting"

    def __init__(
        self,
        config: Config,
        ledger: Ledger,
        interests: Interests,
        receipts: Receipts,
        haves: Haves,
        left_ms: Callable[[RoomId], int],
    ) -> None:
        super().__init__()
        self._config = config
        self._ledger = ledger
        self._interests = interests
        self._receipts = receipts
        self._haves = haves
        self._left_ms = left_ms
        self._parts: dict[RoomId, _Part] = {}
        self._timer_at_s: float | None = None
        self.facts = {
            NodeStarted: self._started,
            RoomLeft: self._left,
            RoomJoined: self._joined,
            InterestTold: self._interest_told,
            PeerUnlinked: self._unlinked,
            PeerHolds: self._holds,
            HolderTold: self._holds,
            TimerFired: self._timer_fired,
        }

    def sizes(self) -> tuple[Size, ...]:
        """The rooms that are parting."""
        return (Size("rooms parting", len(self._parts), PARTING_ROOMS_MAX),)

    # Begin and end -----------------------------------------------------------------------------

    def _started(self, _fact: NodeStarted, at: Instant) -> None:
        for room in self._ledger.parting_rooms():
            self._begin(room, at)
        self._set_timer(at)

    def _left(self, fact: RoomLeft, at: Instant) -> None:
        self._begin(fact.room, at)
        self._set_timer(at)

    def _begin(self, room: RoomId, at: Instant) -> None:
        if len(self._parts) >= PARTING_ROOMS_MAX:
            self._end(min(self._parts, key=self._left_ms))
        self._parts[room] = _Part(at.now_s + FIRST_S, offered=dict.fromkeys(self._interests.peers_in(room)))
        self._look(room, at)

    def _joined(self, fact: RoomJoined, at: Instant) -> None:
        if self._parts.pop(fact.room, None) is not None:
            self._set_timer(at)

    def _end(self, room: RoomId) -> None:
        del self._parts[room]
        self._ledger.rooms[room].parting = False
        self._ledger.rooms_changed()
        self.outbox.append(PartingEnded(room=room))

    # Who has heard it --------------------------------------------------------------------------

    def _holds(self, fact: PeerHolds | HolderTold, at: Instant) -> None:
        if fact.room in self._parts and fact.key.author == self._ledger.me:
            self._look(fact.room, at)
            self._set_timer(at)

    def _look(self, room: RoomId, at: Instant) -> None:
        part = self._parts[room]
        if not part.held and self._receipts.is_all_held(room):
            part.held = True
            part.due_s = at.now_s + SERVED_S

    # Telling it --------------------------------------------------------------------------------

    def _interest_told(self, fact: InterestTold, at: Instant) -> None:
        for room, part in self._parts.items():
            is_new = fact.peer not in part.offered and self._interests.takes_part(fact.peer, room)
            if is_new and not part.held:
                part.wait_s = self._config.offer_min_s
                part.due_s = min(part.due_s, at.now_s + part.wait_s)
        self._set_timer(at)

    def _unlinked(self, fact: PeerUnlinked, _at: Instant) -> None:
        for part in self._parts.values():
            part.offered.pop(fact.peer, None)

    def _timer_fired(self, _fact: TimerFired, at: Instant) -> None:
        self._timer_at_s = None
        for room, part in list(self._parts.items()):
            if part.due_s <= at.now_s:
                if part.held or at.wall_ms - self._left_ms(room) > PARTING_DAYS_MAX * _DAY_MS:
                    self._end(room)
                else:
                    self._offer(room, part)
                    part.due_s = at.now_s + part.wait_s
                    part.wait_s = min(2 * part.wait_s, WAIT_S_MAX)
        self._set_timer(at)

    def _offer(self, room: RoomId, part: _Part) -> None:
        peers = self._interests.peers_in(room)
        if all(peer in part.offered for peer in peers):
            part.offered.clear()
        payloads = self._haves.payloads(room, list(self._ledger.rooms[room].frontier))
        for peer in [peer for peer in peers if peer not in part.offered][:OFFERED_AT_ONCE]:
            part.offered[peer] = None
            self.outbox += [SendFrame(peer=peer, payload=payload) for payload in payloads]

    def _set_timer(self, at: Instant) -> None:
        due_s = min((part.due_s for part in self._parts.values()), default=None)
        at_s = None if due_s is None else max(due_s, at.now_s)
        if at_s != self._timer_at_s:
            self._timer_at_s = at_s
            self.outbox.append(SetTimer(name=(self.timer,), at_s=at_s))
