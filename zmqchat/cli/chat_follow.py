"""Following a room for a chat: a thread that shows its last messages, then what arrives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from zmqchat.cli.client import ControlClient, Fields
from zmqchat.cli.gathering import Gathering
from zmqchat.model.errors import ZmqChatError

HISTORY_ON_ENTRY = 20
ENTRY_S = 5.0
"""How long an entry waits for the room's history before what is typed is taken."""


class RoomView(Protocol):
    """What a follower shows."""

    def message(self, record: Fields, *, is_late: bool = False) -> None:
        """A message of the room."""

    def gap(self, record: Fields) -> None:
        """A part that is missing."""

    def left_out(self, count: int) -> None:
        """So many that were caught up with are not shown."""


class Follower:
    """Shows one room until it is stopped; `lost` is told if its connection breaks before."""

    def __init__(self, client: ControlClient, room: str, view: RoomView, lost: Callable[[Exception], None]) -> None:
        self._client = client
        self._room = room
        self._view = view
        self._lost = lost
        self._is_stopped = False
        self._caught_up = threading.Event()
        self._changed = threading.Condition()
        self._expected: set[str] = set()
        self._shown_early: set[str] = set()
        self._gathering = Gathering(self._show_run)
        self._thread = threading.Thread(target=self._follow, name="zmqchat room", daemon=True)

    def start(self) -> None:
        """Show the last messages; returns when they are there."""
        self._thread.start()
        self._caught_up.wait(ENTRY_S)

    def stop(self) -> None:
        """Show nothing more."""
        self._is_stopped = True
        self._gathering.stop()
        self._client.close()

    def expect(self, message: str) -> None:
        """This own message will be shown."""
        with self._changed:
            if message in self._shown_early:
                self._shown_early.discard(message)
            else:
                self._expected.add(message)

    def wait_until_shown(self, seconds: float) -> None:
        """Wait until all that was expected is on the screen."""
        with self._changed:
            self._changed.wait_for(lambda: not self._expected or self._is_stopped, seconds)

    def _follow(self) -> None:
        try:
            for item in self._client.items("tail", room=self._room, last=HISTORY_ON_ENTRY, follow=True, read=True):
                if self._is_stopped:
                    return
                self._show(item)
            raise ZmqChatError("the node on this home has stopped")
        except (ZmqChatError, OSError, ValueError) as error:
            if not self._is_stopped:
                self._lost(error)
        finally:
            self._caught_up.set()

    def _show(self, item: Fields) -> None:
        record = item.get("record")
        if isinstance(record, dict):
            if item.get("live") is False:
                self._gathering.add({**record, "backfill": item.get("backfill")})
            else:
                self._gathering.flush()
                self._view.message(record)
            with self._changed:
                message = str(record.get("id"))
                if message in self._expected:
                    self._expected.discard(message)
                    self._changed.notify_all()
                elif len(self._shown_early) < 1_000:
                    self._shown_early.add(message)
        elif isinstance(item.get("gap"), dict):
            self._gathering.flush()
            self._view.gap(item["gap"])
        elif item.get("caught_up"):
            self._caught_up.set()
            with self._changed:
                self._shown_early.clear()

    def _show_run(self, left_out: int, records: list[Fields]) -> None:
        if left_out:
            self._view.left_out(left_out)
        for record in records:
            self._view.message(record, is_late=bool(record.get("backfill")))
