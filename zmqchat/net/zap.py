"""Who may connect: the ZAP handler, a table look-up on a thread of its own.

libzmq's I/O threads ask it once for each handshake. It answers from the allow-list, which the loop's
thread writes and this one reads: each access is one operation on a dict, and there is no lock. A
handler that dies admits nobody, as all sockets enforce their domain; the node is told and stops.

The user id in the answer comes with every frame of the connection. At the door it is the caller's key
in hex; on direct and feed it is "session.serial", so that a connection of a session that ended, or of
one that ended and began again, is told from a live one.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

import zmq

from zmqchat.model.limits import DOOR_FRAMES_PER_S_MAX
from zmqchat.net.options import Role
from zmqchat.net.rates import TokenBucket

ZAP_ENDPOINT: Final = "inproc://zeromq.zap.01"
_REQUEST_FRAMES: Final = 7
_VERSION: Final = b"1.0"
_JOIN_S: Final = 2.0


class AllowList:
    """Which CURVE keys may connect to direct and feed, and how fast anyone may to the door."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.addresses: deque[str] = deque(maxlen=32)
        self._sessions: dict[bytes, int] = {}
        self._serials = itertools.count(1)
        self._door = TokenBucket(DOOR_FRAMES_PER_S_MAX, 2 * DOOR_FRAMES_PER_S_MAX)

    def allow(self, key: bytes, session: int) -> None:
        """From now on connections with this key belong to this session."""
        self._sessions[key] = session

    def deny(self, key: bytes) -> None:
        """From now on this key gets in no more; connections that it has are cut elsewhere."""
        self._sessions.pop(key, None)

    def answer(self, request: list[bytes], now_s: float) -> list[bytes]:
        """The reply to a ZAP request, whatever it holds."""
        if len(request) < 2:
            return [_VERSION, b"", b"500", b"malformed", b"", b""]
        version, request_id = request[0], request[1]
        if version != _VERSION or len(request) != _REQUEST_FRAMES or request[5] != b"CURVE":
            self.counters["zap_malformed"] += 1
            return [_VERSION, request_id, b"500" if version != _VERSION else b"400", b"unsupported", b"", b""]
        domain, address, key = request[2], request[3], request[6]
        user = self._user(domain, key, now_s)
        if user is None:
            self.counters[f"{domain.decode('ascii', 'replace')[:8]}_denied"] += 1
            return [_VERSION, request_id, b"400", b"denied", b"", b""]
        self.addresses.append(address.decode("ascii", "replace").removeprefix("::ffff:"))
        return [_VERSION, request_id, b"200", b"OK", user.encode(), b""]

    def _user(self, domain: bytes, key: bytes, now_s: float) -> str | None:
        if domain == Role.DOOR.value.encode():
            return key.hex() if self._door.take(now_s) else None
        session = self._sessions.get(key)
        return None if session is None else f"{session:x}.{next(self._serials):x}"


class ZapHandler:
    """The thread that answers; started before the first bind, stopped after the last close."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], allow_list: AllowList, failed: Callable[[str], None]
    ) -> None:
        self._context = context
        self._allow_list = allow_list
        self._failed = failed
        self._ready = threading.Event()
        self._bound = False
        self._stop_endpoint = f"inproc://zmqchat-zap-stop-{id(self):x}"
        self._stop = context.socket(zmq.PAIR)
        self._stop.set(zmq.LINGER, 0)
        self._thread = threading.Thread(target=self._run, name="zmqchat-zap", daemon=True)

    def start(self) -> bool:
        """Whether the handler is up; the caller must not bind otherwise."""
        self._stop.bind(self._stop_endpoint)
        self._thread.start()
        self._ready.wait(_JOIN_S)
        return self._bound

    def stop(self) -> None:
        """End the thread; waits for it at most 2 s."""
        if self._stop.closed:
            return
        with contextlib.suppress(zmq.ZMQError):  # it may have ended by itself
            self._stop.send(b"", zmq.NOBLOCK)
        if self._thread.ident is not None:
            self._thread.join(_JOIN_S)
        self._stop.close(0)

    def _run(self) -> None:
        try:
            with self._context.socket(zmq.REP) as replies, self._context.socket(zmq.PAIR) as stop:
                replies.set(zmq.LINGER, 0)
                replies.bind(ZAP_ENDPOINT)
                stop.connect(self._stop_endpoint)
                self._bound = True
                self._ready.set()
                self._serve(replies, stop)
        except zmq.ContextTerminated:
            pass
        except Exception as error:  # noqa: BLE001  # whatever it was, the node must hear that nobody gets in
            self._failed(f"the handler of new connections failed ({error!r}): start the node again")
        finally:
            self._ready.set()

    def _serve(self, replies: zmq.Socket[bytes], stop: zmq.Socket[bytes]) -> None:
        poller = zmq.Poller()
        poller.register(replies, zmq.POLLIN)
        poller.register(stop, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if stop in ready:
                return
            replies.send_multipart(self._allow_list.answer(replies.recv_multipart(), time.monotonic()))
