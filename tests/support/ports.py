"""Ports for tests that may run side by side: three free ones, and those that pages name."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_LOWEST = 20_000
"""Below the range that systems give out."""

_TRIPLES = 3_989
_STRIDE = 1_511
"""Processes whose ids are close to each other try none of the same ports for a long while: both are primes."""

_tried = 0


def free_port() -> int:
    """A port that is free with the two above it; another one at each call."""
    global _tried
    while _tried < _TRIPLES:
        port = _LOWEST + 3 * ((os.getpid() + _tried * _STRIDE) % _TRIPLES)
        _tried += 1
        with contextlib.ExitStack() as stack:
            try:
                for number in (port, port + 1, port + 2):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", number))
            except OSError:
                continue
            return port
    raise AssertionError("no three free ports in a row")


@contextlib.contextmanager
def named_ports() -> Iterator[None]:
    """The ports that pages and examples name: one test of this machine at a time has them."""
    with (Path(tempfile.gettempdir()) / "zmqchat-tests-ports.lock").open("w", encoding="ascii") as file:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
