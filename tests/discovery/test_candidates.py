"""The table of candidates stays bounded and consistent, whatever is put in."""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from tests.support.discovering import peer
from zmqchat.discovery.candidates import CANDIDATES_PER_HOST_MAX, RESIGHT_S, Candidates
from zmqchat.discovery.records import Sighting
from zmqchat.model.addresses import Endpoint
from zmqchat.model.limits import CANDIDATES_MAX


def _sighting(number: int, host: str, door: int = 1) -> Sighting:
    return Sighting(peer(number), (Endpoint(host, door),))


def test_a_record_is_told_when_new_changed_or_sent_again_later() -> None:
    """The same record within RESIGHT_S is not told twice."""
    table = Candidates(random.Random(1))
    assert table.note("Ann", _sighting(1, "10.0.0.1"), 0.0)
    assert not table.note("ann", _sighting(1, "10.0.0.1"), 0.1)
    assert table.note("ann", _sighting(1, "10.0.0.2"), 0.2)
    assert not table.note("ann", _sighting(1, "10.0.0.2"), 0.2 + RESIGHT_S - 0.1)
    assert table.note("ann", _sighting(1, "10.0.0.2"), 0.2 + RESIGHT_S)
    assert len(table) == 1


def test_a_forgotten_record_is_new() -> None:
    """After a goodbye, or after distrusting all, the next record is told."""
    table = Candidates(random.Random(1))
    ways: list[Callable[[], None]] = [lambda: table.forget("ANN"), table.clear]
    for forget in ways:
        assert table.note("ann", _sighting(1, "10.0.0.1"), 0.0)
        forget()
        assert "ann" not in table and len(table) == 0
    table.forget("nobody")


def test_fifty_thousand_records_leave_the_table_at_its_limit() -> None:
    """Hostile input 38: random replacement, and the real one comes back with its next record."""
    table = Candidates(random.Random(1))
    for number in range(50_000):
        table.note(f"fake{number}", _sighting(0, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"), 0.0)
    assert len(table) == CANDIDATES_MAX
    assert table.note("real", _sighting(1, "10.200.0.1"), 1.0)
    assert len(table) == CANDIDATES_MAX


def test_one_host_fills_only_its_share() -> None:
    """A machine that invents a thousand nodes pushes out its own, not others'."""
    table = Candidates(random.Random(1))
    table.note("honest", _sighting(1, "10.0.0.1"), 0.0)
    for number in range(1_000):
        table.note(f"fake{number}", _sighting(2, "10.0.0.66", number + 1), 0.0)
    assert len(table) == 1 + CANDIDATES_PER_HOST_MAX
    assert "honest" in table


@given(
    st.lists(st.tuples(st.sampled_from("abcdefghij"), st.integers(1, 3), st.integers(0, 3), st.booleans()), max_size=80)
)
def test_the_table_agrees_with_a_plain_dictionary(steps: list[tuple[str, int, int, bool]]) -> None:
    """Below its limits it behaves as a dictionary of the last record by name."""
    table = Candidates(random.Random(1))
    model: dict[str, Sighting] = {}
    for name, host, door, forget in steps:
        if forget:
            table.forget(name)
            model.pop(name, None)
        else:
            sighting = _sighting(1, f"10.0.0.{host}", door)
            assert table.note(name, sighting, 0.0) is (model.get(name) != sighting)
            model[name] = sighting
        assert len(table) == len(model)
        assert all((each in table) is (each in model) for each in "abcdefghij")


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), max_size=100))
def test_a_small_table_never_passes_its_limit(steps: list[tuple[int, int]]) -> None:
    """With room for four, four stay, and the newest is among them."""
    table = Candidates(random.Random(1), most=4)
    for name, host in steps:
        table.note(f"n{name}", _sighting(name, f"10.0.0.{host}"), 0.0)
        assert len(table) <= 4
        assert f"n{name}" in table
