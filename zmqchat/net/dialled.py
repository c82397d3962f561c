"""One connection that we dial: a socket with one peer, its monitor, and how it ended.

A redial is always a fresh socket: a second `connect` to the same endpoint would be a silent no-op, and
libzmq gives up for good on a connection that ZAP denied. The monitor says when the handshake is done and
why a connection ended; it is drained for as long as the socket lives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import zmq
from zmq.utils.monitor import parse_monitor_message

from zmqchat.model.addresses import format_address
from zmqchat.net.reading import Reader

CONNECT_TIMEOUT_MS: Final = 2_000

_REASONS: Final = {
    int(zmq.EVENT_HANDSHAKE_FAILED_AUTH): "denied",
    int(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL): "no zmqchat there",
    int(zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL): "timeout",
    int(zmq.EVENT_DISCONNECTED): "lost",
    int(zmq.EVENT_CLOSED): "refused",
}
_WATCHED: Final = sum(_REASONS) | int(zmq.EVENT_HANDSHAKE_SUCCEEDED)


class Dialled:
    """A dialled connection; `opened` is called at most once, `closed` at most once and only by the other side's doing."""

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        receive: Callable[[zmq.Socket[bytes]], bool],
        opened: Callable[[], None],
        closed: Callable[[str], None],
    ) -> None:
        self.socket = socket
        self.is_open = False
        self._opened = opened
        self._ended = closed
        self._is_closed = False
        socket.setsockopt(zmq.CONNECT_TIMEOUT, CONNECT_TIMEOUT_MS)
        self._monitor: zmq.Socket[bytes] = socket.get_monitor_socket(_WATCHED)
        self._monitor_reader = Reader(self._monitor, self._receive_event)
        self._reader = Reader(socket, receive)

    def connect(self, host: str, port: int) -> None:
        """Begin; whatever comes of it is told by the callbacks."""
        self.socket.connect(f"tcp://{format_address(host, port)}")

    def send(self, payload: bytes) -> bool:
        """Send without blocking; False where the high-water mark is reached or nobody is there."""
        try:
            self.socket.send(payload, zmq.NOBLOCK)
        except zmq.Again:
            return False
        self._reader.recheck()
        return True

    def close(self, linger_ms: int = 0) -> None:
        """Close for good; no callback comes after this."""
        if self._is_closed:
            return
        self._is_closed = True
        self._monitor_reader.close()
        self._reader.close()
        self.socket.disable_monitor()
        self._monitor.close(0)
        self.socket.close(linger_ms)

    def _receive_event(self, monitor: zmq.Socket[bytes]) -> bool:
        try:
            event = parse_monitor_message(monitor.recv_multipart(zmq.NOBLOCK))["event"]
        except zmq.Again:
            return False
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self.is_open = True
            self._opened()
        elif not self._is_closed:
            reason = _REASONS.get(int(event), "lost")
            self.close()
            self._ended(reason)
        return not self._is_closed
