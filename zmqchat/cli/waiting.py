"""A word on standard error when something takes more than a second; only on a terminal."""

from __future__ import annotations

import os
import sys
import threading
from types import TracebackType

AFTER_S = 1.0


class Waiting:
    """Shows `text` once a second has passed, and takes it away again."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lock = threading.Lock()
        self._is_shown = False
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Waiting:
        if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            self._timer = threading.Timer(AFTER_S, self._show)
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """There is nothing to wait for any more."""
        if self._timer is not None:
            self._timer.cancel()
        self.hide()

    def hide(self) -> None:
        """Take the word away, before something else is printed."""
        with self._lock:
            if self._is_shown:
                self._is_shown = False
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()

    def _show(self) -> None:
        with self._lock:
            self._is_shown = True
            sys.stderr.write(f"{self._text} …")
            sys.stderr.flush()
