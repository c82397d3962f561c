"""What commands print is safe for a terminal, and exact for a program."""

from __future__ import annotations

import io
import json

import pytest

from zmqchat.cli import output
from zmqchat.cli.client import Refused
from zmqchat.model.errors import BadRoomName, HomeInUse, MessageTooLarge, StoreFull

RECORD = {
    "id": "m",
    "room": "lobby",
    "author": "abcdefghijkl",
    "name": "ann",
    "sent_at": "2026-01-02T03:04:05.678+00:00",
    "kind": "text",
    "text": "hi",
}


def test_a_message_is_one_line_of_time_name_and_text() -> None:
    """The time is local, the name comes before the text."""
    line = output.message_line(RECORD)
    assert line.endswith(" ann: hi")
    assert line.startswith("2026-01-0")


def test_what_others_wrote_is_cleaned() -> None:
    """Escape sequences in names and texts arrive as marks; further lines are indented."""
    line = output.message_line({**RECORD, "name": "\x1b]0;x\x07", "text": "a\x1b[2J\nb\x9b"})
    assert line.split("\n")[0].isprintable()
    assert line.split("\n")[1].startswith("    ")
    assert "\x1b" not in line


def test_a_name_that_shows_nothing_gives_way_to_the_id() -> None:
    """Who has no visible name goes by the short id."""
    assert output.shown_name({"name": "\u200b", "author": "abcdefghijkl"}) == "abcd-efgh"


def test_what_is_no_text_is_named() -> None:
    """An app's payload is shown by its content type, anything newer by its kind."""
    assert (
        output.shown_text({"kind": "app", "text": None, "content_type": "x/y", "value": {"a": 1}}) == '(x/y) {"a": 1}'
    )
    assert output.shown_text({"kind": "newer", "text": None}) == "(newer)"


def test_json_is_exact_and_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    """Controls and everything beyond ASCII are escaped, and come back as they were."""
    record = {**RECORD, "text": "\x1b[2J\x9b é 你"}
    output.print_json(record)
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert "\x1b" not in printed
    assert json.loads(printed) == record


def test_notes_are_one_line_whatever_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    """An error text with newlines and escapes stays one harmless line."""
    output.note("a\nb\x1b[2J")
    assert capsys.readouterr().err == "zmqchat: a b^[[2J\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadRoomName(""), 2),
        (MessageTooLarge(70_000, 65_536), 1),
        (StoreFull("/home"), 1),
        (HomeInUse("/home", 1), 1),
        (Refused("DeliveryTimeout", "late"), 3),
        (Refused("BadRoomName", "no"), 2),
        (Refused("NoSuchKind", "what"), 1),
        (OSError("disk"), 1),
    ],
)
def test_each_error_has_its_exit_code(error: Exception, code: int) -> None:
    """0 done, 1 failed, 2 wrong usage, 3 timed out; the same for what a running node refused."""
    assert output.exit_code_of(error) == code


def test_colours_are_left_out_unless_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """No colour into a pipe, with NO_COLOR, or on a dumb terminal."""

    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name in ("NO_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert output.is_colourful(Screen())
    assert not output.is_colourful(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not output.is_colourful(Screen())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not output.is_colourful(Screen())


def test_columns_stand_below_each_other() -> None:
    """The table pads all but the last column."""
    assert output.table([("a", "bb", "c"), ("aaa", "b", "")]) == ["a    bb  c", "aaa  b"]
    assert output.table([]) == []


def test_times_that_no_clock_shows_are_left_out() -> None:
    """A record without a readable time is printed without one."""
    assert output.message_line({**RECORD, "sent_at": "never"}) == "ann: hi"


def test_columns_stand_below_each_other_whatever_the_script() -> None:
    """A wide character takes two columns, a mark none."""
    assert output.table([("田中", "x"), ("e\u0301va", "y"), ("ann b", "z")]) == [
        "田中   x",
        "e\u0301va    y",
        "ann b  z",
    ]
