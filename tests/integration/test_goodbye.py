"""A goodbye is heard: whoever stops in good order is shown offline at once, not after 30 s."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.mesh_processes import processes

ROUNDS = 10
GONE_S = 1.0
"""A tenth of what a lost goodbye would take, timings as they are for people."""


@pytest.mark.parametrize("dialler_stops", [True, False], ids=["the dialler stops", "the dialled stops"])
def test_who_stops_is_offline_within_a_second(home: Path, dialler_stops: bool) -> None:
    """Ten times in a row, while much is said to it: what it leaves unread resets its connections."""
    with processes(home) as mesh:
        stays = mesh.start("stays", scale=1.0)
        for number in range(ROUNDS):
            others = (stays,) if dialler_stops else ()
            stops = mesh.start(f"stops{number}", *others, scale=1.0)
            if not dialler_stops:
                stays.ask("dial", address=stops.address)
            for node in (stays, stops):
                node.ask("linked", count=1)
            stays.ask("stream", prefix=str(number), bytes=2_000)
            stays.wait_stored(len(stays.stored) + 50)
            asked = stays.tell("went", peer=stops.id)
            stopping = stops.tell("stop")
            gone_s = stays.answer(asked, GONE_S + 10)["at_s"]
            after_s = gone_s - stops.answer(stopping)["began_s"]
            assert after_s < GONE_S, f"round {number}: {after_s:.2f} s"
            stays.ask("stop_stream")
