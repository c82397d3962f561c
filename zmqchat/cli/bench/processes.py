"""Starting and ending the measured processes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from zmqchat.cli.processes import Process


@contextlib.contextmanager
def worker(home: str, *peers: str, listen: str = "127.0.0.1") -> Iterator[tuple[Process, dict[str, Any]]]:
    """A node in a process of its own; and what `open` answered."""
    process = Process("zmqchat.cli.bench.worker")
    try:
        yield process, process.ask("open", home=home, peers=list(peers), listen=listen)
    finally:
        process.close()


@contextlib.contextmanager
def plain(role: str, *arguments: object) -> Iterator[Process]:
    """A yardstick in a process of its own."""
    process = Process("zmqchat.cli.bench.plain", role, *map(str, arguments))
    try:
        yield process
    finally:
        process.close()
