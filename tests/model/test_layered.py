"""Dicts that begin as others."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zmqchat.model.layered import Layered

KEYS = st.integers(0, 9)
STEPS = st.lists(st.tuples(st.sampled_from(("put", "remove", "copy")), KEYS, st.integers(0, 99)), max_size=60)


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_it_is_a_dict_whatever_was_copied_from_it(steps: list[tuple[str, int, int]]) -> None:
    """After any steps a dict and all its copies have what plain dicts would have, each its own."""
    pairs: list[tuple[Layered[int, int], dict[int, int]]] = [(Layered(), {})]
    for step, key, value in steps:
        layered, plain = pairs[value % len(pairs)]
        if step == "put":
            layered[key] = plain[key] = value
        elif step == "remove":
            assert layered.pop(key) == plain.pop(key, None)
        else:
            pairs.append((layered.copy(), dict(plain)))
    for layered, plain in pairs:
        assert dict(layered.items()) == plain and len(layered) == len(plain)
        assert sorted(layered) == sorted(plain) and sorted(layered.values()) == sorted(plain.values())
        assert [key in layered for key in range(10)] == [key in plain for key in range(10)]
        assert [layered.get(key, -1) for key in range(10)] == [plain.get(key, -1) for key in range(10)]


def test_a_missing_key_raises() -> None:
    """As in a dict, also where the key was removed from what lies below."""
    layered = Layered({1: "one"})
    assert layered[1] == "one"
    layered.pop(1)
    for key in (1, 2):
        with pytest.raises(KeyError):
            layered[key]


def test_a_value_that_is_changed_in_place_is_copied_first() -> None:
    """Who asks for a value of his own changes nobody else's; the second time he gets the same one."""
    layered = Layered({1: ["below"]})
    other = layered.copy()
    mine = layered.own(1, list)
    assert mine is not None and layered.own(2, list) is None
    mine.append("mine")
    assert layered.own(1, list) is mine
    assert layered[1] == ["below", "mine"] and other[1] == ["below"]


def test_what_differs_is_told() -> None:
    """Changes are what was put since; once something was removed they can't be told."""
    layered = Layered({1: "one", 2: "two"})
    layered[2] = "zwei"
    layered[3] = "drei"
    assert layered.changes == {2: "zwei", 3: "drei"}
    layered.pop(3)
    assert layered.changes == {2: "zwei"}
    layered.pop(1)
    assert layered.changes is None
    assert layered.copy().changes == {}
