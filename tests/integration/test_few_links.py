"""A partial mesh of real processes: few links each, everything said is everywhere, and it mends."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.support.mesh_processes import Answer, MeshProcess, Processes, processes, same_timeline

NODES = 12
SMALL = {"full_mesh_max": 6, "full_mesh_again": 4, "neighbours": 3}
"""Two to four neighbours a node from seven members on."""

SETTLED_S = 60.0
"""Far more than it takes to switch and to give up links, as twelve processes share a few cores."""


def until(nodes: list[MeshProcess], condition: Callable[[list[Answer]], bool]) -> list[Answer]:
    """Wait until the links of all nodes are as they should be; gives them."""
    deadline_s = time.monotonic() + SETTLED_S
    while not condition(found := [node.ask("links") for node in nodes]):
        assert time.monotonic() < deadline_s, found
        time.sleep(0.2)
    return found


def is_settled(found: list[Answer]) -> bool:
    """Whether all keep a few neighbours and know of all others."""
    return all(
        answer["partial"] and 2 <= len(answer["neighbours"]) <= 4 and answer["live"] == len(found) - 1
        for answer in found
    )


def started(mesh: Processes) -> list[MeshProcess]:
    """All nodes, each told of one that runs."""
    nodes: list[MeshProcess] = []
    for number in range(NODES):
        known = [nodes[number // 2]] if nodes else []
        nodes.append(mesh.start(f"node{number}", *known, config=SMALL))
    return nodes


def test_twelve_processes_with_three_links_each_share_one_timeline(home: Path) -> None:
    """Each says something before and after a quarter of them is killed: all who are left have all of it once."""
    with processes(home) as mesh:
        nodes = started(mesh)
        found = until(nodes, is_settled)
        assert max(len(answer["linked"]) for answer in found) <= found[0]["most"]
        assert any(len(answer["linked"]) < NODES - 1 for answer in found)
        for number, node in enumerate(nodes):
            node.ask("send", text=f"before {number}")
        same_timeline(*nodes, count=NODES, timeout_s=SETTLED_S)
        for node in nodes[4:7]:
            node.kill()
        left = nodes[:4] + nodes[7:]
        for number, node in enumerate(left):
            node.ask("send", text=f"after {number}")
        same_timeline(*left, count=NODES + len(left), timeout_s=SETTLED_S)
        until(left, is_settled)
