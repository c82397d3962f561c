"""The TCP connections that others opened to one of our sockets.

libzmq offers no call to drop one (libzmq#2319), so each is known by its descriptor, from the monitor
or from the first frame that came over it, and is cut by shutting that descriptor down. A descriptor's
number is reused at once, so the socket's inode is compared first.

A connection is half open until its first valid frame. Half-open ones are bounded in number, in number
an address, and in time; the oldest goes first. On the door all are, for as long as they stay.
"""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Callable
from typing import Final

from zmqchat.model.limits import DOOR_STAY_S_MAX, HALF_OPEN_MAX, HALF_OPEN_PER_ADDRESS_MAX, HALF_OPEN_S_MAX
from zmqchat.net.rates import TokenBucket

SLOWED_S: Final = 60.0
SLOWED_MAX: Final = 256
"""Addresses that are slowed down at a time: the oldest is forgiven first."""

_CAN_CUT: Final = os.name == "posix"


class Connection:
    """One TCP connection.

    file       libzmq's descriptor
    host       the address that it came from, without an IPv4-mapped prefix, link-local IPv6 with %scope
    local      it came from this machine, where many nodes share an address
    owner      the user id that its frames carry, "" before the first
    frames     frames delivered from it so far
    """

    __slots__ = ("cut", "file", "frames", "host", "inode", "local", "opened_s", "owner")

    def __init__(self, file: int, opened_s: float) -> None:
        self.file = file
        self.opened_s = opened_s
        self.owner = ""
        self.frames = 0
        self.cut = False
        self.inode, self.host, self.local = _identify(file)

    def alive(self) -> bool:
        """Whether the descriptor is still this connection's."""
        try:
            return self.inode != 0 and os.fstat(self.file).st_ino == self.inode
        except OSError:
            return False


class Connections:
    """The inbound connections of one socket, with their bounds.

    settles   a connection counts as half open only until its first valid frame (not so at the door)
    added, removed   told of each connection that comes and goes
    """

    def __init__(
        self,
        counters: Counter[str],
        *,
        settles: bool,
        added: Callable[[Connection], None],
        removed: Callable[[Connection], None],
    ) -> None:
        self._counters = counters
        self._settles = settles
        self._stays_s = HALF_OPEN_S_MAX if settles else DOOR_STAY_S_MAX
        self._added = added
        self._removed = removed
        self._by_file: dict[int, Connection] = {}
        self._half_open: dict[Connection, None] = {}
        self._slowed: dict[str, tuple[float, TokenBucket]] = {}

    def __len__(self) -> int:
        return len(self._by_file)

    @property
    def unsettled(self) -> int:
        """How many are half open."""
        return len(self._half_open)

    def accepted(self, file: int, now_s: float) -> Connection:
        """A connection was accepted under this descriptor; cuts the oldest where there are too many."""
        self.closed(file)
        connection = Connection(file, now_s)
        self._by_file[file] = connection
        self._half_open[connection] = None
        self._added(connection)
        if len(self._half_open) > HALF_OPEN_MAX:
            self._counters["half_open_cut"] += 1
            cut(next(iter(self._half_open)))
            del self._half_open[next(iter(self._half_open))]
        elif not connection.local:
            self._bound_address(connection.host)
            self._bound_slowed(connection, now_s)
        return connection

    def slow_down(self, connection: Connection, now_s: float) -> None:
        """Accept at most one connection a second from where this one came, for a while; never from this machine."""
        if not connection.local:
            self._slowed.pop(connection.host, None)
            self._slowed[connection.host] = (now_s + SLOWED_S, TokenBucket(1, 1))
            if len(self._slowed) > SLOWED_MAX:
                del self._slowed[next(iter(self._slowed))]

    def of(self, file: int, now_s: float) -> Connection:
        """The connection with this descriptor, also where the monitor's event was lost."""
        return self._by_file.get(file) or self.accepted(file, now_s)

    def delivered(self, file: int, owner: str, now_s: float) -> Connection:
        """A valid frame came from this user over this descriptor."""
        connection = self.of(file, now_s)
        if connection.owner != owner:
            connection.owner = owner
            if self._settles:
                self._half_open.pop(connection, None)
        connection.frames += 1
        return connection

    def closed(self, file: int) -> None:
        """The connection under this descriptor is gone."""
        connection = self._by_file.pop(file, None)
        if connection is not None:
            self._half_open.pop(connection, None)
            self._removed(connection)

    def owned_by(self, owner: str) -> list[Connection]:
        """The connections whose frames carry this user id."""
        return [connection for connection in self._by_file.values() if connection.owner == owner]

    def sweep(self, now_s: float) -> None:
        """Cut what has been half open for too long; forget what is gone without an event."""
        for connection in [c for c in self._half_open if now_s - c.opened_s > self._stays_s]:
            self._counters["half_open_cut"] += 1
            del self._half_open[connection]
            cut(connection)
        for connection in [c for c in self._by_file.values() if _CAN_CUT and not c.alive()]:
            self.closed(connection.file)

    def _bound_slowed(self, connection: Connection, now_s: float) -> None:
        until_s, rate = self._slowed.get(connection.host, (0.0, None))
        if rate is None or rate.take(now_s):
            return
        if now_s > until_s:
            del self._slowed[connection.host]
        else:
            self._counters["slowed_cut"] += 1
            self._half_open.pop(connection, None)
            cut(connection)

    def _bound_address(self, host: str) -> None:
        same = [connection for connection in self._half_open if connection.host == host]
        for connection in same[:-HALF_OPEN_PER_ADDRESS_MAX]:
            self._counters["half_open_cut"] += 1
            del self._half_open[connection]
            cut(connection)


def cut(connection: Connection) -> bool:
    """Shut the connection's descriptor down, if it is still this connection's; libzmq then drops it."""
    connection.cut = True
    if not _CAN_CUT:
        return False
    try:
        copy = os.dup(connection.file)
    except OSError:
        return False
    try:
        if os.fstat(copy).st_ino != connection.inode:
            return False
        with socket.socket(fileno=os.dup(copy)) as handle:
            handle.shutdown(socket.SHUT_RDWR)
        return True
    except OSError:
        return False
    finally:
        os.close(copy)


def _identify(file: int) -> tuple[int, str, bool]:
    if not _CAN_CUT:
        return 0, "", False
    try:
        copy = os.dup(file)
    except OSError:
        return 0, "", False
    try:
        inode = os.fstat(copy).st_ino
        with socket.socket(fileno=os.dup(copy)) as handle:
            host = _host(handle.getpeername())
            return inode, host, host == _host(handle.getsockname())
    except OSError:
        return 0, "", False
    finally:
        os.close(copy)


def _host(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    host = address[0].removeprefix("::ffff:")
    if len(address) < 4 or not address[3]:
        return host
    try:
        return f"{host}%{socket.if_indextoname(address[3])}"
    except OSError:  # the interface is gone meanwhile
        return host
