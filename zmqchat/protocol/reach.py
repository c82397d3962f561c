"""Who can dial whom, as found out, not assumed.

How it works. A session that we dialled, a link or feed that we opened shows that the peer can be dialled. Each peer
opens a connection to our feed as soon as there is a link, so who dialled us, or subscribed to our feed, has shown that
we can be reached by it. Nothing is sent for this. Where links have been there for VERDICT_S and none of their peers
has ever come in by itself, nobody reaches us: a firewall, most often. A change of our addresses begins anew.

A peer that we could not dial though it dialled us is undiallable: such links are given up last and told to nobody.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final

from zmqchat.model.ids import PeerId
from zmqchat.model.limits import PEERS_REMEMBERED_MAX
from zmqchat.protocol.effects import SetTimer
from zmqchat.protocol.facts import (
    DirectClosed,
    DirectOpened,
    EndpointsChanged,
    FeedClosed,
    FeedOpened,
    Instant,
    PeerSubscribed,
    TimerFired,
)
from zmqchat.protocol.machine import Machine, PeerLinked, PeerUnlinked, Welcomed

VERDICT_S: Final = 15.0
"""How long a link must have been there before the peer's silence at our doors says something."""


class Reach(Machine):
    """What connections have shown of reachability, ours and our peers'."""

    timer = "reach"

    def __init__(self) -> None:
        super().__init__()
        self._linked_s: dict[PeerId, float] = {}
        self._diallable: set[PeerId] = set()
        self._undiallable: dict[PeerId, None] = {}
        self._was_reached = False
        self.nobody_reaches_us = False
        self.facts = {
            Welcomed: self._welcomed,
            DirectOpened: self._opened,
            FeedOpened: self._opened,
            DirectClosed: self._closed,
            FeedClosed: self._closed,
            PeerSubscribed: self._subscribed,
            PeerLinked: self._linked,
            PeerUnlinked: self._unlinked,
            EndpointsChanged: self._endpoints_changed,
            TimerFired: self._timer_fired,
        }

    @property
    def undiallable(self) -> AbstractSet[PeerId]:
        """Peers that dialled us and that we could not dial."""
        return self._undiallable.keys()

    def _welcomed(self, fact: Welcomed, _at: Instant) -> None:
        if fact.dialled:
            self._diallable.add(fact.peer)
            self._undiallable.pop(fact.peer, None)
        else:
            self._reached()

    def _reached(self) -> None:
        self._was_reached = True
        self.nobody_reaches_us = False

    def _opened(self, fact: DirectOpened | FeedOpened, _at: Instant) -> None:
        self._diallable.add(fact.peer)
        self._undiallable.pop(fact.peer, None)

    def _closed(self, fact: DirectClosed | FeedClosed, _at: Instant) -> None:
        if fact.peer in self._linked_s and fact.peer not in self._diallable:
            self._undiallable[fact.peer] = None
            if len(self._undiallable) > PEERS_REMEMBERED_MAX:
                del self._undiallable[next(iter(self._undiallable))]

    def _subscribed(self, _fact: PeerSubscribed, _at: Instant) -> None:
        self._reached()

    def _linked(self, fact: PeerLinked, at: Instant) -> None:
        self._linked_s[fact.peer] = at.now_s
        if not self._was_reached:
            self.outbox.append(SetTimer(name=(self.timer, "verdict"), at_s=at.now_s + VERDICT_S))

    def _unlinked(self, fact: PeerUnlinked, _at: Instant) -> None:
        self._linked_s.pop(fact.peer, None)
        self._diallable.discard(fact.peer)

    def _endpoints_changed(self, _fact: EndpointsChanged, _at: Instant) -> None:
        self._was_reached = self.nobody_reaches_us = False
        self._linked_s.clear()  # what was there before says nothing of the new addresses
        self._undiallable.clear()

    def _timer_fired(self, _fact: TimerFired, at: Instant) -> None:
        has_held = any(at.now_s - since_s >= VERDICT_S for since_s in self._linked_s.values())
        self.nobody_reaches_us = has_held and not self._was_reached
