"""The door: where strangers knock, and our own knocking at others' doors.

Frames are read at DOOR_FRAMES_PER_S_MAX; the rest waits in libzmq, a few a connection, and then in the
senders' kernels. A dial sends its first frame when the handshake is done, and knows names: their
addresses are tried one after the other.
"""

from __future__ import annotations

from collections.abc import Callable

import zmq

from zmqchat.model.addresses import Endpoint
from zmqchat.model.limits import DOOR_FRAME_BYTES_MAX, DOOR_FRAMES_PER_S_MAX
from zmqchat.net.connections import Connection, cut
from zmqchat.net.dial import Dial
from zmqchat.net.engine import Engine
from zmqchat.net.inbound import RouterReading
from zmqchat.net.listener import Listener, user_id
from zmqchat.net.options import CurvePair, Role
from zmqchat.net.rates import TokenBucket
from zmqchat.net.resolve import Resolver
from zmqchat.net.watch import Watch
from zmqchat.protocol.effects import AnswerDoor, CloseDoor, DialDoor, SendDoor
from zmqchat.protocol.facts import DialFailed, DoorAnswered, DoorCaller, DoorKnocked


class _Knock:
    """A dial in progress: the addresses still to try, and the socket of the current one."""

    __slots__ = ("addresses", "answered", "dial", "effect", "reason")

    def __init__(self, effect: DialDoor) -> None:
        self.effect = effect
        self.addresses: list[str] = []
        self.dial: Dial | None = None
        self.answered = False
        self.reason = "no such name"


class Door:
    """Both sides of the door."""

    def __init__(self, engine: Engine, watch: Watch, pair: CurvePair, changed: Callable[[], None]) -> None:
        self._engine = engine
        self._watch = watch
        self._pair = pair
        self._rate = TokenBucket(DOOR_FRAMES_PER_S_MAX, 2 * DOOR_FRAMES_PER_S_MAX)
        self._reading = RouterReading(self._knocked, self._bad)
        self._resolver = Resolver(engine.loop)
        self._knocks: dict[int, _Knock] = {}
        self.listener = Listener(
            engine,
            watch,
            Role.DOOR,
            pair.secret,
            read=self._read,
            gone=lambda _connection: None,
            abused=lambda _connection: None,
            changed=changed,
        )

    @property
    def dials(self) -> int:
        """How many of our own dials are under way or open."""
        return len(self._knocks)

    def answer(self, effect: AnswerDoor) -> None:
        """Send to whoever knocked, if still there."""
        if self._too_large(effect.payload):
            return
        socket = self.listener.socket
        try:
            socket.send(effect.caller.routing, zmq.NOBLOCK | zmq.SNDMORE)
            socket.send(effect.payload, zmq.NOBLOCK)
        except zmq.ZMQError:
            self._engine.counters["door_answers_dropped"] += 1
        self.listener.reader.after_send()

    def dial(self, effect: DialDoor) -> None:
        """Begin a dial; a number in use is replaced."""
        self.close_dial(CloseDoor(dial=effect.dial))
        if self._too_large(effect.payload):
            return
        knock = _Knock(effect)
        self._knocks[effect.dial] = knock
        self._resolver.resolve(effect.endpoint.host, lambda addresses: self._resolved(knock, addresses))

    def send(self, effect: SendDoor) -> None:
        """A further frame over an open dial."""
        knock = self._knocks.get(effect.dial)
        if knock is None or knock.dial is None or self._too_large(effect.payload):
            return
        if not knock.dial.send(effect.payload):
            self._engine.counters["door_frames_dropped"] += 1

    def close_dial(self, effect: CloseDoor) -> None:
        """End a dial without a fact."""
        knock = self._knocks.pop(effect.dial, None)
        if knock is not None and knock.dial is not None:
            knock.dial.close()

    def close(self, linger_ms: int) -> None:
        """Close all sockets."""
        self._resolver.close()
        for knock in list(self._knocks.values()):
            self.close_dial(CloseDoor(dial=knock.effect.dial))
        self.listener.close(linger_ms)

    def _resolved(self, knock: _Knock, addresses: tuple[str, ...]) -> None:
        if self._knocks.get(knock.effect.dial) is not knock:
            return
        knock.addresses = list(addresses)
        self._next(knock)

    def _next(self, knock: _Knock) -> None:
        if not knock.addresses:
            del self._knocks[knock.effect.dial]
            self._engine.tell(DialFailed(dial=knock.effect.dial, reason=knock.reason))
            return
        endpoint: Endpoint = knock.effect.endpoint
        knock.dial = Dial(
            self._engine,
            self._watch,
            Role.DOOR,
            self._pair.public,
            opened=lambda: self._opened(knock),
            closed=lambda reason: self._closed(knock, reason),
            received=lambda payload: self._answered(knock, payload),
        )
        knock.dial.connect(knock.addresses.pop(0), endpoint.door)

    def _opened(self, knock: _Knock) -> None:
        if knock.dial is not None and not knock.dial.send(knock.effect.payload):
            self._engine.counters["door_frames_dropped"] += 1

    def _closed(self, knock: _Knock, reason: str) -> None:
        if self._knocks.get(knock.effect.dial) is not knock:
            return
        knock.reason = reason
        if knock.answered or reason == "lost":
            knock.addresses = []
        self._next(knock)

    def _answered(self, knock: _Knock, payload: bytes) -> None:
        if self._knocks.get(knock.effect.dial) is knock:
            knock.answered = True
            self._engine.tell(DoorAnswered(dial=knock.effect.dial, payload=payload))

    def _read(self) -> None:
        now_s = self._engine.loop.time()
        wait_s = self._rate.wait_s(now_s)
        if wait_s > 0:
            self._engine.counters["door_waits"] += 1
            self.listener.reader.pause(wait_s)
            return
        self._reading.read(self.listener.socket)

    def _knocked(self, routing: bytes, frame: zmq.Frame) -> None:
        self._rate.take(self._engine.loop.time())
        user = user_id(frame)
        try:
            key = bytes.fromhex(user)
        except ValueError:
            key = b""
        if len(key) != 32:
            self._bad(frame, "user")
            return
        connection: Connection = self.listener.delivered(frame, user)
        caller = DoorCaller(routing=routing, curve_key=key, address=connection.host)
        self._engine.tell(DoorKnocked(caller=caller, payload=frame.bytes))

    def _bad(self, frame: zmq.Frame, what: str) -> None:
        self._engine.counters[f"door_bad_{what}"] += 1
        cut(self.listener.connection_of(frame))

    def _too_large(self, payload: bytes) -> bool:
        if len(payload) <= DOOR_FRAME_BYTES_MAX:
            return False
        self._engine.counters["oversize_not_sent"] += 1
        return True
