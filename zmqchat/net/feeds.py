"""Feeds: our XPUB, to which peers subscribe by room, and one SUB for each peer's feed.

A topic is a type byte and the room id, in one frame with the payload. Every SUB also subscribes to the
presence topic, under which nothing is ever published: so the other side sees at once whose connection
it is, though the peer be in no room. One SUB a peer, so that what comes is known to be the peer's.

libzmq keeps subscriptions under no high-water mark (1.1 KB each): they are counted a session and their
rate is bounded. We keep to the bound ourselves: a SUB begins with what a burst allows, and adds the
rest at PACE_PER_S.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

import zmq

from zmqchat.model.ids import PeerId, RoomId
from zmqchat.model.limits import (
    FEED_TOPICS_PER_PEER_MAX,
    FEED_TOPICS_PER_S_MAX,
    FRAME_BYTES_MAX,
    LINKS_PER_SESSION_MAX,
)
from zmqchat.net.connections import Connection, cut
from zmqchat.net.dial import Dial
from zmqchat.net.engine import Engine
from zmqchat.net.listener import Listener, user_id
from zmqchat.net.options import TOPIC_BYTES, Role
from zmqchat.net.sessions import TOPIC_BURST_S, FeedLink, Session, Sessions
from zmqchat.net.watch import Watch
from zmqchat.protocol.effects import OpenFeed, PublishFeed
from zmqchat.protocol.facts import FeedClosed, FeedOpened, FeedReceived, PeerSubscribed

ROOM_TOPIC: Final = b"\x01"
PRESENCE_TOPIC: Final = bytes(TOPIC_BYTES)
FIRST_TOPICS_MAX: Final = FEED_TOPICS_PER_S_MAX * TOPIC_BURST_S // 2
PACE_PER_S: Final = FEED_TOPICS_PER_S_MAX // 2


def topic_of(room: RoomId) -> bytes:
    """The feed topic of a room."""
    return ROOM_TOPIC + room


class _Subscription:
    """Our SUB to one peer: what it is subscribed to, and what is still to be said."""

    __slots__ = ("dial", "said", "waiting")

    def __init__(self, dial: Dial) -> None:
        self.dial = dial
        self.said: set[RoomId] = set()
        self.waiting: deque[RoomId] = deque()


class Feeds:
    """Both sides of the feed."""

    def __init__(
        self,
        engine: Engine,
        watch: Watch,
        sessions: Sessions,
        curve_key: Callable[[PeerId], bytes | None],
        abused: Callable[[Session, str], None],
        changed: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._watch = watch
        self._sessions = sessions
        self._curve_key = curve_key
        self._abused = abused
        self._dropping = False
        self._rooms: frozenset[RoomId] = frozenset()
        self._subscribers: Counter[RoomId] = Counter()
        self._subscriptions: dict[PeerId, _Subscription] = {}
        self._pace: asyncio.TimerHandle | None = None
        self.listener = Listener(
            engine,
            watch,
            Role.FEED,
            engine.own.secret,
            read=self._read,
            gone=self._gone,
            abused=self._endless,
            changed=changed,
        )

    @property
    def dials(self) -> int:
        """How many SUBs there are."""
        return len(self._subscriptions)

    # As the one who listens to others' feeds ---------------------------------------------------------

    def open(self, effect: OpenFeed) -> None:
        """Dial the peer's feed, in place of an older dial."""
        peer = effect.peer
        self.close_dial(peer)
        key = self._curve_key(peer)
        if key is None:
            self._engine.tell(FeedClosed(peer=peer, reason="denied"))
            return
        dial = Dial(
            self._engine,
            self._watch,
            Role.FEED,
            key,
            opened=lambda: self._opened(peer),
            closed=lambda reason: self._closed(peer, dial, reason),
            received=lambda frame: self._received(peer, frame),
        )
        self._subscriptions[peer] = _Subscription(dial)
        dial.connect(effect.endpoint.host, effect.endpoint.feed)

    def set_topics(self, rooms: frozenset[RoomId]) -> None:
        """Subscribe every SUB to exactly these rooms."""
        self._rooms = rooms
        for subscription in self._subscriptions.values():
            if subscription.dial.open:
                self._say(subscription)

    def close_dial(self, peer: PeerId) -> None:
        """Close our SUB to the peer without a fact."""
        subscription = self._subscriptions.pop(peer, None)
        if subscription is not None:
            subscription.dial.close()

    def _opened(self, peer: PeerId) -> None:
        subscription = self._subscriptions[peer]
        subscription.dial.subscribe(PRESENCE_TOPIC, on=True)
        self._say(subscription)
        self._engine.tell(FeedOpened(peer=peer))

    def _say(self, subscription: _Subscription) -> None:
        dropped = sorted(subscription.said - self._rooms)
        for room in dropped:
            subscription.dial.subscribe(topic_of(room), on=False)
            subscription.said.discard(room)
        subscription.waiting = deque(sorted(self._rooms - subscription.said))
        spent = len(subscription.said) + len(dropped)
        self._say_some(subscription, max(PACE_PER_S, FIRST_TOPICS_MAX - spent))
        self._keep_pace()

    def _say_some(self, subscription: _Subscription, count: int) -> None:
        for _ in range(min(count, len(subscription.waiting))):
            room = subscription.waiting.popleft()
            subscription.dial.subscribe(topic_of(room), on=True)
            subscription.said.add(room)

    def _keep_pace(self) -> None:
        if self._pace is None and any(s.waiting for s in self._subscriptions.values()):
            self._pace = self._engine.loop.call_later(1.0, self._paced)

    def _paced(self) -> None:
        self._pace = None
        for subscription in self._subscriptions.values():
            if subscription.waiting and subscription.dial.open:
                self._say_some(subscription, PACE_PER_S)
        self._keep_pace()

    def _closed(self, peer: PeerId, dial: Dial, reason: str) -> None:
        subscription = self._subscriptions.get(peer)
        if subscription is not None and subscription.dial is dial:
            del self._subscriptions[peer]
            self._engine.tell(FeedClosed(peer=peer, reason=reason))

    def _received(self, peer: PeerId, frame: bytes) -> None:
        if len(frame) < TOPIC_BYTES or frame[:1] != ROOM_TOPIC:
            self._engine.counters["feed_frames_dropped"] += 1
            return
        room = RoomId(frame[1:TOPIC_BYTES])
        self._engine.tell(FeedReceived(peer=peer, room=room, payload=frame[TOPIC_BYTES:]))

    # As the one who publishes -------------------------------------------------------------------------

    def publish(self, effect: PublishFeed) -> None:
        """Send to whoever subscribed to the room; dropped for those whose queue is full."""
        if not self._subscribers[effect.room]:
            return
        if len(effect.payload) > FRAME_BYTES_MAX:
            self._engine.counters["oversize_not_sent"] += 1
            return
        self.listener.socket.send(topic_of(effect.room) + effect.payload, zmq.NOBLOCK)
        self.listener.reader.after_send()

    def end(self, session: Session) -> None:
        """Cut all connections of a session that has ended, and forget what they subscribed to."""
        self.close_dial(session.peer)
        for user, link in session.feed.items():
            for room in link.topics:
                self._count(room, -1)
            for connection in self.listener.connections.owned_by(user):
                cut(connection)
        session.feed.clear()

    def close(self, linger_ms: int) -> None:
        """Close all sockets; what was sent has so long to leave."""
        if self._pace is not None:
            self._pace.cancel()
        for peer in list(self._subscriptions):
            self.close_dial(peer)
        self.listener.close(linger_ms)

    def _read(self) -> None:
        frame = self.listener.socket.recv(zmq.NOBLOCK, copy=False)
        if self._dropping:
            self._dropping = frame.more
            return
        user = user_id(frame)
        if not user:
            return  # libzmq unsubscribes for a connection that is closed; `_gone` has told of it
        session = self._sessions.of_user(user)
        if session is None:
            self._engine.counters["topics_without_session"] += 1
            cut(self.listener.connection_of(frame))
        elif frame.more:
            self._dropping = True
            self._abused(session, "parts")
        else:
            self._topic(session, user, frame)

    def _topic(self, session: Session, user: str, frame: zmq.Frame) -> None:
        connection = self.listener.delivered(frame, user)
        link = session.feed.get(user)
        if link is None:
            if connection.inode == 0:
                return  # it is closed already
            link = session.feed[user] = FeedLink()
            if len(session.feed) > LINKS_PER_SESSION_MAX:
                self._drop_oldest(session)
        data = frame.bytes
        on, topic = data[:1] == b"\x01", data[1:]
        if not link.rate.take(self._engine.loop.time()):
            self._abused(session, "subscriptions")
            return
        if len(topic) == TOPIC_BYTES and topic[:1] == ROOM_TOPIC:
            self._room(session, link, RoomId(topic[1:]), on=on)
        elif topic != PRESENCE_TOPIC:
            self._engine.counters["strange_topics"] += 1
            (link.strange.add if on else link.strange.discard)(topic)
        if sum(len(other.topics) + len(other.strange) for other in session.feed.values()) > FEED_TOPICS_PER_PEER_MAX:
            self._abused(session, "subscriptions")

    def _room(self, session: Session, link: FeedLink, room: RoomId, *, on: bool) -> None:
        if on == (room in link.topics):
            return
        elsewhere = any(room in other.topics for other in session.feed.values() if other is not link)
        (link.topics.add if on else link.topics.discard)(room)
        self._count(room, 1 if on else -1)
        if not elsewhere:
            self._engine.tell(PeerSubscribed(peer=session.peer, room=room, on=on))

    def _drop_oldest(self, session: Session) -> None:
        user = next(iter(session.feed))
        self._engine.counters["extra_links_cut"] += 1
        for connection in self.listener.connections.owned_by(user):
            cut(connection)
        self._forget(session, user)

    def _gone(self, connection: Connection) -> None:
        session = self._sessions.of_user(connection.owner)
        if session is not None and connection.owner in session.feed:
            self._forget(session, connection.owner)

    def _forget(self, session: Session, user: str) -> None:
        link = session.feed[user]
        for room in sorted(link.topics):
            self._room(session, link, room, on=False)
        session.feed.pop(user, None)

    def _count(self, room: RoomId, step: int) -> None:
        self._subscribers[room] += step
        if self._subscribers[room] <= 0:
            del self._subscribers[room]

    def _endless(self, connection: Connection) -> None:
        session = self._sessions.of_user(connection.owner)
        if session is not None:
            self._abused(session, "endless")
