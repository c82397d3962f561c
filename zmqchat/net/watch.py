"""Endless messages: bytes received on a connection against frames delivered from it (Linux).

libzmq bounds one frame and the number of whole messages, so a client that only ever sends MORE frames
fills the memory with nothing for the application to read. The kernel counts the bytes of each
connection (TCP_INFO); what it received, less what still waits in the kernel, less what it had received
when a frame was last delivered, is what libzmq holds of unfinished messages once the socket is drained.

Nothing is polled: an epoll descriptor of our own tells, edge-triggered, that bytes came. A door
connection is looked at each time; the others at most every REST_S, so that a busy link costs ten looks
a second and an idle one none. Rejected: a timer, as a loopback client sends 300 MB a second.
"""

from __future__ import annotations

import array
import asyncio
import select
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from zmqchat.model.limits import UNREAD_DOOR_BYTES_MAX, UNREAD_LINK_BYTES_MAX
from zmqchat.net.connections import Connection, cut
from zmqchat.net.options import Role
from zmqchat.net.reader import Reader

REST_S: Final = 0.1
QUIET_BYTES_PER_S: Final = 64
"""Heartbeats and the like, which are received and never delivered."""

HANDSHAKE_BYTES: Final = 2_048
_TCP_INFO_BYTES: Final = 136
_BYTES_RECEIVED = struct.Struct("=Q")
_BYTES_RECEIVED_AT: Final = 128

if sys.platform == "linux":
    import fcntl
    import termios


@dataclass(slots=True)
class _Watched:
    connection: Connection
    role: Role
    reader: Reader
    abused: Callable[[Connection], None]
    marked_bytes: float
    marked_frames: int
    marked_s: float


class Watch:
    """Cuts connections that hold more unfinished bytes than their role allows."""

    available: Final = sys.platform == "linux"

    def __init__(self, loop: asyncio.AbstractEventLoop, counters: Counter[str]) -> None:
        self._loop = loop
        self._counters = counters
        self._by_file: dict[int, _Watched] = {}
        self._resting: list[_Watched] = []
        self._rest: asyncio.TimerHandle | None = None
        if sys.platform == "linux":
            self._epoll = select.epoll()
            loop.add_reader(self._epoll.fileno(), self._woken)

    def add(self, connection: Connection, role: Role, reader: Reader, abused: Callable[[Connection], None]) -> None:
        """Watch the connection until it is removed; `abused` is called after a cut."""
        if not self.available or connection.inode == 0:
            return
        watched = _Watched(connection, role, reader, abused, HANDSHAKE_BYTES, 0, self._loop.time())
        self._by_file[connection.file] = watched
        if sys.platform == "linux":
            self._arm(watched, new=True)

    def remove(self, connection: Connection) -> None:
        """The connection is gone."""
        watched = self._by_file.get(connection.file)
        if watched is not None and watched.connection is connection:
            del self._by_file[connection.file]

    def close(self) -> None:
        """Watch nothing any more."""
        if self._rest is not None:
            self._rest.cancel()
        self._by_file.clear()
        if sys.platform == "linux" and not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    if sys.platform == "linux":

        def _arm(self, watched: _Watched, *, new: bool) -> None:
            events = select.EPOLLIN | select.EPOLLET
            if watched.role is not Role.DOOR:
                events |= select.EPOLLONESHOT
            file = watched.connection.file
            try:
                if new:
                    self._epoll.register(file, events)
                else:
                    self._epoll.modify(file, events)
            except FileExistsError:
                self._epoll.modify(file, events)
            except OSError:
                return  # closed meanwhile: its event is on the way

        def _woken(self) -> None:
            for file, _events in self._epoll.poll(0):
                watched = self._by_file.get(file)
                if watched is None:
                    continue
                self._look(watched)
                if watched.role is not Role.DOOR:
                    self._resting.append(watched)
                    if self._rest is None:
                        self._rest = self._loop.call_later(REST_S, self._rested)

        def _rested(self) -> None:
            self._rest = None
            resting, self._resting = self._resting, []
            for watched in resting:
                if self._by_file.get(watched.connection.file) is watched:
                    self._arm(watched, new=False)

        def _look(self, watched: _Watched) -> None:
            connection = watched.connection
            held = _held_bytes(connection)
            now_s = self._loop.time()
            if held is None or connection.cut:
                return
            if self._mark(watched, held, now_s):
                return
            allowed = UNREAD_DOOR_BYTES_MAX if watched.role is Role.DOOR else UNREAD_LINK_BYTES_MAX
            excess = held - watched.marked_bytes - QUIET_BYTES_PER_S * (now_s - watched.marked_s)
            if excess <= allowed:
                return
            watched.reader.drain()
            if self._mark(watched, held, now_s) or connection.cut:
                return
            if watched.reader.behind and excess <= allowed + _queue_bytes(watched.role):
                return  # whole messages may still wait in the socket's queue
            self._counters["endless_cut"] += 1
            cut(connection)
            watched.abused(connection)

    def _mark(self, watched: _Watched, held: float, now_s: float) -> bool:
        if watched.connection.frames == watched.marked_frames:
            return False
        watched.marked_frames = watched.connection.frames
        watched.marked_bytes = held
        watched.marked_s = now_s
        return True


def _queue_bytes(role: Role) -> int:
    return role.options.receive_frames_max * role.options.received_bytes_max


if sys.platform == "linux":

    def _held_bytes(connection: Connection) -> int | None:
        """Bytes that libzmq has read from the connection, None where it is gone."""
        if not connection.alive():
            return None
        handle = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=connection.file)
        try:
            info = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
            waiting = array.array("i", [0])
            fcntl.ioctl(connection.file, termios.FIONREAD, waiting, True)
        except OSError:
            return None
        finally:
            handle.detach()  # the descriptor is libzmq's
        if len(info) < _TCP_INFO_BYTES:
            return None
        received: int = _BYTES_RECEIVED.unpack_from(info, _BYTES_RECEIVED_AT)[0]
        return received - waiting[0]
