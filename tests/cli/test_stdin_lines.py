"""Lines of standard input become messages, in bounded memory, whatever comes."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqchat.cli.stdin_lines import InputLine, input_lines, interruptible_input
from zmqchat.model.limits import TEXT_BYTES_MAX


def _lines(*chunks: bytes) -> list[InputLine]:
    pieces: Iterator[bytes] = iter((*chunks, b""))
    return list(input_lines(lambda: next(pieces)))


def test_lines_end_as_they_end_anywhere() -> None:
    """\\n and \\r\\n end a line, blank ones are skipped, the last needs no end."""
    assert [line.text for line in _lines(b"a\r\n\n  \nb\r", b"\nla", b"st")] == ["a", "b", "last"]


def test_bytes_that_are_no_text_are_replaced() -> None:
    """Invalid UTF-8 becomes U+FFFD, also across reads; NUL stays."""
    assert [line.text for line in _lines(b"\xff\n\xe4\xbd", b"\xa0\nx\x00y\n")] == ["\ufffd", "你", "x\x00y"]


def test_a_line_over_the_limit_is_told_and_the_rest_goes_on() -> None:
    """Ten megabytes without an end are one bad line, of which only the size is kept."""
    lines = _lines(b"a\n", *[b"x" * 65_536] * 160, b"\nb\n")
    assert [line.text for line in lines] == ["a", None, "b"]
    assert lines[1].size_bytes == 160 * 65_536


def test_the_largest_text_fits() -> None:
    """64 KiB are sent, one byte more is not; replacing may make a text too long as well."""
    assert [line.text is None for line in _lines(b"x" * TEXT_BYTES_MAX + b"\r\n" + b"y" * (TEXT_BYTES_MAX + 1))] == [
        False,
        True,
    ]
    assert _lines(b"\xff" * TEXT_BYTES_MAX)[0].text is None


@given(st.binary(max_size=200), st.integers(1, 50))
def test_how_input_is_cut_into_reads_makes_no_difference(data: bytes, size: int) -> None:
    """The same lines come out however the bytes arrive."""
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    assert _lines(*chunks) == _lines(*([data] if data else []))


@pytest.mark.skipif(sys.platform == "win32", reason="its signals end no system call")
def test_a_signal_just_before_the_waiting_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that comes after Python last looked for signals, and before the system call, is seen at once."""
    reading, writing = os.pipe()
    waited: list[list[int]] = []
    select_really = select.select

    def select_late(files: list[int], *_others: list[int]) -> tuple[list[int], list[int], list[int]]:
        if not waited:
            waking = signal.set_wakeup_fd(-1)
            signal.set_wakeup_fd(waking)
            os.write(waking, bytes([signal.SIGINT]))
        ready = select_really(files, [], [], 10.0)[0]
        waited.append(ready)
        os.write(writing, b"a line\n")
        return ready, [], []

    monkeypatch.setattr(select, "select", select_late)
    with os.fdopen(reading) as stdin, os.fdopen(writing, "wb"):
        monkeypatch.setattr(sys, "stdin", stdin)
        with interruptible_input() as read:
            assert read().startswith(b"a line\n")
    assert waited[0] and reading not in waited[0]
    assert waited[1] == [reading]
