"""The peers that are admitted, and which connections are theirs.

A session has a number, which ZAP puts in the user id of every connection that it lets in: what comes
from a connection of another number is dropped, whether or not that connection could be cut.
"""

from __future__ import annotations

import itertools

from zmqchat.model.ids import PeerId, RoomId
from zmqchat.model.limits import FEED_TOPICS_PER_S_MAX
from zmqchat.net.rates import TokenBucket

TOPIC_BURST_S = 5
"""The rate of subscriptions is averaged over this."""


class FeedLink:
    """What one connection to our feed has subscribed to."""

    __slots__ = ("rate", "strange", "topics")

    def __init__(self) -> None:
        self.topics: set[RoomId] = set()
        self.strange: set[bytes] = set()
        self.rate = TokenBucket(FEED_TOPICS_PER_S_MAX, FEED_TOPICS_PER_S_MAX * TOPIC_BURST_S)


class Session:
    """One admitted peer.

    direct    routing ids of its connections to our direct socket, by user id, the oldest first
    routing   where a frame for it goes, None while it has no connection to us
    feed      its connections to our feed, by user id
    """

    __slots__ = ("direct", "feed", "key", "number", "peer", "routing")

    def __init__(self, peer: PeerId, key: bytes, number: int) -> None:
        self.peer = peer
        self.key = key
        self.number = number
        self.direct: dict[str, bytes] = {}
        self.routing: bytes | None = None
        self.feed: dict[str, FeedLink] = {}


class Sessions:
    """All sessions, by peer and by the number in a user id."""

    def __init__(self) -> None:
        self._by_peer: dict[PeerId, Session] = {}
        self._by_number: dict[int, Session] = {}
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        return len(self._by_peer)

    def begin(self, peer: PeerId, key: bytes) -> Session:
        """A new session; the peer must have none."""
        assert peer not in self._by_peer
        session = Session(peer, key, next(self._numbers))
        self._by_peer[peer] = session
        self._by_number[session.number] = session
        return session

    def of_peer(self, peer: PeerId) -> Session | None:
        """The peer's session."""
        return self._by_peer.get(peer)

    def of_user(self, user: str) -> Session | None:
        """The session whose number is in this user id; None where it has ended, or for no user id of ours."""
        try:
            return self._by_number.get(int(user.partition(".")[0], 16))
        except ValueError:
            return None

    def end(self, peer: PeerId) -> Session | None:
        """Forget the peer's session and return it."""
        session = self._by_peer.pop(peer, None)
        if session is not None:
            del self._by_number[session.number]
        return session
