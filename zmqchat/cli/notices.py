"""What a node that was started for one command has to tell its user while the command is at work."""

from __future__ import annotations

import threading
from collections.abc import Callable

from zmqchat.cli.session import Session
from zmqchat.model.errors import ZmqChatError


class NoticeWatch:
    """Tells `tell` the notices of this session's node as they come; on a thread of its own.

    A node that ran before tells its own user.
    """

    def __init__(self, session: Session, tell: Callable[[str], None]) -> None:
        self._session = session
        self._tell = tell
        self._is_stopped = False
        self._thread = threading.Thread(target=self._watch, name="zmqchat notices", daemon=True)

    def __enter__(self) -> NoticeWatch:
        if self._session.is_local:
            self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_stopped = True  # the thread ends with the session's connections

    def _watch(self) -> None:
        try:
            for item in self._session.connect().items("events"):
                if self._is_stopped:
                    return
                event = item.get("event")
                if item.get("ready"):
                    for text in self._session.new_notices():
                        self._tell(text)
                elif isinstance(event, dict) and event.get("event") == "NoticeGiven":
                    text = str(event.get("text"))
                    if self._session.is_news(text):
                        self._tell(text)
        except (ZmqChatError, OSError, ValueError):
            return  # the node stops: the command sees that itself
