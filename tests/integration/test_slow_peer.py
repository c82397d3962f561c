"""One of a partial mesh of real processes that takes nothing in: the others go on as if it were not there."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.mesh_processes import Answer, MeshProcess, Processes, processes, same_timeline

NODES = 6
SMALL = {"full_mesh_max": 3, "full_mesh_again": 2, "neighbours": 3}
"""Two to four neighbours a node."""

PATIENT = {"link_dead_s": 500.0, "suspect_s": 600.0, "offline_s": 1_000.0, "doubt_s": 500.0, "gap_after_s": 600.0}
"""No link ends because its peer is silent."""

TEXT_BYTES = 40_000
WITHIN_S = 60.0
GROWTH_BYTES_MAX = 48 * 1024 * 1024
SAMPLES = 20


def until(nodes: list[MeshProcess], condition: Callable[[list[Answer]], bool]) -> list[Answer]:
    """Wait until the links of all these are as they should be; gives them."""
    deadline_s = time.monotonic() + WITHIN_S
    while not condition(found := [node.ask("links") for node in nodes]):
        assert time.monotonic() < deadline_s, found
        time.sleep(0.02)
    return found


def started(mesh: Processes, config: dict[str, float]) -> list[MeshProcess]:
    """All nodes, once each has a few neighbours and everybody's first words."""
    nodes: list[MeshProcess] = []
    for number in range(NODES):
        nodes.append(mesh.start(f"node{number}", *nodes[:1], config={**SMALL, **config}))
    until(nodes, lambda found: all(one["partial"] and len(one["neighbours"]) >= 2 for one in found))
    for number, node in enumerate(nodes):
        node.ask("send", text=f"hello {number}")
    same_timeline(*nodes, count=NODES, timeout_s=WITHIN_S)
    return nodes


def latencies(nodes: list[MeshProcess], what: str) -> list[float]:
    """How long texts of the first take to the last of the others."""
    took = []
    for number in range(SAMPLES):
        said_s = nodes[0].ask("send", text=f"{what} {number}")["at_s"]
        took.append(max(node.ask("seen", text=f"{what} {number}")["at_s"] for node in nodes[1:]) - said_s)
    return took


@pytest.mark.parametrize("case", ["held for slow", "silent"])
def test_one_that_is_stopped_stops_nobody_and_catches_up(home: Path, case: str) -> None:
    """SIGSTOP amid long texts: the others' texts take no longer and their memory is bounded; it has all in the end."""
    with processes(home) as mesh:
        nodes = started(mesh, PATIENT if case == "held for slow" else {})
        stopped, others = nodes[-1], nodes[:-1]
        before = latencies(others, "before")
        memory = [node.ask("memory")["bytes"] for node in others]
        stopped.pause()
        for author in others[1:3]:
            author.ask("stream", prefix=f"{author.id[:8]} amid", tasks=4, bytes=TEXT_BYTES)
        if case == "held for slow":
            until(others, lambda found: any(stopped.id in one["slow"] for one in found))
        else:
            until(others, lambda found: all(stopped.id not in one["linked"] for one in found))
        for author in others[1:3]:
            author.ask("stop_stream")
        during = latencies(others, "during")
        growth = [node.ask("memory")["bytes"] - had for node, had in zip(others, memory, strict=True)]
        stopped.resume()
        same_timeline(*nodes, timeout_s=WITHIN_S)
        medians = statistics.median(before), statistics.median(during)
        print(f"median {medians[0] * 1e3:.1f} and {medians[1] * 1e3:.1f} ms; memory +{max(growth) / 2**20:.0f} MiB")
        assert medians[1] < 3 * medians[0] + 0.02
        assert max(growth) < GROWTH_BYTES_MAX
        assert not any(one["faults"] for one in until(nodes, bool))
        assert stopped.ask("seen", text=f"during {SAMPLES - 1}")["twice"] == 0
