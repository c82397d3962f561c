"""The switch between skipping and failing."""

from __future__ import annotations

import pytest

from tests.support.requirements import require


def test_what_is_there_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A condition that holds lets the test go on, under either setting."""
    for value in ("", "all"):
        monkeypatch.setenv("ZMQCHAT_TESTS_REQUIRE", value)
        require(True, "never said")


def test_what_is_missing_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a bare machine the test is skipped, with its reason."""
    monkeypatch.delenv("ZMQCHAT_TESTS_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no tmux"):
        require(False, "no tmux")


def test_what_is_missing_fails_where_all_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    """In CI a skipped test would hide what was never run."""
    monkeypatch.setenv("ZMQCHAT_TESTS_REQUIRE", "all")
    with pytest.raises(pytest.fail.Exception, match="no tmux"):
        require(None, "no tmux")
