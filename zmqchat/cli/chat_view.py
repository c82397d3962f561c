"""What the line-mode chat shows: messages, days, who comes and goes. Everything becomes a rich `Text`, never markup.

A name is a claim: its colour comes from the key, and where two keys go by names that look alike both show their ids.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from rich.text import Text

from zmqchat.cli import output
from zmqchat.cli.presence import presence_line
from zmqchat.model.limits import CLOCK_FOLD_MS, MEMBERS_PER_ROOM_MAX
from zmqchat.model.text import clean, skeleton

Record = dict[str, Any]
TAB_CELLS = 4


class ChatView:
    """Turns records into lines, one chat's.

    show   prints one line; called with the lines in order
    now    the present local time
    """

    def __init__(self, show: Callable[[Text], None], now: Callable[[], datetime]) -> None:
        self._show = show
        self._now = now
        self._day: str | None = None
        self._is_folding = False
        self._looks: dict[str, set[str]] = {}

    def message(self, record: Record, *, is_late: bool = False) -> None:
        """Somebody said something; `is_late` fills a place further up."""
        when = output.local_time(record)
        if when is not None and when > self._now() + timedelta(milliseconds=CLOCK_FOLD_MS):
            self._fold(when)
            return
        self._is_folding = False
        if when is not None:
            self._separate_days(when)
        author = str(record.get("author") or "")
        line = Text()
        line.append(f"{when:%H:%M} " if when is not None else "--:-- ", style="dim")
        line.append(self.name(record), style=f"bold color({output.colour_of(author)})")
        line.append(": ")
        body = output.shown_text(record).expandtabs(TAB_CELLS)
        line.append(body, style="" if isinstance(record.get("text"), str) else "dim")
        if is_late:
            line.append("  (late)", style="dim")
        self._show(line)

    def name(self, record: Record) -> str:
        """The author's name; with the short id where another's looks like it."""
        author = str(record.get("author") or record.get("id") or "")
        name = output.shown_name({"name": record.get("name"), "author": author})
        look = skeleton(name)
        if look not in self._looks and len(self._looks) >= MEMBERS_PER_ROOM_MAX:
            self._looks.clear()
        known = self._looks.setdefault(look, set())
        if len(known) < 2:
            known.add(author)
        return f"{name} ({output.short_id(author)})" if len(known) > 1 or author not in known else name

    def gap(self, record: Record) -> None:
        """Messages of somebody are missing here."""
        count = record.get("end", 0) - record.get("first", 0)
        self.say(f"{count} messages of {self.name(record)} are missing; they follow once somebody has them")

    def left_out(self, count: int) -> None:
        """Of what was caught up with only the last messages follow."""
        self.say(f"({output.counted(count, 'older message')} came too: /history N shows more)")

    def event(self, event: Record, room: str) -> None:
        """Somebody came or went, or the user should know something."""
        if event.get("event") == "NoticeGiven":
            self.warn(str(event.get("text")))
            return
        line = presence_line(event)
        if line is not None and event.get("room") in (None, room):
            self.say(line)

    def say(self, text: str) -> None:
        """A quiet line of the chat itself."""
        self._show(Text(f"  {clean(text)}", style="dim"))

    def warn(self, text: str) -> None:
        """A line that should be read."""
        self._show(Text(f"! {' '.join(clean(text).split())}", style="yellow"))

    def room(self, name: str) -> None:
        """The room changes; its days begin anew."""
        self._day = None
        self._show(Text(f"── {clean(name)} ──", style="bold"))

    def _separate_days(self, when: datetime) -> None:
        day = f"{when:%A %d %B %Y}"
        if day != self._day:
            self._day = day
            self._show(Text(f"── {day} ──", style="dim"))

    def _fold(self, when: datetime) -> None:
        """All that stand together and come from a clock far ahead make one line."""
        if not self._is_folding:
            self._is_folding = True
            self.say(f"(messages dated {when:%Y-%m-%d}, by a clock that is far ahead: `zmqchat history` shows them)")
