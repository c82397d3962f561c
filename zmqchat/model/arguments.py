"""Checks of what programs pass: a value of another type is one clear error here, and none from deep inside later."""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, Iterable

from zmqchat.model.errors import UsageError

SECONDS_MAX = 1e9


def text_checked(what: str, value: object) -> str:
    """Raises UsageError for what is no text."""
    if not isinstance(value, str):
        raise UsageError(f"{what} must be a text, not {_shown(value)}")
    return value


def texts_checked(what: str, values: object) -> tuple[str, ...]:
    """Raises UsageError for what is no list of texts; a single text is none, though each of its characters is one."""
    if isinstance(values, str | bytes):
        raise UsageError(f"{what} must be a list of texts, as in [{_shown(values)}], not the one text {_shown(values)}")
    try:
        texts: tuple[object, ...] = tuple(values)  # type: ignore[arg-type]  # it is found out here
    except TypeError:
        raise UsageError(f"{what} must be a list of texts, not {_shown(values)}") from None
    return tuple(text_checked(f"each of {what}", text) for text in texts)


def check_source(what: str, source: object) -> None:
    """Raises UsageError for what gives no texts one by one; a single text would give its characters."""
    if isinstance(source, str | bytes):
        raise UsageError(f"{what} must give texts one by one, as [{_shown(source)}] does, not be one text")
    if not isinstance(source, Iterable | AsyncIterable):
        raise UsageError(f"{what} must give texts one by one, as a list does, not be {_shown(source)}")


def flag_checked(what: str, value: object) -> bool:
    """Raises UsageError for what is neither True nor False."""
    if not isinstance(value, bool):
        raise UsageError(f"{what} must be True or False, not {_shown(value)}")
    return value


def whole_number_checked(what: str, value: object) -> int:
    """Raises UsageError for what is no whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise UsageError(f"{what} must be a whole number, not {_shown(value)}")
    return value


def seconds_checked(what: str, value: object) -> float | None:
    """A duration, None for as long as it takes. Raises UsageError for what is no number, negative or endless."""
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or math.isnan(value) or not 0 <= value <= SECONDS_MAX:  # type: ignore[arg-type,operator]  # see before
        raise UsageError(f"{what} must be seconds, 0 or more, or None for as long as it takes; not {_shown(value)}")
    return float(value)  # type: ignore[arg-type]  # see above


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:80] + "…"
