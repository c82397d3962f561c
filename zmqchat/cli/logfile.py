"""The log of a node that a command has started: `zmqchat.log` in its home, for whoever looks for a reason later.

It says when the node started and stopped, which peers came and went, what it told its user, and what went wrong; never
what was said. Two files of LOG_BYTES_MAX at most. A network full of strangers does not fill it: a peer gets one line a
minute, and all together get LINES_PER_MINUTE_MAX. A log that can't be written stops nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

from zmqchat.model.errors import ZmqChatError
from zmqchat.model.ids import peer_short
from zmqchat.model.text import clean
from zmqchat.node.values import DuplicateIdentity, NodeEvent, NoticeGiven, PeerOffline, PeerOnline

LOG_FILE: Final = "zmqchat.log"
LOG_BYTES_MAX: Final = 1024 * 1024
LINES_PER_MINUTE_MAX: Final = 60
PEERS_REMEMBERED_MAX: Final = 1_024
"""Peers whose last line is remembered; one that was forgotten gets a line again."""

LOGGERS: Final = ("zmqchat", "zeroconf")
_log = logging.getLogger("zmqchat.node")


class _Rotating(RotatingFileHandler):
    """Files that only their owner reads; a full disk is no error of the node."""

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return open(descriptor, "a", encoding="utf-8", errors="backslashreplace")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging calls it so
        """Leave the line out."""


class _Lines(logging.Formatter):
    """UTC, level, part of the program, text; without what a terminal would obey."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002  # as above
        """When it was written."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        return clean(super().format(record))


class LineLimit(logging.Filter):
    """At most so many lines a minute, whatever happens; what is critical is always kept.

    clock  seconds that never go back
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._minute_from_s = clock()
        self._lines = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this one is written."""
        now_s = self._clock()
        if now_s - self._minute_from_s >= 60.0:
            self._minute_from_s, self._lines = now_s, 0
        self._lines += 1
        return self._lines <= LINES_PER_MINUTE_MAX or record.levelno >= logging.CRITICAL


class PeerLines:
    """What is logged of peers: one line each and minute.

    clock  seconds that never go back
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_s: OrderedDict[bytes, float] = OrderedDict()

    def line_of(self, event: NodeEvent) -> str | None:
        """The line of an event; None for what is not logged."""
        if isinstance(event, NoticeGiven):
            return f"notice: {event.text}"
        if not isinstance(event, PeerOnline | PeerOffline | DuplicateIdentity) or not self._may_log(event.peer.id):
            return None
        what = {PeerOnline: "online", PeerOffline: "offline", DuplicateIdentity: "identity used twice"}[type(event)]
        return f"peer {peer_short(event.peer.id)} {event.peer.name!r} at {event.peer.address}: {what}"

    def _may_log(self, peer: bytes) -> bool:
        now_s = self._clock()
        if now_s - self._last_s.get(peer, now_s - 60.0) < 60.0:
            return False
        self._last_s[peer] = now_s
        self._last_s.move_to_end(peer)
        if len(self._last_s) > PEERS_REMEMBERED_MAX:
            self._last_s.popitem(last=False)
        return True


async def log_events(events: AsyncIterator[NodeEvent]) -> None:
    """Write what a node tells until it ends."""
    lines = PeerLines()
    with contextlib.suppress(ZmqChatError):  # the node has failed, and said why
        async for event in events:
            if (line := lines.line_of(event)) is not None:
                _log.info("%s", line)


class HomeLog:
    """The log of one home between `open` and `close`; the node that writes it must own the home."""

    def __init__(self, home: Path) -> None:
        self._path = home / LOG_FILE
        self._handler: logging.Handler | None = None

    def open(self, first_line: str) -> None:
        """Write to the home from now on, where that can be done."""
        try:
            handler = _Rotating(self._path, maxBytes=LOG_BYTES_MAX, backupCount=1, encoding="utf-8")
        except OSError:
            return
        handler.setFormatter(_Lines())
        handler.addFilter(LineLimit())
        handler.setLevel(logging.INFO)
        for name in LOGGERS:
            logging.getLogger(name).addHandler(handler)
        logging.getLogger(LOGGERS[0]).setLevel(logging.INFO)
        self._handler = handler
        _log.info("%s", first_line)

    def say(self, notice: str) -> None:
        """What the node told its user before anybody listened."""
        _log.info("notice: %s", notice)

    def close(self, last_line: str) -> None:
        """Write no more."""
        if self._handler is None:
            return
        _log.info("%s", last_line)
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(self._handler)
        self._handler.close()
        self._handler = None
