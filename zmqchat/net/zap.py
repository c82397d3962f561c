"""ZAP (ZeroMQ RFC 27): who may finish a handshake. A table look-up on a thread of its own.

The door's domain admits any CURVE key, the link domain only keys of admitted peers. The user id that
libzmq stamps on every frame of the connection is the key in hexadecimal. ZAP acts at the handshake
only; sessions are checked per frame besides.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import zmq

from zmqchat.net.options import DOOR_DOMAIN, LINK_DOMAIN

ENDPOINT = "inproc://zeromq.zap.01"
_REQUEST_FRAMES = 7


class Zap:
    """The authenticator of one context; must run before the first bind."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], died: Callable[[BaseException], None]) -> None:
        self._context = context
        self._died = died
        self._allowed: set[bytes] = set()
        self._socket = context.socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(ENDPOINT)
        self._stopper_name = f"inproc://zap-stop-{id(self)}"
        self._stopper = context.socket(zmq.PAIR)
        self._stopper.setsockopt(zmq.LINGER, 0)
        self._stopper.bind(self._stopper_name)
        self._thread = threading.Thread(target=self._run, name="zmqchat-zap", daemon=True)
        self.denied = 0

    def start(self) -> None:
        """Start answering."""
        self._thread.start()

    def allow(self, curve_key: bytes) -> None:
        """Let this key connect to direct and feed."""
        self._allowed.add(curve_key)

    def forbid(self, curve_key: bytes) -> None:
        """Let it connect no more; a live connection stays and must be cut."""
        self._allowed.discard(curve_key)

    def stop(self) -> None:
        """End the thread; from then on nobody gets in."""
        if self._thread.is_alive():
            self._stopper.send(b"")
            self._thread.join(2)
        self._stopper.close(0)

    def _run(self) -> None:
        stop = self._context.socket(zmq.PAIR)
        try:
            stop.connect(self._stopper_name)
            poller = zmq.Poller()
            poller.register(self._socket, zmq.POLLIN)
            poller.register(stop, zmq.POLLIN)
            while True:
                ready = dict(poller.poll())
                if stop in ready:
                    return
                self._socket.send_multipart(self._answer(self._socket.recv_multipart()))
        except BaseException as error:
            self._died(error)
        finally:
            stop.close(0)
            self._socket.close(0)

    def _answer(self, request: list[bytes]) -> list[bytes]:
        version = request[0] if request else b"1.0"
        number = request[1] if len(request) > 1 else b""
        if version != b"1.0" or len(request) < _REQUEST_FRAMES:
            return [b"1.0", number, b"500", b"unknown request", b"", b""]
        domain, mechanism, key = request[2], request[5], request[6]
        if mechanism == b"CURVE" and len(key) == 32:
            if domain == DOOR_DOMAIN or (domain == LINK_DOMAIN and key in self._allowed):
                return [b"1.0", number, b"200", b"OK", key.hex().encode(), b""]
        self.denied += 1
        return [b"1.0", number, b"400", b"denied", b"", b""]
