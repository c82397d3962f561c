"""Host names to addresses, never on the loop: the system's resolver may take half a minute."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable

from zmqchat.model.limits import NAME_LOOKUPS_AT_ONCE_MAX

ADDRESSES_PER_NAME_MAX = 4
"""Addresses of a name that are tried."""


def is_literal(host: str) -> bool:
    """Whether the host is an address already (an IPv6 one may carry a scope)."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Resolver:
    """Looks names up on daemon threads, one each, a few at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._running = 0
        self._closed = False

    def resolve(self, host: str, done: Callable[[tuple[str, ...]], None]) -> None:
        """Call `done` on the loop with the name's addresses; empty where it has none or too many are asked."""
        if is_literal(host) or self._running >= NAME_LOOKUPS_AT_ONCE_MAX:
            self._loop.call_soon(self._tell, (host,) if is_literal(host) else (), done)
            return
        self._running += 1
        threading.Thread(target=self._look_up, args=(host, done), name="zmqchat-resolve", daemon=True).start()

    def close(self) -> None:
        """Tell nobody any more; a thread that still waits for the system ends by itself."""
        self._closed = True

    def _look_up(self, host: str, done: Callable[[tuple[str, ...]], None]) -> None:
        addresses: dict[str, None] = {}
        with contextlib.suppress(OSError, UnicodeError):
            for *_, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM):
                addresses[str(address[0])] = None
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._finish, tuple(addresses)[:ADDRESSES_PER_NAME_MAX], done)

    def _finish(self, addresses: tuple[str, ...], done: Callable[[tuple[str, ...]], None]) -> None:
        self._running -= 1
        self._tell(addresses, done)

    def _tell(self, addresses: tuple[str, ...], done: Callable[[tuple[str, ...]], None]) -> None:
        if not self._closed:
            done(addresses)
