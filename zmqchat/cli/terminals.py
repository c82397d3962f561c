"""The terminal that a command runs on: how wide it is, a console that writes to it, and how to keep it from echoing."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from zmqchat.cli import output


@contextlib.contextmanager
def silent_input() -> Iterator[None]:
    """What is typed meanwhile waits for whoever reads next, and is not shown before."""
    if sys.platform == "win32" or not sys.stdin.isatty():
        yield
        return
    import termios

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    silent = termios.tcgetattr(descriptor)
    silent[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(descriptor, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def console() -> Console:
    """A console that takes nothing in a text for markup, emoji codes or anything to highlight."""
    is_colourful = output.is_colourful()
    return Console(
        markup=False,
        emoji=False,
        highlight=False,
        no_color=not is_colourful,
        color_system="auto" if is_colourful else None,
        force_terminal=is_colourful,
        legacy_windows=False,
    )


def is_drawable() -> bool:
    """Whether a terminal is there that a picture can be drawn on again and again."""
    return sys.stdout.isatty() and (os.name == "nt" or os.environ.get("TERM", "") not in ("", "dumb"))


class FullScreen:
    """The whole terminal for a drawing that changes; what stood there before is there again at the end.

    The alternate screen is taken by escape sequences that every terminal since the VT220 knows, tmux and screen too.
    """

    def __init__(self) -> None:
        self._console = console()
        self._shown = ""

    def __enter__(self) -> FullScreen:
        self._write("\x1b[?1049h\x1b[?25l\x1b[H\x1b[J")
        return self

    def __exit__(self, *_error: object) -> None:
        self._write("\x1b[?25h\x1b[?1049l")

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows, as they are now."""
        size = shutil.get_terminal_size()
        return size.columns, size.lines

    def show(self, lines: Sequence[Text]) -> None:
        """Draw these lines, none wider than the screen, unless they stand there already."""
        with self._console.capture() as captured:
            for line in lines:
                self._console.print(line, soft_wrap=True)
        # A line is cleared before it is written: behind its last column a terminal would clear that.
        text = "\x1b[H\x1b[K" + captured.get().rstrip("\n").replace("\n", "\r\n\x1b[K") + "\x1b[J"
        drawn = f"{self.size}{text}"
        if drawn != self._shown:
            self._shown = drawn
            self._write(text)

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
