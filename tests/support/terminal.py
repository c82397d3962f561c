"""A program on a pseudo-terminal: what it shows, and what is typed into it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator, Mapping, Sequence


@contextlib.contextmanager
def on_terminal(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[int]:
    """A program on a terminal of its own, given as its descriptor; it is waited for at the end of the block.

    Fails where its exit code is not 0; killed where the block has failed.
    """
    import pty  # there is none on Windows, where this module can still be imported

    child, terminal = pty.fork()
    if child == 0:
        os.execve(command[0], list(command), {**environment, "TERM": "xterm-256color"})
    try:
        yield terminal
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        _pid, status = os.waitpid(child, 0)
        os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0


def read_until(terminal: int, wanted: bytes | None, timeout_s: float = 20.0) -> bytes:
    """What the terminal shows up to what is wanted (None: to the end), answering its questions for the cursor."""
    shown = b""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            data = os.read(terminal, 65_536)
        except OSError:
            data = b""
        if not data:
            if wanted is None:
                return shown
            break
        if b"\x1b[6n" in data:
            os.write(terminal, b"\x1b[1;1R")
        shown += data
        if wanted is not None and wanted in shown:
            return shown
    raise AssertionError(f"no {wanted!r} in {shown[-2_000:]!r}")
