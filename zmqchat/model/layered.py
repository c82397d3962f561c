"""A dict that may begin as another one, and keeps only what differs.

How it works. Below lies a dict that is never changed, and that any number of others may lie upon; above it what was
put or removed since. `copy` costs nothing but what this one has above: that becomes part of what lies below both. A
real node's dicts lie upon nothing. In a simulated room of ten thousand all replicas hold the same ten thousand logs but
for what was said since the run began.

A value that can be changed in place is changed in all of them: ask `own` for one first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")

_ABSENT: Final[Any] = object()
_REMOVED: Final[Any] = object()


class Layered(Generic[Key, Value]):
    """The dict; its order is that of a dict, but for keys that were removed below and came back."""

    __slots__ = ("_above", "_below", "_length")

    def __init__(self, below: Mapping[Key, Value] | None = None) -> None:
        self._below: Mapping[Key, Value] = {} if below is None else below
        self._above: dict[Key, Value] = {}
        self._length = len(self._below)

    def copy(self) -> Layered[Key, Value]:
        """Another one that begins as this; both may change from now on."""
        if self._above:
            self._below, self._above = dict(self.items()), {}
        return Layered(self._below)

    @property
    def changes(self) -> Mapping[Key, Value] | None:
        """What was put since it was copied or made; None where something was removed."""
        return None if _REMOVED in self._above.values() else self._above

    def __len__(self) -> int:
        return self._length

    def __contains__(self, key: object) -> bool:
        return self.get(key, _ABSENT) is not _ABSENT  # type: ignore[arg-type]  # as in a dict, of any type

    def __getitem__(self, key: Key) -> Value:
        value = self.get(key, _ABSENT)
        if value is _ABSENT:
            raise KeyError(key)
        return value  # type: ignore[no-any-return]  # a sentinel has no type

    def get(self, key: Key, default: Any = None) -> Any:
        """The value under this key."""
        value = self._above.get(key, _ABSENT)
        if value is _ABSENT:
            return self._below.get(key, default)
        return default if value is _REMOVED else value

    def own(self, key: Key, copied: Callable[[Value], Value]) -> Value | None:
        """The value under this key as one that may be changed in place, copied first if need be; None for none."""
        value = self._above.get(key, _ABSENT)
        if value is _ABSENT and key in self._below:
            value = self._above[key] = copied(self._below[key])
        return None if value is _ABSENT or value is _REMOVED else value

    def __setitem__(self, key: Key, value: Value) -> None:
        if key not in self:
            self._length += 1
        self._above[key] = value

    def pop(self, key: Key, default: Any = None) -> Any:
        """Remove this key; the value that it had."""
        value = self.get(key, _ABSENT)
        if value is _ABSENT:
            return default
        self._length -= 1
        if key in self._below:
            self._above[key] = _REMOVED
        else:
            del self._above[key]
        return value

    def __iter__(self) -> Iterator[Key]:
        return (key for key, _value in self.items())

    def items(self) -> Iterable[tuple[Key, Value]]:
        """All keys with their values."""
        return self._both() if self._below else self._above.items()

    def _both(self) -> Iterator[tuple[Key, Value]]:
        above, below = self._above, self._below
        for key, value in below.items():
            value = above.get(key, value)
            if value is not _REMOVED:
                yield key, value
        for key, value in above.items():
            if key not in below:
                yield key, value

    def values(self) -> Iterable[Value]:
        """All values."""
        return (value for _key, value in self.items()) if self._below else self._above.values()
