"""Advertising: who announces itself by multicast DNS where a mesh is so large that not everybody can.

How it works. Everybody browses. In a full mesh everybody advertises too. In a partial one a node does where a hash of
its id and the hour, as a fraction, is below ADVERTISERS / live members: that many do on average, others each hour,
and nobody needs to agree on who (rejected: the lowest ADVERTISERS hashes of all, which costs a hash a member and hour
for the same). A node with fewer than LONELY_LINKS links always advertises: it may join what else stays apart. It is
looked at again ADVERTISING_CHECK_S later at most, so that links that come and go don't make it say goodbye and
hello; a node that has become lonely advertises at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from zmqchat.model.ids import PeerId
from zmqchat.model.limits import ADVERTISERS, LONELY_LINKS
from zmqchat.protocol.effects import Advertise, SetTimer
from zmqchat.protocol.facts import Instant, NodeStarted, TimerFired
from zmqchat.protocol.machine import Machine, PeerLinked, PeerUnlinked

ADVERTISING_CHECK_S = 30.0
_HOUR_MS = 3_600_000


class Advertising(Machine):
    """The machine that says whether discovery announces us; it does until told otherwise.

    is_partial   whether links are few for many members
    live_count   how many other members live
    """

    timer = "advertising"

    def __init__(self, me: PeerId, is_partial: Callable[[], bool], live_count: Callable[[], int]) -> None:
        super().__init__()
        self._me = me
        self._is_partial = is_partial
        self._live_count = live_count
        self._links: set[PeerId] = set()
        self.is_on = True
        self.facts = {
            NodeStarted: self._started,
            PeerLinked: self._linked,
            PeerUnlinked: self._unlinked,
            TimerFired: self._timer_fired,
        }

    def _started(self, _fact: NodeStarted, at: Instant) -> None:
        self._look_later(at)

    def _linked(self, fact: PeerLinked, _at: Instant) -> None:
        self._links.add(fact.peer)

    def _unlinked(self, fact: PeerUnlinked, _at: Instant) -> None:
        self._links.discard(fact.peer)
        if len(self._links) < LONELY_LINKS:
            self._turn(True)

    def _timer_fired(self, _fact: TimerFired, at: Instant) -> None:
        self._turn(self._is_wanted(at))
        self._look_later(at)

    def _look_later(self, at: Instant) -> None:
        self.outbox.append(SetTimer(name=(self.timer,), at_s=at.now_s + ADVERTISING_CHECK_S))

    def _turn(self, on: bool) -> None:
        if on != self.is_on:
            self.is_on = on
            self.outbox.append(Advertise(on=on))

    def _is_wanted(self, at: Instant) -> bool:
        if not self._is_partial() or len(self._links) < LONELY_LINKS:
            return True
        return _share(self._me, at.wall_ms // _HOUR_MS) * (self._live_count() + 1) < ADVERTISERS


def _share(peer: PeerId, hour: int) -> float:
    """A number from 0 to 1 that is the peer's in this hour."""
    data = peer + max(0, hour).to_bytes(8, "big")
    digest = hashlib.blake2b(data, digest_size=8, person=b"zmqchat-mdns-1").digest()
    return int.from_bytes(digest, "big") / 2**64
