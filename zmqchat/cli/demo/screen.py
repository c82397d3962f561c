"""What the demo shows: narration that scrolls over a table of the nodes; plain lines where nobody watches."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from zmqchat.cli import output
from zmqchat.cli.demo.verdict import Timeline

INDENT = 3
REFRESH_PER_S = 8
STEP_PAUSE_S = 1.0
SAID_PAUSE_S = 0.6
"""What a person who watches needs to read a line; nobody waits for it in a pipe."""

COLOURS = (6, 3, 5, 2, 4)
"""One of the terminal's own palette a node."""


@dataclass(slots=True)
class Seen:
    """What the table says of a node."""

    state: str = "not started"
    peers: tuple[str, ...] = ()
    messages: int = 0


class Screen:
    """The demo's face; `state`, `peers` and `messages` may come from any thread.

    names   the nodes, in the order of the table
    """

    def __init__(self, names: tuple[str, ...], console: Console | None = None) -> None:
        self._console = console or Console(
            highlight=False, emoji=False, markup=False, no_color=None if output.is_colourful() else True
        )
        self._is_watched = self._console.is_terminal and not self._console.is_dumb_terminal
        self._seen = {name: Seen() for name in names}
        self._colours = dict(zip(names, COLOURS, strict=False))
        self._lock = threading.Lock()
        self._started_s = time.monotonic()
        self._steps = 0
        self._waiting: Spinner | None = None

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show the table below the narration while the block runs."""
        if not self._is_watched:
            yield
            return
        live = Live(
            get_renderable=self._bottom, console=self._console, refresh_per_second=REFRESH_PER_S, transient=True
        )
        with live:
            yield

    # Narration -----------------------------------------------------------------------------------------

    def title(self, text: str) -> None:
        """The first line."""
        self._line(Text(text, style="bold"))

    def step(self, text: str) -> None:
        """A new part of the story begins."""
        self._steps += 1
        line = Text()
        line.append(f"{self._steps}  {text}", style="bold")
        line.append(f"   {time.monotonic() - self._started_s:.1f} s", style="dim")
        self._line(Text())
        self._line(line)
        self._pause(STEP_PAUSE_S)

    def tell(self, text: str, style: str = "") -> None:
        """A line of narration."""
        self._line(Text(text, style=style), INDENT)
        self._pause(SAID_PAUSE_S)

    def said(self, name: str, text: str, note: str) -> None:
        """A node says something; the note tells who has it."""
        line = Text()
        line.append(name, style=f"bold color({self._colours[name]})")
        line.append(f": {text}")
        line.append(f"  ({note})", style="dim")
        self._line(line, INDENT + 2)
        self._pause(SAID_PAUSE_S)

    @contextlib.contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Say what is being waited for while the block runs; only where somebody watches."""
        self._waiting = Spinner("dots", Text(f" {what}", style="dim"))
        try:
            yield
        finally:
            self._waiting = None

    # The table -----------------------------------------------------------------------------------------

    def state(self, name: str, state: str) -> None:
        """What a node is doing, in a word or two."""
        with self._lock:
            self._seen[name].state = state

    def counts(self, name: str, peers: tuple[str, ...], messages: int) -> None:
        """Whom a node is in touch with and how many messages it has."""
        with self._lock:
            self._seen[name].peers = peers
            self._seen[name].messages = messages

    def digests(self, timelines: Mapping[str, Timeline], notes: Mapping[str, str]) -> None:
        """The end of the story: what each store holds."""
        for name, timeline in timelines.items():
            line = Text()
            line.append(f"{name:5}", style=f"bold color({self._colours[name]})")
            line.append(f"{len(timeline.ids):6} messages  ")
            line.append(timeline.digest, style="bold")
            if name in notes:
                line.append(f"  {notes[name]}", style="dim")
            self._line(line, INDENT)

    def _bottom(self) -> RenderableType:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), width=min(self._console.width, 78))
        for title in ("node", "state", "in touch with", "messages"):
            table.add_column(title, justify="right" if title == "messages" else "left", no_wrap=True)
        with self._lock:
            for name, seen in self._seen.items():
                peers = Text(" ")
                for number, peer in enumerate(seen.peers):
                    peers.append(" " if number else "")
                    peers.append(peer, style=f"color({self._colours.get(peer, 7)})")
                table.add_row(
                    Text(name, style=f"bold color({self._colours[name]})"), seen.state, peers, str(seen.messages or "")
                )
        return Group(Text(), table, self._waiting or Text())

    def _pause(self, duration_s: float) -> None:
        if self._is_watched:
            time.sleep(duration_s)

    def _line(self, line: Text, indent: int = 0) -> None:
        if self._is_watched:
            self._console.print(Padding(line, (0, 0, 0, indent)))
        else:
            output.print_line(" " * indent + line.plain)
