"""What comes by catching up: of thousands that arrive at once a chat shows the last, once the run pauses.

All of it is in the store: `/history` and `zmqchat history` show the rest.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from zmqchat.cli.client import Fields

SHOWN_OF_A_RUN = 20
PAUSE_S = 0.5
LONGEST_S = 5.0
"""What comes without a pause is shown this often, so that the screen does not stand still."""


class Gathering:
    """Collects runs of messages; `show` gets how many were left out and the last, in the order of their times."""

    def __init__(self, show: Callable[[int, list[Fields]], None], pause_s: float = PAUSE_S) -> None:
        self._show = show
        self._pause_s = pause_s
        self._lock = threading.Lock()
        self._kept: deque[Fields] = deque(maxlen=SHOWN_OF_A_RUN)
        self._count = 0
        self._began_s = self._last_s = 0.0
        self._timer: threading.Timer | None = None

    def add(self, record: Fields) -> None:
        """One more of the run."""
        with self._lock:
            self._last_s = time.monotonic()
            if not self._count:
                self._began_s = self._last_s
            self._count += 1
            self._kept.append(record)
            if self._timer is None:
                self._set_timer(self._pause_s)

    def flush(self) -> None:
        """Show what was gathered, before something else is shown."""
        with self._lock:
            self._flush()

    def stop(self) -> None:
        """Show nothing more."""
        with self._lock:
            self._kept.clear()
            self._count = 0
            if self._timer is not None:
                self._timer.cancel()

    def _set_timer(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._look)
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        with self._lock:
            self._timer = None
            now_s = time.monotonic()
            left_s = min(self._last_s + self._pause_s, self._began_s + LONGEST_S) - now_s
            if self._count and left_s > 0:
                self._set_timer(left_s)
            else:
                self._flush()

    def _flush(self) -> None:
        count, kept = self._count, sorted(self._kept, key=lambda record: str(record.get("sent_at")))
        self._count = 0
        self._kept.clear()
        if kept:
            self._show(count - len(kept), kept)
