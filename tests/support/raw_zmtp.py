"""A ZMTP client by hand, for what libzmq's own sockets would never send. Blocking: run it in a thread."""

from __future__ import annotations

import os
import socket
import struct

from nacl.bindings import crypto_box_afternm, crypto_box_beforenm, crypto_box_keypair, crypto_box_open_afternm

SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
MORE = 1
TIMEOUT_S = 10.0


class RawClient:
    """A TCP connection that speaks ZMTP 3 as far as it is told to."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection((host, port), TIMEOUT_S)
        self._key = b""
        self._nonce = 0

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def greet(self, mechanism: bytes, *, server: bool = False) -> None:
        """Exchange greetings for this mechanism."""
        self.socket.sendall(SIGNATURE + b"\x03\x01" + mechanism.ljust(20, b"\0") + bytes([server]) + bytes(31))
        self._take(64)

    def command(self, body: bytes) -> None:
        """Send a ZMTP command frame."""
        self.socket.sendall(_frame(0x04, body))

    def curve(self, server_key: bytes, pair: tuple[bytes, bytes], kind: bytes, identity: bytes = b"") -> bool:
        """Shake hands as a client of this socket type; whether the server said READY."""
        self.greet(b"CURVE")
        public, secret = pair
        short_public, short_secret = crypto_box_keypair()
        hello = crypto_box_afternm(bytes(64), _short("HELLO---", 1), crypto_box_beforenm(server_key, short_secret))
        self.command(b"\x05HELLO\x01\x00" + bytes(72) + short_public + _count(1) + hello)
        welcome = self.receive()
        opened = crypto_box_open_afternm(
            welcome[24:], b"WELCOME-" + welcome[8:24], crypto_box_beforenm(server_key, short_secret)
        )
        server_short, cookie = opened[:32], opened[32:]
        vouch_nonce = os.urandom(16)
        vouch = crypto_box_afternm(
            short_public + server_key, b"VOUCH---" + vouch_nonce, crypto_box_beforenm(server_short, secret)
        )
        metadata = _property(b"Socket-Type", kind) + _property(b"Identity", identity)
        self._key = crypto_box_beforenm(server_short, short_secret)
        box = crypto_box_afternm(public + vouch_nonce + vouch + metadata, _short("INITIATE", 2), self._key)
        self.command(b"\x08INITIATE" + cookie + _count(2) + box)
        self._nonce = 2
        try:
            return self.receive()[:6] == b"\x05READY"
        except OSError:
            return False

    def message(self, payload: bytes, flags: int = 0) -> None:
        """Send one encrypted frame; MORE in `flags` announces a further one."""
        self.socket.sendall(self.sealed(payload, flags))

    def sealed(self, payload: bytes, flags: int = 0) -> bytes:
        """The bytes of one encrypted frame."""
        self._nonce += 1
        box = crypto_box_afternm(bytes([flags]) + payload, b"CurveZMQMESSAGEC" + _count(self._nonce), self._key)
        return _frame(0, b"\x07MESSAGE" + _count(self._nonce) + box)

    def receive(self) -> bytes:
        """The body of the next frame; raises OSError where the server closed the connection."""
        flags = self._take(1)[0]
        size = struct.unpack(">Q", self._take(8))[0] if flags & 2 else self._take(1)[0]
        return self._take(size)

    def closed(self) -> bool:
        """Wait until the server closes the connection; False where it does not within TIMEOUT_S."""
        try:
            while self.socket.recv(65_536):
                pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def _take(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise ConnectionError("closed by the server")
            data += more
        return data


def _frame(flags: int, body: bytes) -> bytes:
    if len(body) < 256:
        return bytes([flags, len(body)]) + body
    return bytes([flags | 2]) + struct.pack(">Q", len(body)) + body


def _count(number: int) -> bytes:
    return struct.pack(">Q", number)


def _short(label: str, number: int) -> bytes:
    return b"CurveZMQ" + label.encode() + _count(number)


def _property(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value
