"""Standard input as messages: a line each, as it arrives, in bounded memory.

A line ends with a newline, a carriage return before it is dropped, blank lines are skipped, and the last line needs no
newline. Bytes that are no UTF-8 are replaced. Of a line that is too long only its size is kept.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from zmqchat.model.limits import TEXT_BYTES_MAX

READ_BYTES = 64 * 1024
_KEPT_BYTES_MAX = TEXT_BYTES_MAX + 2
"""One byte more than a text may have, and a carriage return."""


class InputLine(NamedTuple):
    """A line: its place in the input from 1, its text (None where it is too long), its bytes."""

    number: int
    text: str | None
    size_bytes: int


def standard_input() -> Callable[[], bytes]:
    """A reader of what is there now: past Python's buffer, which can't be left to a thread at the end of a process."""
    try:
        descriptor = sys.stdin.fileno()
    except (OSError, ValueError, io.UnsupportedOperation):
        return lambda: sys.stdin.buffer.read(READ_BYTES)
    return lambda: os.read(descriptor, READ_BYTES)


@contextlib.contextmanager
def interruptible_input() -> Iterator[Callable[[], bytes]]:
    """The same, of which a signal always ends the waiting; for the main thread.

    One that comes just before the system call that waits would else be noticed only after the next line of input.
    """
    try:
        descriptor = sys.stdin.fileno()
    except (OSError, ValueError, io.UnsupportedOperation):
        descriptor = -1
    if sys.platform == "win32" or descriptor < 0:
        yield standard_input()
        return
    woken, waking = os.pipe()
    os.set_blocking(waking, False)
    before = signal.set_wakeup_fd(waking, warn_on_full_buffer=False)

    def read() -> bytes:
        while descriptor not in select.select([descriptor, woken], [], [])[0]:
            os.read(woken, READ_BYTES)
        return os.read(descriptor, READ_BYTES)

    try:
        yield read
    finally:
        signal.set_wakeup_fd(before)
        os.close(waking)
        os.close(woken)


def input_lines(read: Callable[[], bytes]) -> Iterator[InputLine]:
    """The lines of the input; `read` gives the next bytes, none at the end."""
    kept = bytearray()
    size = 0
    number = 0
    while True:
        data = read()
        pieces = data.split(b"\n")
        for index, piece in enumerate(pieces):
            size += len(piece)
            if len(kept) < _KEPT_BYTES_MAX:
                kept += piece[: _KEPT_BYTES_MAX - len(kept)]
            if index < len(pieces) - 1 or (not data and size):
                number += 1
                line = _line(number, kept, size)
                if line is not None:
                    yield line
                kept.clear()
                size = 0
        if not data:
            return


def _line(number: int, kept: bytearray, size: int) -> InputLine | None:
    if size == len(kept) and kept.endswith(b"\r"):
        del kept[-1]
        size -= 1
    if size > TEXT_BYTES_MAX:
        return InputLine(number, None, size)
    text = kept.decode("utf-8", errors="replace")
    if len(text.encode()) > TEXT_BYTES_MAX:
        return InputLine(number, None, len(text.encode()))
    return InputLine(number, text, size) if text.strip() else None
