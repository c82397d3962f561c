"""A gate between readers and whoever changes the map: many of the ones, or one of the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Gate:
    """LMDB's map may only be resized or closed while no transaction of this process runs.

    Shutting it holds new readers back and waits for the running ones, which are short (a page of rows).
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._readers = 0
        self._shut = False

    def enter(self) -> None:
        """Begin to read; waits while the gate is shut. Every `enter` needs its `leave`."""
        with self._condition:
            while self._shut:
                self._condition.wait()
            self._readers += 1

    def leave(self) -> None:
        """The read has ended."""
        with self._condition:
            self._readers -= 1
            if self._shut and not self._readers:
                self._condition.notify_all()

    @contextmanager
    def shut(self, timeout_s: float) -> Iterator[None]:
        """Keep all readers out. Raises TimeoutError where they have not left after this many seconds."""
        deadline_s = time.monotonic() + timeout_s
        with self._condition:
            self._wait_until(lambda: not self._shut, deadline_s)
            self._shut = True
            try:
                self._wait_until(lambda: not self._readers, deadline_s)
            except TimeoutError:
                self._open_again()
                raise
        try:
            yield
        finally:
            with self._condition:
                self._open_again()

    def _wait_until(self, holds: Callable[[], bool], deadline_s: float) -> None:
        if not self._condition.wait_for(holds, max(0.0, deadline_s - time.monotonic())):
            raise TimeoutError("a read of the store does not end")

    def _open_again(self) -> None:
        self._shut = False
        self._condition.notify_all()
