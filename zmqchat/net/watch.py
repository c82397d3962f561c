"""Endless messages: bytes received on a connection against frames delivered from it (Linux).

libzmq bounds one frame and the number of whole messages, so a client that only ever sends MORE frames
fills the memory with nothing for the application to read. The kernel counts the bytes of each
connection (TCP_INFO); what it received, less what still waits in the kernel, less what it had received
when a frame was last delivered, is what libzmq holds of unfinished messages once the socket is drained.

Nothing is polled: an epoll descriptor of our own tells, edge-triggered, that bytes came. A door
connection is looked at each time; the others rest between looks, briefly where bytes came without a
frame, so that a busy link costs ten looks a second and an idle one none. Rejected: a timer, as a
loopback client sends 300 MB a second.
"""

from __future__ import annotations

import array
import asyncio
import ctypes
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
from zmqchat.net.loops import readers_of
from zmqchat.net.options import Role
from zmqchat.net.reader import Reader

REST_S: Final = 0.1
SUSPECT_REST_S: Final = 0.01
TRIM_S: Final = 2.0
"""After a cut libzmq frees what it held, but glibc would keep it: it is told to give it back."""

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
        self._resting: dict[float, list[_Watched]] = {}
        self._timers: dict[float, asyncio.TimerHandle] = {}
        if sys.platform == "linux":
            self._epoll = select.epoll()
            readers_of(loop).add_reader(self._epoll.fileno(), self._woken)

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
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._by_file.clear()
        if sys.platform == "linux" and not self._epoll.closed:
            readers_of(self._loop).remove_reader(self._epoll.fileno())
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
                found_frames = self._look(watched)
                if watched.role is not Role.DOOR:
                    self._rest(watched, REST_S if found_frames else SUSPECT_REST_S)

        def _rest(self, watched: _Watched, seconds: float) -> None:
            self._resting.setdefault(seconds, []).append(watched)
            if seconds not in self._timers:
                self._timers[seconds] = self._loop.call_later(seconds, self._rested, seconds)

        def _rested(self, seconds: float) -> None:
            del self._timers[seconds]
            for watched in self._resting.pop(seconds):
                if self._by_file.get(watched.connection.file) is watched:
                    self._arm(watched, new=False)

        def _look(self, watched: _Watched) -> bool:
            """Whether a frame was delivered since the last look; cuts where too much came without one."""
            connection = watched.connection
            held = _held_bytes(connection)
            now_s = self._loop.time()
            if held is None or connection.cut:
                return True
            if self._mark(watched, held, now_s):
                return True
            allowed = UNREAD_DOOR_BYTES_MAX if watched.role is Role.DOOR else UNREAD_LINK_BYTES_MAX
            excess = held - watched.marked_bytes - QUIET_BYTES_PER_S * (now_s - watched.marked_s)
            if excess <= allowed:
                return False
            watched.reader.drain()
            if self._mark(watched, held, now_s) or connection.cut:
                return True
            if watched.reader.behind and excess <= allowed + _queue_bytes(watched.role):
                return False  # whole messages may still wait in the socket's queue
            self._counters["endless_cut"] += 1
            cut(connection)
            watched.abused(connection)
            if TRIM_S not in self._timers and not self._epoll.closed:
                self._timers[TRIM_S] = self._loop.call_later(TRIM_S, self._trim)
            return True

        def _trim(self) -> None:
            del self._timers[TRIM_S]
            give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)
            if give_back is not None:
                give_back(0)

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
        try:
            handle = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=connection.file)
        except OSError:
            return None
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
