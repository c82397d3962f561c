"""What commands print: records on standard output, notes and one-line errors on standard error.

Texts and names of others go through `clean` before a terminal sees them; `--json` escapes instead, so that it is exact.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TextIO

from zmqchat.model.errors import BadConfig, DeliveryTimeout, MessageTooLarge, UsageError, ZmqChatError
from zmqchat.model.text import cell_width, clean, clean_name

Record = Mapping[str, Any]

DONE: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2
TIMED_OUT: Final = 3
INTERRUPTED: Final = 130
"""128 + SIGINT, as shells expect it of what was stopped by Ctrl-C."""

COLOURS: Final = (1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 14)
"""Indices of the terminal's own palette, which suits its background: without black, white and grey."""


def prepare_streams() -> None:
    """Print any character anywhere: what the encoding lacks is escaped, never an error. Closed streams are empty."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by who started us, as with `>&-`
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  # it stays for good
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def abandon_output() -> None:
    """The reader is gone (`| head`): let nothing more fail, the flush at exit included."""
    with contextlib.suppress(OSError, ValueError):
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)


def print_line(line: str) -> None:
    """One line on standard output, there at once for whoever reads the pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def print_json(record: Record) -> None:
    """One object a line; everything beyond ASCII escaped, so that a terminal is safe from it."""
    print_line(json.dumps(record, ensure_ascii=True, separators=(", ", ": ")))


def note(text: str) -> None:
    """One line for the user on standard error."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"zmqchat: {' '.join(clean(text).split())}\n")
        sys.stderr.flush()


def end_echo() -> None:
    """After Ctrl-C: a terminal has put ^C on the line, and what follows begins a new one."""
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr.isatty():
            sys.stderr.write("\n")
            sys.stderr.flush()


def exit_code_of(error: BaseException) -> int:
    """The exit code that an error of ours ends a command with."""
    # what a running node refused has the class that it has there
    kind = getattr(error, "original", type(error))
    if issubclass(kind, DeliveryTimeout):
        return TIMED_OUT
    if issubclass(kind, UsageError) and not issubclass(kind, (MessageTooLarge, BadConfig)):
        return WRONG_USAGE
    return FAILED


def one_line(error: BaseException) -> str:
    """What to tell of an error; those of the system by what they concern."""
    if isinstance(error, ZmqChatError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def message_line(record: Record, *, colour: bool = False) -> str:
    """A message for people: local date and time, name, text; further lines of the text indented."""
    when = local_time(record)
    name = shown_name(record)
    start = f"{when:%Y-%m-%d %H:%M} " if when is not None else ""
    if colour:
        name = f"\x1b[38;5;{colour_of(str(record.get('author')))}m{name}\x1b[0m"
    return f"{start}{name}: {shown_text(record)}"


def shown_text(record: Record) -> str:
    """The text of a message as a terminal may show it; what is no text is named."""
    text = record.get("text")
    if isinstance(text, str):
        return clean(text).replace("\n", "\n    ")
    kind = clean(str(record.get("kind")))
    if kind == "gap":
        return "(messages are missing here; they follow when somebody who has them is in touch)"
    if record.get("content_type") is not None:
        value = json.dumps(record.get("value"), ensure_ascii=True)
        shown = value if len(value) <= 200 else value[:200] + "…"
        return f"({clean(str(record['content_type']))}) {shown}"
    return f"({kind})"


def shown_name(record: Record) -> str:
    """The author's name as a terminal may show it."""
    return clean_name(str(record.get("name") or ""), short_id(str(record.get("author") or record.get("id") or "")))


def on_one_line(value: object) -> str:
    """Something of others as a terminal may show it among other things on a line."""
    return " ".join(clean(str(value)).split())


def short_id(id_text: str) -> str:
    """The short form of a peer id from its full text form."""
    return f"{id_text[:4]}-{id_text[4:8]}" if id_text[:8].isalnum() else "unknown"


def local_time(record: Record) -> datetime | None:
    """When a message was sent, in this machine's time zone; None where the record does not say."""
    text = record.get("sent_at")
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def colour_of(id_text: str) -> int:
    """One colour a key, the same in every session: names can be copied, keys can't."""
    return COLOURS[sum(id_text[:16].encode()) % len(COLOURS)]


def is_colourful(stream: TextIO | None = None) -> bool:
    """Whether colours may be used on this stream (standard output)."""
    stream = stream or sys.stdout
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM", "") == "dumb" or os.environ.get("CI")
    return not plain and stream.isatty()


def counted(count: int, thing: str) -> str:
    """A number of things: "1 member", "3 members"."""
    return f"{count} {thing}" if count == 1 else f"{count:,} {thing}s"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of columns that stand below each other; the last is not padded."""
    widths = [max(cells(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return [
        "  ".join(
            [*(cell + " " * (width - cells(cell)) for cell, width in zip(row[:-1], widths, strict=False)), row[-1]]
        ).rstrip()
        for row in rows
    ]


def cells(text: str) -> int:
    """The columns of a terminal that a text takes: two a wide character."""
    return sum(map(cell_width, text))
