"""The command `zmqchat demo`."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import click

from zmqchat.cli import output
from zmqchat.cli.demo.screen import Screen
from zmqchat.cli.demo.story import NAMES, Story


@click.command("demo")
def run() -> int:
    """Watch five nodes meet, talk, crash, part and agree; takes less than 40 seconds.

    Five processes on this machine, on its loopback interface alone, with temporary homes that are removed afterwards.
    Exit code 0 only if all end with the same history and nothing acknowledged is missing.
    """
    started_s = time.monotonic()
    screen = Screen(NAMES)
    screen.title("zmqchat demo: five nodes, five processes, on the loopback interface only")
    with tempfile.TemporaryDirectory(prefix="zmqchat-demo-", ignore_cleanup_errors=True) as folder:
        story = Story(screen, Path(folder))
        try:
            with screen.shown():
                wrong = story.play()
        finally:
            with _undisturbed():
                story.end()
    for fault in wrong:
        screen.tell(fault, style="bold red")
    took_s = time.monotonic() - started_s
    if wrong:
        screen.tell(f"The demo has failed after {took_s:.0f} s.", style="bold red")
        return output.FAILED
    screen.tell(
        f"All five are equal: each has all {story.promises} acknowledged messages, once ({took_s:.0f} s).",
        style="bold green",
    )
    return output.DONE


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C does not stop the clearing up of the first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
