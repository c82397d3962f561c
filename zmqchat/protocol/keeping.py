"""Keeping: rooms that this node is not in, and holds for those who are, so that the offline catch up from it.

How it works. Linked peers tell which rooms they are in, or keep. Every keeper_round_s a node that hears of rooms that
it is not in asks for each whether it is one of the keepers (`keepers`):

    no keeper --chosen for keeper_patience_s--> keeper         CustodyBegun: KEEPS to all links, the feed's topic,
                                                               compared and repaired as a member's room is
    keeper --not chosen for keeper_known_s--> no keeper        CustodyEnded; what it holds stays for keeper_days
           --joins the room--> member                          it has all that it holds

Patience keeps a restart from moving custody; the longer wait of the one that is displaced lets the new one copy what
it has, though no member may be there. A node decides nothing before it has known the mesh for keeper_known_s itself; a
keeper that restarts goes on at once, as its row of the room says so. A room that the node was in and has left is not
kept: what is stored of it is its own.

A round looks at KEEPER_LOOKS_PER_ROUND_MAX members at most and takes up KEEPER_ROOMS_PER_ROUND_MAX rooms; the next goes
on where it stopped. What is held is bounded by `custody`.
"""

from __future__ import annotations

from zmqchat.model.config import Config
from zmqchat.model.ids import RoomId
from zmqchat.model.limits import KEEPER_LOOKS_PER_ROUND_MAX, KEEPER_ROOMS_PER_ROUND_MAX, KEPT_ROOMS_MAX
from zmqchat.protocol.data_facts import CustodyBegun, CustodyEnded, InterestTold
from zmqchat.protocol.effects import SetTimer
from zmqchat.protocol.facts import Instant, NodeStarted, TimerFired
from zmqchat.protocol.interests import Interests
from zmqchat.protocol.keepers import Choice
from zmqchat.protocol.ledger import Ledger
from zmqchat.protocol.machine import Machine, Size


class Keeping(Machine):
    """The machine that takes up rooms and gives them up; emits CustodyBegun and CustodyEnded."""

    timer = "keeping"

    def __init__(self, config: Config, ledger: Ledger, interests: Interests, choice: Choice) -> None:
        super().__init__()
        self._config = config
        self._ledger = ledger
        self._interests = interests
        self._choice = choice
        self._started_s = 0.0
        self._timer_set = False
        self._after = b""
        self._chosen_s: dict[RoomId, float] = {}
        self._displaced_s: dict[RoomId, float] = {}
        self.facts = {NodeStarted: self._started, InterestTold: self._told, TimerFired: self._timer_fired}

    def sizes(self) -> tuple[Size, ...]:
        """The rooms that are kept."""
        return (Size("rooms kept", len(self.rooms()), KEPT_ROOMS_MAX),)

    def rooms(self) -> list[RoomId]:
        """The rooms that this node is a keeper of now, sorted."""
        return [room for room in self._ledger.shared_rooms() if self._ledger.rooms[room].keeping]

    def _started(self, _fact: NodeStarted, at: Instant) -> None:
        self._started_s = at.now_s
        if self._candidates():
            self._set_timer(at)

    def _told(self, fact: InterestTold, at: Instant) -> None:
        told = self._interests.rooms_of(fact.peer) | self._interests.kept_by(fact.peer)
        if not self._timer_set and any(map(self._may_keep, told)):
            self._set_timer(at)

    def _set_timer(self, at: Instant) -> None:
        self._timer_set = True
        at_s = max(at.now_s + self._config.keeper_round_s, self._started_s + self._config.keeper_known_s)
        self.outbox.append(SetTimer(name=(self.timer,), at_s=at_s))

    def _may_keep(self, room: RoomId) -> bool:
        entry = self._ledger.rooms.get(room)
        return entry is None or entry.kept

    def _candidates(self) -> list[RoomId]:
        """What may be kept or is, from where the last round stopped."""
        rooms = {room for room in self._interests.rooms_told() if self._may_keep(room)}
        rooms |= {room for room, entry in self._ledger.rooms.items() if entry.kept}
        return sorted(rooms, key=lambda room: (room <= self._after, room))

    def _timer_fired(self, _fact: TimerFired, at: Instant) -> None:
        self._timer_set = False
        rooms = self._candidates()
        looks = taken = 0
        for room in rooms:
            if looks >= KEEPER_LOOKS_PER_ROUND_MAX or taken >= KEEPER_ROOMS_PER_ROUND_MAX:
                break
            self._after = room
            look = self._choice.look(room, at)
            looks += look.members
            taken += self._decide(room, look.chosen, at)
        for since_s in (self._chosen_s, self._displaced_s):
            for room in since_s.keys() - rooms:
                del since_s[room]
        if rooms:
            self._set_timer(at)

    def _decide(self, room: RoomId, chosen: bool, at: Instant) -> bool:
        """Whether the room was taken up."""
        entry = self._ledger.rooms.get(room)
        is_keeping = entry is not None and entry.keeping
        if chosen == is_keeping:
            self._chosen_s.pop(room, None)
            self._displaced_s.pop(room, None)
        elif chosen:
            since_s = self._chosen_s.setdefault(room, at.now_s)
            if at.now_s - since_s >= self._config.keeper_patience_s and len(self.rooms()) < KEPT_ROOMS_MAX:
                del self._chosen_s[room]
                entry = self._ledger.room(room)
                entry.kept = entry.keeping = True
                self._ledger.rooms_changed()
                self.outbox.append(CustodyBegun(room=room))
                return True
        elif at.now_s - self._displaced_s.setdefault(room, at.now_s) >= self._config.keeper_known_s:
            self.give_up(room)
        return False

    def give_up(self, room: RoomId) -> None:
        """Take in nothing more of a room; what is held stays until it is old."""
        self._displaced_s.pop(room, None)
        self._ledger.rooms[room].keeping = False
        self._ledger.rooms_changed()
        self.outbox.append(CustodyEnded(room=room))
