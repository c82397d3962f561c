"""Of what is caught up with the last messages are shown, once."""

from __future__ import annotations

import threading

from zmqchat.cli.client import Fields
from zmqchat.cli.gathering import SHOWN_OF_A_RUN, Gathering

FAR_S = 60.0


def _record(number: int) -> Fields:
    return {"sent_at": f"2026-01-01T00:00:{number:05d}"}


def test_the_last_of_a_long_run_are_shown_and_the_rest_counted() -> None:
    """Thousands make one screenful, in the order of their times, and what they were is shown no more."""
    shown: list[tuple[int, list[Fields]]] = []
    gathering = Gathering(lambda left_out, records: shown.append((left_out, records)), FAR_S)
    numbers = [*range(1_000 - SHOWN_OF_A_RUN), *reversed(range(1_000 - SHOWN_OF_A_RUN, 1_000))]
    for number in numbers:
        gathering.add(_record(number))
    gathering.flush()
    gathering.flush()
    gathering.stop()
    assert shown == [(1_000 - SHOWN_OF_A_RUN, [_record(n) for n in range(1_000 - SHOWN_OF_A_RUN, 1_000)])]


def test_a_run_is_shown_when_it_pauses() -> None:
    """Nobody has to say anything live for it."""
    was_shown = threading.Event()
    gathering = Gathering(lambda _left_out, _records: was_shown.set(), 0.01)
    gathering.add(_record(1))
    assert was_shown.wait(10)


def test_what_was_stopped_shows_nothing() -> None:
    """The chat has gone to another room."""
    shown: list[int] = []
    gathering = Gathering(lambda left_out, _records: shown.append(left_out), FAR_S)
    gathering.add(_record(1))
    gathering.stop()
    gathering.flush()
    assert shown == []
