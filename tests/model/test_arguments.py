"""What programs pass: right values come through, every other one is one UsageError that says what was expected."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqchat.model import arguments
from zmqchat.model.errors import UsageError


def test_what_is_right_comes_through() -> None:
    """Values of the right kind are given back."""
    assert arguments.text_checked("name", "ann") == "ann"
    assert arguments.texts_checked("peers", ["a", "b"]) == ("a", "b")
    assert arguments.flag_checked("discovery", False) is False
    assert arguments.whole_number_checked("last", 0) == 0
    assert [arguments.seconds_checked("timeout", value) for value in (None, 0, 2, 0.5)] == [None, 0.0, 2.0, 0.5]
    arguments.check_source("the source", iter(()))


@pytest.mark.parametrize(
    ("check", "value", "told"),
    [
        (arguments.text_checked, 5, "x must be a text, not 5"),
        (arguments.text_checked, b"ann", "not b'ann'"),
        (arguments.texts_checked, "127.0.0.1:80", r"as in \['127.0.0.1:80'\], not the one text"),
        (arguments.texts_checked, 5, "x must be a list of texts, not 5"),
        (arguments.texts_checked, [5], "each of x must be a text, not 5"),
        (arguments.texts_checked, None, "not None"),
        (arguments.flag_checked, "no", "x must be True or False, not 'no'"),
        (arguments.flag_checked, 1, "not 1"),
        (arguments.whole_number_checked, True, "not True"),
        (arguments.whole_number_checked, 1.0, r"not 1\.0"),
        (arguments.seconds_checked, "x", "x must be seconds, 0 or more, or None"),
        (arguments.seconds_checked, float("nan"), "not nan"),
        (arguments.seconds_checked, -1, "not -1"),
        (arguments.seconds_checked, float("inf"), "None for as long as it takes; not inf"),
        (arguments.seconds_checked, True, "not True"),
        (arguments.check_source, "text", r"as \['text'\] does, not be one text"),
        (arguments.check_source, 5, "not be 5"),
    ],
)
def test_what_is_wrong_says_what_was_expected(check: Callable[[str, object], object], value: object, told: str) -> None:
    """One line that names the argument and shows its value."""
    with pytest.raises(UsageError, match=told):
        check("x", value)


@given(st.floats() | st.integers() | st.text() | st.none() | st.lists(st.integers()))
def test_a_duration_is_a_number_or_a_usage_error(value: object) -> None:
    """Nothing else is raised, and nothing comes through that a clock can't wait for."""
    with suppress(UsageError):
        seconds = arguments.seconds_checked("timeout", value)
        assert seconds is None or 0 <= seconds <= arguments.SECONDS_MAX
