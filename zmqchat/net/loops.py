"""Event loops: sockets are watched by the loop itself, or for one that can't by a thread beside it.

Windows' default loop watches no descriptors. There a thread of ours waits in `select` and calls the loop when one can
be read. It does so once: libzmq's descriptors stay readable until somebody reads, so each is watched again only once
the loop has called its reader. Everything else of a node runs on the program's loop as everywhere. The thread ends
with the last descriptor. Rejected: a node on a loop and thread of its own, as each call and each message would change
threads, and cancelling a call would have to be carried over.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket
import threading
from collections.abc import Callable
from typing import Final, Protocol
from weakref import WeakKeyDictionary

_JOIN_S: Final = 2.0


class Readers(Protocol):
    """What watches descriptors: asyncio's own names."""

    def add_reader(self, fd: int, callback: Callable[[], object], /) -> object:
        """Call the callback on the loop whenever the descriptor can be read."""

    def remove_reader(self, fd: int, /) -> bool:
        """Watch it no more; must precede its close."""


def readers_of(loop: asyncio.AbstractEventLoop) -> Readers:
    """What watches descriptors for this loop: mostly the loop itself."""
    can_watch = _can_watch.get(loop)
    if can_watch is None:
        can_watch = _can_watch[loop] = _watches_sockets(loop)
    if can_watch:
        return loop
    return _beside.get(loop) or ThreadReaders(loop)


class ThreadReaders:
    """Watches descriptors on a thread for a loop that can't; its methods are called on that loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._callbacks: dict[int, Callable[[], object]] = {}
        self._selecting: _Selecting | None = None

    def add_reader(self, fd: int, callback: Callable[[], object], /) -> None:
        """See Readers."""
        _beside[self._loop] = self
        self._callbacks[fd] = callback
        if self._selecting is None:
            self._selecting = _Selecting(lambda file: self._loop.call_soon_threadsafe(self._readable, file))
        self._selecting.watch(fd)

    def remove_reader(self, fd: int, /) -> bool:
        """See Readers."""
        if self._callbacks.pop(fd, None) is None or self._selecting is None:
            return False
        self._selecting.forget(fd)
        if not self._callbacks:
            self._selecting.end()
            self._selecting = None
            _beside.pop(self._loop, None)
        return True

    def _readable(self, file: int) -> None:
        callback = self._callbacks.get(file)
        if callback is None:
            return  # removed while this was on its way
        try:
            callback()
        finally:
            if file in self._callbacks and self._selecting is not None:
                self._selecting.watch(file)


class _Selecting:
    """The thread; it tells of a descriptor once, and again only when it is told to watch it again."""

    def __init__(self, tell: Callable[[int], object]) -> None:
        self._tell = tell
        self._selector = selectors.DefaultSelector()
        self._changing = threading.Lock()
        self._is_ended = False
        self._waking, self._woken = socket.socketpair()
        for end in (self._waking, self._woken):
            end.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="zmqchat-readers", daemon=True)
        self._thread.start()

    def watch(self, file: int) -> None:
        with self._changing, contextlib.suppress(KeyError):  # it is watched already
            self._selector.register(file, selectors.EVENT_READ)
        self._wake()

    def forget(self, file: int) -> None:
        self._unregister(file)
        self._wake()

    def end(self) -> None:
        self._is_ended = True
        self._wake()
        self._thread.join(_JOIN_S)
        self._selector.close()
        self._waking.close()
        self._woken.close()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full of wake-ups
            self._waking.send(b"\0")

    def _unregister(self, file: int) -> None:
        with self._changing, contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(file)

    def _run(self) -> None:
        while not self._is_ended:
            try:
                ready = self._selector.select()
            except OSError:  # Windows, of one that was closed meanwhile: its owner has it forgotten
                continue
            for key, _events in ready:
                if key.fileobj is self._woken:
                    with contextlib.suppress(BlockingIOError):
                        self._woken.recv(4_096)
                    continue
                self._unregister(key.fd)
                try:
                    self._tell(key.fd)
                except RuntimeError:
                    return  # the loop is closed: nobody waits any more


_can_watch: WeakKeyDictionary[asyncio.AbstractEventLoop, bool] = WeakKeyDictionary()
_beside: dict[asyncio.AbstractEventLoop, ThreadReaders] = {}
"""One thread a loop, for as long as it watches anything."""


def _watches_sockets(loop: asyncio.AbstractEventLoop) -> bool:
    with socket.socket() as probe:
        try:
            loop.remove_reader(probe)
        except NotImplementedError:  # what asyncio's base of all loops raises for what a loop can't do
            return False
    return True
