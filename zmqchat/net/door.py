"""The door: where strangers knock, and our own knocking at others' doors.

Frames are read at DOOR_FRAMES_PER_S_MAX; the rest waits in libzmq, a few a connection, and then in the
senders' kernels. A dial sends its first frame when the handshake is done.
"""

from __future__ import annotations

from collections.abc import Callable

import zmq

from zmqchat.model.limits import DOOR_FRAME_BYTES_MAX, DOOR_FRAMES_PER_S_MAX
from zmqchat.net.connections import Connection, cut
from zmqchat.net.dial import Dial
from zmqchat.net.engine import Engine
from zmqchat.net.inbound import RouterReading
from zmqchat.net.listener import Listener, user_id
from zmqchat.net.options import CurvePair, Role
from zmqchat.net.rates import TokenBucket
from zmqchat.net.watch import Watch
from zmqchat.protocol.effects import AnswerDoor, CloseDoor, DialDoor, SendDoor
from zmqchat.protocol.facts import DialFailed, DoorAnswered, DoorCaller, DoorKnocked


class Door:
    """Both sides of the door."""

    def __init__(self, engine: Engine, watch: Watch, pair: CurvePair, changed: Callable[[], None]) -> None:
        self._engine = engine
        self._watch = watch
        self._pair = pair
        self._rate = TokenBucket(DOOR_FRAMES_PER_S_MAX, 2 * DOOR_FRAMES_PER_S_MAX)
        self._reading = RouterReading(self._knocked, self._bad)
        self._dials: dict[int, Dial] = {}
        self.listener = Listener(
            engine,
            watch,
            Role.DOOR,
            pair.secret,
            read=self._read,
            gone=lambda _connection: None,
            abused=self._endless,
            changed=changed,
        )

    @property
    def dials(self) -> int:
        """How many of our own dials are under way or open."""
        return len(self._dials)

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
        number = effect.dial
        dial = Dial(
            self._engine,
            self._watch,
            Role.DOOR,
            self._pair.public,
            opened=lambda: self._opened(dial, effect.payload),
            closed=lambda reason: self._closed(number, dial, reason),
            received=lambda payload: self._engine.tell(DoorAnswered(dial=number, payload=payload)),
        )
        self._dials[number] = dial
        dial.connect(effect.endpoint.host, effect.endpoint.door)

    def send(self, effect: SendDoor) -> None:
        """A further frame over an open dial."""
        dial = self._dials.get(effect.dial)
        if dial is not None and not self._too_large(effect.payload) and not dial.send(effect.payload):
            self._engine.counters["door_frames_dropped"] += 1

    def close_dial(self, effect: CloseDoor) -> None:
        """End a dial without a fact."""
        dial = self._dials.pop(effect.dial, None)
        if dial is not None:
            dial.close()

    def close(self, linger_ms: int) -> None:
        """Close all sockets."""
        for dial in self._dials.values():
            dial.close()
        self._dials.clear()
        self.listener.close(linger_ms)

    def _opened(self, dial: Dial, payload: bytes) -> None:
        if not dial.send(payload):
            self._engine.counters["door_frames_dropped"] += 1

    def _closed(self, number: int, dial: Dial, reason: str) -> None:
        if self._dials.get(number) is dial:
            del self._dials[number]
            # A door admits every key, up to its rate: who is denied came at a busy moment.
            self._engine.tell(DialFailed(dial=number, reason="busy" if reason == "denied" else reason))

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

    def _endless(self, connection: Connection) -> None:
        self.listener.connections.slow_down(connection, self._engine.loop.time())

    def _too_large(self, payload: bytes) -> bool:
        if len(payload) <= DOOR_FRAME_BYTES_MAX:
            return False
        self._engine.counters["oversize_not_sent"] += 1
        return True
