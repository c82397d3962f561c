"""The yardstick of the bench: plain pyzmq, DEALER to ROUTER, a frame a message, no security, no disk."""

from __future__ import annotations

import time

import zmq
import zmq.asyncio

LAST = b"last"
LOOPBACK = "tcp://127.0.0.1"
_CHECK_EVERY = 1_000


class PlainReceiver:
    """A bound ROUTER that counts messages."""

    def __init__(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self.port = self._socket.bind_to_random_port(LOOPBACK)

    def receive(self) -> tuple[int, float]:
        """Receive until the last message; how many came, and the monotonic second of the end."""
        receive = self._socket.recv_multipart
        count = 0
        while receive()[1] != LAST:
            count += 1
        return count, time.monotonic()

    def close(self) -> None:
        """Let go of the socket."""
        self._context.destroy(linger=0)


def send_plain(port: int, payload_bytes: int, duration_s: float) -> tuple[int, float]:
    """Send for so long; how many went, and the monotonic second of the start."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.connect(f"{LOOPBACK}:{port}")
    payload = bytes(payload_bytes)
    send = socket.send
    started_s = time.monotonic()
    count = 0
    while time.monotonic() - started_s < duration_s:
        for _ in range(_CHECK_EVERY):
            send(payload)
        count += _CHECK_EVERY
    send(LAST)
    socket.close(linger=10_000)
    context.term()
    return count, started_s


class PlainHop:
    """One side of an asyncio conversation, for the floor of latency: the ROUTER without a port, the DEALER with one."""

    def __init__(self, port: int | None) -> None:
        self._context: zmq.asyncio.Context = zmq.asyncio.Context()
        self._socket = self._context.socket(zmq.ROUTER if port is None else zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 1_000)
        self._to: list[bytes] = []
        if port is None:
            self.port = self._socket.bind_to_random_port(LOOPBACK)
        else:
            self.port = port
            self._socket.connect(f"{LOOPBACK}:{port}")

    async def send(self, payload: bytes) -> None:
        """Send one frame to the other side."""
        await self._socket.send_multipart([*self._to, payload])

    async def receive(self) -> bytes:
        """The next frame of the other side."""
        *self._to, payload = await self._socket.recv_multipart()
        return payload

    def close(self) -> None:
        """Let what was sent leave, then let go of the socket."""
        self._socket.close()
        self._context.term()
