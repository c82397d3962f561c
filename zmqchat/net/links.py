"""Direct links: our ROUTER for those who dial us, one DEALER for each peer that we dial.

Routing ids are libzmq's own; one that a client chose is refused. A frame belongs to the session whose
number is in its user id, never to whom it says. Where a peer holds several connections to us, frames
go out by the newest.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

import zmq

from zmqchat.model.ids import PeerId
from zmqchat.model.limits import FRAME_BYTES_MAX, LINKS_PER_SESSION_MAX
from zmqchat.net.connections import Connection, cut
from zmqchat.net.dial import Dial
from zmqchat.net.engine import Engine
from zmqchat.net.inbound import RouterReading
from zmqchat.net.listener import Listener, user_id
from zmqchat.net.options import Role
from zmqchat.net.sessions import Session, Sessions
from zmqchat.net.watch import Watch
from zmqchat.protocol.effects import OpenDirect, Send
from zmqchat.protocol.facts import DirectClosed, DirectOpened, FrameReceived, InboundClosed, LinkBlocked

CurveKeyOf = Callable[[PeerId], bytes | None]
Abused = Callable[[Session, str], None]


class Links:
    """Both sides of the direct socket."""

    def __init__(
        self,
        engine: Engine,
        watch: Watch,
        sessions: Sessions,
        curve_key: CurveKeyOf,
        abused: Abused,
        changed: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._watch = watch
        self._sessions = sessions
        self._curve_key = curve_key
        self._abused = abused
        self._reading = RouterReading(self._message, self._bad)
        self._dials: dict[PeerId, Dial] = {}
        self.listener = Listener(
            engine,
            watch,
            Role.DIRECT,
            engine.own.secret,
            read=self._read,
            gone=self._gone,
            abused=self._endless,
            changed=changed,
        )

    @property
    def dials(self) -> int:
        """How many DEALERs there are."""
        return len(self._dials)

    def open(self, effect: OpenDirect) -> None:
        """Dial the peer's direct socket, in place of an older dial."""
        peer = effect.peer
        self.close_dial(peer)
        key = self._curve_key(peer)
        if key is None:
            self._engine.tell(DirectClosed(peer=peer, reason="denied"))
            return
        dial = Dial(
            self._engine,
            self._watch,
            Role.DIRECT,
            key,
            opened=lambda: self._engine.tell(DirectOpened(peer=peer)),
            closed=lambda reason: self._closed(peer, dial, reason),
            received=lambda payload: self._engine.tell(FrameReceived(peer=peer, payload=payload, inbound=False)),
        )
        self._dials[peer] = dial
        dial.connect(effect.endpoint.host, effect.endpoint.direct)

    def close_dial(self, peer: PeerId, linger_ms: int = 0) -> None:
        """Close our DEALER to the peer without a fact."""
        dial = self._dials.pop(peer, None)
        if dial is not None:
            dial.close(linger_ms)

    def send(self, effect: Send) -> None:
        """Send over one of the two ways; LinkBlocked where libzmq's queue is full."""
        if len(effect.payload) > FRAME_BYTES_MAX:
            self._engine.counters["oversize_not_sent"] += 1
        elif effect.outbound:
            dial = self._dials.get(effect.peer)
            if dial is not None and dial.open and not dial.send(effect.payload):
                self._blocked(effect.peer)
        else:
            session = self._sessions.of_peer(effect.peer)
            if session is not None and session.routing is not None:
                self._send_inbound(session, session.routing, effect.payload)

    def end(self, session: Session, linger_ms: int) -> None:
        """Cut all connections of a session that has ended."""
        self.close_dial(session.peer, linger_ms)
        for user in session.direct:
            for connection in self.listener.connections.owned_by(user):
                cut(connection)

    def close(self, linger_ms: int) -> None:
        """Close all sockets; what was sent has so long to leave."""
        for peer in list(self._dials):
            self.close_dial(peer, linger_ms)
        self.listener.close(linger_ms)

    def _send_inbound(self, session: Session, routing: bytes, payload: bytes) -> None:
        socket = self.listener.socket
        try:
            socket.send(routing, zmq.NOBLOCK | zmq.SNDMORE)
            socket.send(payload, zmq.NOBLOCK)
        except zmq.Again:
            self._blocked(session.peer)
        except zmq.ZMQError as error:
            if error.errno != errno.EHOSTUNREACH:
                raise
            self._lost(session, routing)
        self.listener.reader.after_send()

    def _blocked(self, peer: PeerId) -> None:
        self._engine.counters["links_blocked"] += 1
        self._engine.tell(LinkBlocked(peer=peer))

    def _closed(self, peer: PeerId, dial: Dial, reason: str) -> None:
        if self._dials.get(peer) is dial:
            del self._dials[peer]
            self._engine.tell(DirectClosed(peer=peer, reason=reason))

    def _read(self) -> None:
        self._reading.read(self.listener.socket)

    def _message(self, routing: bytes, frame: zmq.Frame) -> None:
        user = user_id(frame)
        session = self._sessions.of_user(user)
        if session is None:
            self._engine.counters["frames_without_session"] += 1
            cut(self.listener.connection_of(frame))
            return
        connection = self.listener.delivered(frame, user)
        if user not in session.direct and connection.inode != 0:
            session.direct[user] = routing
            session.routing = routing
            if len(session.direct) > LINKS_PER_SESSION_MAX:
                self._drop_oldest(session)
        self._engine.tell(FrameReceived(peer=session.peer, payload=frame.bytes, inbound=True))

    def _drop_oldest(self, session: Session) -> None:
        user = next(iter(session.direct))
        del session.direct[user]
        self._engine.counters["extra_links_cut"] += 1
        for connection in self.listener.connections.owned_by(user):
            cut(connection)

    def _gone(self, connection: Connection) -> None:
        session = self._sessions.of_user(connection.owner)
        if session is not None and connection.owner in session.direct:
            self._lost(session, session.direct[connection.owner])

    def _lost(self, session: Session, routing: bytes) -> None:
        session.direct = {user: other for user, other in session.direct.items() if other != routing}
        if session.routing == routing:
            session.routing = None
            self._engine.tell(InboundClosed(peer=session.peer))

    def _bad(self, frame: zmq.Frame, what: str) -> None:
        self._engine.counters[f"direct_bad_{what}"] += 1
        session = self._sessions.of_user(user_id(frame))
        cut(self.listener.connection_of(frame))
        if session is not None:
            self._abused(session, what)

    def _endless(self, connection: Connection) -> None:
        session = self._sessions.of_user(connection.owner)
        if session is not None:
            self._abused(session, "endless")
