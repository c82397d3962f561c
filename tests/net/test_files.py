"""File descriptors: the need is computed, the soft limit raised, a short hard limit refused."""

from __future__ import annotations

import os

import pytest

from zmqchat.model.errors import FileLimit
from zmqchat.model.limits import HALF_OPEN_MAX, PEERS_LIVE_MAX
from zmqchat.net import files

resource = pytest.importorskip("resource")


class Limits:
    """Stands in for the operating system's limits."""

    RLIM_INFINITY = -1
    RLIMIT_NOFILE = 7

    def __init__(self, soft: int, hard: int) -> None:
        self.now = (soft, hard)

    def getrlimit(self, _what: int) -> tuple[int, int]:
        """As in `resource`."""
        return self.now

    def setrlimit(self, _what: int, limits: tuple[int, int]) -> None:
        """As in `resource`."""
        self.now = limits


@pytest.mark.parametrize(
    ("soft", "hard", "after", "limit"),
    [
        (1_024, 4_096, (3_000, 4_096), 3_000),
        (1_024, -1, (3_000, -1), 3_000),
        (5_000, 5_000, (5_000, 5_000), 5_000),
        (-1, -1, (-1, -1), 3_000),
    ],
)
def test_soft_limit_is_raised_where_it_is_too_low(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, after: tuple[int, int], limit: int
) -> None:
    """The soft limit becomes what is needed, never less than it was; the hard one is left alone."""
    limits = Limits(soft, hard)
    monkeypatch.setattr(files, "resource", limits)
    assert files.raise_file_limit(3_000) == limit
    assert limits.now == after


def test_short_hard_limit_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hard limit below the need is an error with the command that raises it."""
    monkeypatch.setattr(files, "resource", Limits(256, 1_024))
    with pytest.raises(FileLimit, match="ulimit -Hn 3000"):
        files.raise_file_limit(3_000)


def test_need_covers_every_link_and_every_half_open_connection() -> None:
    """The number follows from the limits, so that raising one of them raises it."""
    assert files.FILES_NEEDED > PEERS_LIVE_MAX * files.FILES_PER_PEER + HALF_OPEN_MAX


def test_open_files_are_counted() -> None:
    """One more open file is one more counted."""
    before = files.open_files()
    ends = os.pipe()
    try:
        assert files.open_files() == before + 2
    finally:
        for end in ends:
            os.close(end)
