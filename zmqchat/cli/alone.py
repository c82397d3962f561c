"""After five seconds with nobody found, chat and node say what was tried and what to do: once."""

from __future__ import annotations

import threading
from collections.abc import Callable

from zmqchat.cli.session import Session
from zmqchat.model.errors import ZmqChatError

ALONE_S = 5.0


class AloneWatch:
    """Tells `tell` one line if the node of this session is alone after a while; on a thread of its own."""

    def __init__(self, session: Session, tell: Callable[[str], None], after_s: float = ALONE_S) -> None:
        self._session = session
        self._tell = tell
        self._after_s = after_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="zmqchat alone", daemon=True)

    def __enter__(self) -> AloneWatch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        self._thread.join(1.0)

    def _watch(self) -> None:
        if self._stopped.wait(self._after_s):
            return
        try:
            text = self._session.connect().ask("nobody_found").get("text")
        except (ZmqChatError, OSError):
            return  # the node stops: the command sees that itself
        if text and not self._stopped.is_set():
            self._tell(str(text))
