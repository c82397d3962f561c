"""Fanout: live batches in a full mesh, out and in, and who is too slow for them.

How it works. An own batch that is durable goes to each linked member of its room by one of two ways, decided
per link: by our feed where the peer's subscription is known (one PublishFeed serves all of those), else
pushed over the link. What comes in either way becomes BatchReceived.

What was sent is unacknowledged until the peer's HAVE covers it:

    live --over LINK_UNACKNOWLEDGED_BYTES_MAX--> lazy --HAVE covers what we hold--> live
    waiting for HAVE --max(offer_min_s, 3 RTT)--> our frontier is offered (a HAVE of ours), then with
                                                  twice the wait each time, to offer_max

A lazy peer gets no pushes; it catches up by sync, and hears of new ends by the offer. A feed can't leave out
one subscriber: there libzmq's mark drops what the peer does not read, and the offer repairs it.

In a partial mesh `broadcast` sends, to all but those peers that do not know its frames: these get a Push. What is
unacknowledged is counted in the same way, so the last batch to a linked member is repaired there too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from zmqchat.model.config import Config
from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.model.limits import LINK_UNACKNOWLEDGED_BYTES_MAX
from zmqchat.protocol.data_facts import BatchesStored, BatchReceived, PeerHolds, PushReceived, StoredBatch
from zmqchat.protocol.effects import PublishFeed, SetTimer
from zmqchat.protocol.facts import FeedReceived, Instant, LinkBlocked, PeerSubscribed, TimerFired
from zmqchat.protocol.gaps import Gaps
from zmqchat.protocol.interests import Interests
from zmqchat.protocol.ledger import Ledger
from zmqchat.protocol.machine import OVERLAY_FEATURE, Machine, PeerLinked, PeerUnlinked, SendFrame
from zmqchat.wire.frames import PUSH_PREFIX, Have, HaveEntry, Push, encode

OFFERS_IN_A_ROW_MAX = 8
"""Unanswered offers to a peer, each after twice the wait; then the periodic exchange is left to repair."""

_Place = tuple[RoomId, LogKey]


@dataclass(slots=True)
class _Link:
    """What one linked peer was sent and has not said to hold.

    relays   it knows the frames of the tree
    ends     by room and log, up to where it was sent and is not acknowledged
    sent     by room and log, (end, bytes) of those batches, oldest first; none where lazy
    offer_s  when our frontier is offered, None where nothing is unacknowledged
    """

    topics: set[RoomId] = field(default_factory=set)
    relays: bool = False
    sent: dict[_Place, deque[tuple[int, int]]] = field(default_factory=dict)
    sent_bytes: int = 0
    ends: dict[_Place, int] = field(default_factory=dict)
    lazy: bool = False
    offer_s: float | None = None
    offers: int = 0


class Fanout(Machine):
    """The machine of live batches between all pairs; emits BatchReceived, in a partial mesh PushReceived."""

    timer = "fanout"

    def __init__(
        self,
        me: PeerId,
        config: Config,
        ledger: Ledger,
        interests: Interests,
        rtt_s: Callable[[PeerId], float],
        is_partial: Callable[[], bool],
        gaps: Gaps,
    ) -> None:
        super().__init__()
        self._me = me
        self._config = config
        self._ledger = ledger
        self._interests = interests
        self._rtt_s = rtt_s
        self._is_partial = is_partial
        self._gaps = gaps
        self._links: dict[PeerId, _Link] = {}
        self._topics: dict[PeerId, set[RoomId]] = {}
        self._timer_at_s: float | None = None
        self.facts = {
            PeerLinked: self._linked,
            PeerUnlinked: self._unlinked,
            PeerSubscribed: self._subscribed,
            LinkBlocked: self._blocked,
            FeedReceived: self._feed_received,
            BatchesStored: self._stored,
            PeerHolds: self._holds,
            TimerFired: self._timer_fired,
        }
        self.frames = {Push: self._pushed}

    def unacknowledged_bytes(self, peer: PeerId) -> int:
        """Bytes of live batches that the peer has not said to hold."""
        link = self._links.get(peer)
        return 0 if link is None else link.sent_bytes

    def is_lazy(self, peer: PeerId) -> bool:
        """Whether the peer is too far behind to be pushed to."""
        link = self._links.get(peer)
        return link is not None and link.lazy

    # Links -------------------------------------------------------------------------------------

    def _linked(self, fact: PeerLinked, _at: Instant) -> None:
        # A subscription can come before the link is known to work, and outlive it.
        topics = self._topics.setdefault(fact.peer, set())
        self._links[fact.peer] = _Link(topics=topics, relays=OVERLAY_FEATURE in fact.features)

    def _unlinked(self, fact: PeerUnlinked, at: Instant) -> None:
        self._links.pop(fact.peer, None)
        if not self._topics.get(fact.peer):
            self._topics.pop(fact.peer, None)
        self._set_timer(at)

    def _subscribed(self, fact: PeerSubscribed, _at: Instant) -> None:
        topics = self._topics.setdefault(fact.peer, set())
        if fact.on:
            topics.add(fact.room)
        else:
            topics.discard(fact.room)
            if not topics and fact.peer not in self._links:
                del self._topics[fact.peer]

    def _blocked(self, fact: LinkBlocked, _at: Instant) -> None:
        link = self._links.get(fact.peer)
        if link is not None and link.sent:
            link.lazy = True

    # In ----------------------------------------------------------------------------------------

    def _pushed(self, peer: PeerId, frame: Push, _at: Instant) -> None:
        self._take(peer, frame.batch)

    def _feed_received(self, fact: FeedReceived, _at: Instant) -> None:
        if fact.payload[:1] == PUSH_PREFIX:
            self._take(fact.peer, fact.payload[1:])

    def _take(self, peer: PeerId, raw: bytes) -> None:
        if self._is_partial() or self._gaps.is_lacked(peer):
            # Its sender takes the mesh for full, or knows no other: what it can't reach is reached from here.
            self.outbox.append(PushReceived(peer=peer, raw=raw))
        else:
            self.outbox.append(BatchReceived(peer=peer, raw=raw, pushed=True))

    # Out ---------------------------------------------------------------------------------------

    def _stored(self, fact: BatchesStored, at: Instant) -> None:
        for stored in fact.batches:
            if stored.peer is None:
                self._send(stored, at)
        self._set_timer(at)

    def _send(self, stored: StoredBatch, at: Instant) -> None:
        room = stored.batch.room
        payload = PUSH_PREFIX + stored.batch.raw
        by_feed = False
        partial = self._is_partial()
        for peer in self._interests.peers_in(room):
            link = self._links[peer]
            if partial and link.relays:
                pass
            elif room in link.topics and not partial:
                by_feed = True
            elif not link.lazy:
                self.outbox.append(SendFrame(peer=peer, payload=payload))
            self._note_sent(peer, link, stored, at)
        if by_feed:
            self.outbox.append(PublishFeed(room=room, payload=payload))

    def _note_sent(self, peer: PeerId, link: _Link, stored: StoredBatch, at: Instant) -> None:
        place = (stored.batch.room, stored.key)
        link.ends[place] = stored.batch.end
        if link.offer_s is None:
            link.offers = 0
            link.offer_s = at.now_s + self._offer_wait_s(peer, link)
        if link.lazy:
            return
        link.sent.setdefault(place, deque()).append((stored.batch.end, len(stored.batch.raw)))
        link.sent_bytes += len(stored.batch.raw)
        if link.sent_bytes > LINK_UNACKNOWLEDGED_BYTES_MAX:
            link.lazy = True
            link.sent.clear()
            link.sent_bytes = 0

    # Acknowledgement ---------------------------------------------------------------------------

    def _holds(self, fact: PeerHolds, at: Instant) -> None:
        link = self._links.get(fact.peer)
        place = (fact.room, fact.key)
        if link is None or fact.key.author != self._me or place not in link.ends:
            return
        sent = link.sent.get(place) or deque()
        while sent and sent[0][0] <= fact.end:
            link.sent_bytes -= sent.popleft()[1]
        if fact.end >= link.ends[place]:
            del link.ends[place]
            link.sent.pop(place, None)
        if not link.ends:
            link.lazy = False
            link.offer_s = None
        else:
            # It is getting on: only silence is a reason to offer.
            link.offers = 0
            link.offer_s = at.now_s + self._offer_wait_s(fact.peer, link)
        self._set_timer(at)

    def _offer_wait_s(self, peer: PeerId, link: _Link) -> float:
        return max(self._config.offer_min_s, 3 * self._rtt_s(peer)) * 2.0**link.offers

    def _timer_fired(self, _fact: TimerFired, at: Instant) -> None:
        self._timer_at_s = None
        for peer, link in self._links.items():
            if link.offer_s is not None and link.offer_s <= at.now_s:
                self._offer(peer, link)
                link.offers += 1
                last = link.offers >= OFFERS_IN_A_ROW_MAX
                link.offer_s = None if last else at.now_s + self._offer_wait_s(peer, link)
        self._set_timer(at)

    def _offer(self, peer: PeerId, link: _Link) -> None:
        by_room: dict[RoomId, list[HaveEntry]] = {}
        for room, key in link.ends:
            end = self._ledger.contiguous_end(room, key)
            by_room.setdefault(room, []).append(HaveEntry(key.author, key.log, key.branch, end))
        for room, entries in by_room.items():
            self.outbox.append(
                SendFrame(peer=peer, payload=encode(Have(room=room, holder=self._me, entries=tuple(entries))))
            )

    def _set_timer(self, at: Instant) -> None:
        at_s = min((link.offer_s for link in self._links.values() if link.offer_s is not None), default=None)
        if at_s is not None:
            at_s = max(at_s, at.now_s)
        if at_s != self._timer_at_s:
            self._timer_at_s = at_s
            self.outbox.append(SetTimer(name=(self.timer,), at_s=at_s))
