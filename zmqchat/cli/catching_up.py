"""How far a node is that catches up: a word where it takes more than a second, on a terminal only."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from zmqchat.cli.session import Session
from zmqchat.model.errors import ZmqChatError

LOOK_S = 1.0
AGAIN_S = 5.0
"""Between two words while it goes on."""


class CatchUpWatch:
    """Tells `tell` how many messages are still to come, and when all are here; on a thread of its own."""

    def __init__(self, session: Session, tell: Callable[[str], None], look_s: float = LOOK_S) -> None:
        self._session = session
        self._tell = tell
        self._look_s = look_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="zmqchat catching up", daemon=True)

    def __enter__(self) -> CatchUpWatch:
        if sys.stderr.isatty():
            self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _watch(self) -> None:
        was_behind = False
        told_s: float | None = None
        try:
            client = self._session.connect()
            while not self._stopped.wait(self._look_s):
                missing = int(client.ask("catching_up").get("missing", 0))
                if missing == 0 and told_s is not None:
                    told_s = None
                    self._tell("caught up")
                elif missing and was_behind and (told_s is None or time.monotonic() - told_s >= AGAIN_S):
                    told_s = time.monotonic()
                    self._tell(f"catching up: {missing:,} messages to come")
                was_behind = missing > 0
        except (ZmqChatError, OSError, ValueError):
            return  # the node stops, or is an older one: the command sees that itself
