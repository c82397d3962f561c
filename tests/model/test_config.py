"""Config: positive times whose relations are checked when it is built."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest

from zmqchat.model.config import Config
from zmqchat.model.errors import BadConfig


@pytest.mark.parametrize("field", [field.name for field in fields(Config) if field.type == "float"])
@pytest.mark.parametrize("value", [0, -1, 1e7, True, "2", float("nan")])
def test_a_time_must_be_a_positive_number(field: str, value: object) -> None:
    """Each field refuses zero, negative, absurd and non-numeric values, by its name."""
    with pytest.raises(BadConfig, match=field):
        Config(**{field: value})  # type: ignore[arg-type]  # the wrong types are what is tested


@pytest.mark.parametrize(
    "changed",
    [
        {"ping_idle_s": 6.0},
        {"link_dead_s": 30.0},
        {"redial_max_s": 300.0},
        {"have_author_s": 0.5},
        {"sync_jitter": 1.0},
    ],
)
def test_contradictions_are_refused(changed: dict[str, Any]) -> None:
    """A link must be pinged before it is dead, and dead before its peer is offline."""
    with pytest.raises(BadConfig):
        replace(Config(), **changed)


def test_scaling_multiplies_times_and_nothing_else() -> None:
    """A tenth of all times keeps the jitter, which is no time."""
    scaled = Config().scaled(0.1)
    assert scaled.offline_s == pytest.approx(3.0)
    assert scaled.sync_jitter == Config().sync_jitter


def test_a_config_never_changes() -> None:
    """Machines may keep it."""
    with pytest.raises(FrozenInstanceError):
        Config().offline_s = 1.0  # type: ignore[misc]  # what the type checker forbids is what is tested
