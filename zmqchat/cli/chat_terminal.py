"""Where a chat's lines come from and go to: a terminal with an input line of its own, or plain streams.

On a terminal prompt_toolkit keeps the line that is being typed below what arrives meanwhile, with the real cursor in
it, so that input methods work. Without one, or with --plain, lines are read and printed as they are.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from zmqchat.cli import output
from zmqchat.cli.stdin_lines import input_lines, interruptible_input
from zmqchat.cli.terminals import console, silent_input
from zmqchat.model.text import clean

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from rich.text import Text


class Terminal(Protocol):
    """What a chat needs of its surroundings."""

    def show(self, line: Text) -> None:
        """Print a line; from any thread."""

    def lines(self) -> Iterator[str]:
        """What is typed, a line each, until its end."""

    def set_room(self, name: str) -> None:
        """The room that is written to."""

    def opened(self) -> contextlib.AbstractContextManager[object]:
        """The time in which lines are read and shown."""


def choose_terminal(plain: bool) -> Terminal:
    """A prompt where there is a terminal for it, else plain streams."""
    is_dumb = os.environ.get("TERM", "") in ("", "dumb") and os.name != "nt"
    if plain or is_dumb or not sys.stdin.isatty() or not sys.stdout.isatty():
        return PlainTerminal()
    return PromptTerminal()


class PlainTerminal:
    """Standard input and output, a line at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._console = console()

    def show(self, line: Text) -> None:
        """Print a line, there at once for whoever reads the pipe."""
        with self._lock:
            self._console.print(line, soft_wrap=True)
            sys.stdout.flush()

    def lines(self) -> Iterator[str]:
        """The lines of standard input."""
        with interruptible_input() as read:
            for line in input_lines(read):
                if line.text is None:
                    output.note(f"line {line.number} has {line.size_bytes:,} bytes: at most 64 KiB fit into a message")
                else:
                    yield line.text

    def set_room(self, name: str) -> None:
        """There is no prompt to name it."""

    def opened(self) -> contextlib.AbstractContextManager[object]:
        """Streams are always open."""
        return contextlib.nullcontext()


class PromptTerminal:
    """A terminal with a line to type in below what arrives."""

    def __init__(self) -> None:
        from prompt_toolkit import PromptSession

        self._console = console()
        self._room = ""
        # What was typed is erased: the message itself is shown, once it is stored.
        self._session: PromptSession[str] = PromptSession(erase_when_done=True)

    def show(self, line: Text) -> None:
        """Print a line above the one that is being typed."""
        self._console.print(line, soft_wrap=True)

    def lines(self) -> Iterator[str]:
        """What is typed; a paste of several lines is one message."""
        while True:
            try:
                text = self._session.prompt(self._prompt)
            except EOFError:
                return
            if text.strip():
                yield clean(text)

    def set_room(self, name: str) -> None:
        """Name it in the prompt."""
        self._room = clean(name)

    def opened(self) -> contextlib.AbstractContextManager[object]:
        """What is printed meanwhile goes above the prompt; the console prints its own escape sequences."""
        from prompt_toolkit.patch_stdout import patch_stdout

        stack = contextlib.ExitStack()
        stack.enter_context(silent_input())
        stack.enter_context(patch_stdout(raw=True))
        return stack

    def _prompt(self) -> str:
        return f"{self._room}> "


def interrupt_main_thread() -> None:
    """End the main thread's reading of input, as Ctrl-C would."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        with contextlib.suppress(OSError):
            signal.pthread_kill(main, signal.SIGINT)
    else:
        import _thread

        _thread.interrupt_main()
