"""Real processes that can't all reach each other: those between them relay at once, the next one when one is killed."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from tests.support.mesh_processes import MeshProcess, processes, same_timeline

CHAIN = {"exchange_dials": False}
"""Only those are linked that were told of each other."""

MESSAGES = 11
HOP_S = 0.05
OPENED_S = 30.0
"""Far more than the five seconds after which a gap is one, as the machine may be busy."""


def until_gapped(node: MeshProcess, other: MeshProcess) -> None:
    """Wait until a node knows that it can't be linked to another."""
    deadline_s = time.monotonic() + OPENED_S
    while other.id not in (links := node.ask("links"))["unreached"]:
        assert time.monotonic() < deadline_s, links
        time.sleep(0.1)


def typical_latency_s(author: MeshProcess, reader: MeshProcess, prefix: str) -> float:
    """How long a message takes from before it is sent until a program reads it there: half are quicker."""
    took = []
    for number in range(MESSAGES):
        said_s = time.monotonic()
        author.ask("send", text=f"{prefix} {number}")
        took.append(reader.ask("seen", text=f"{prefix} {number}")["at_s"] - said_s)
    print(f"{prefix}: {sorted(round(1000 * each_s, 1) for each_s in took)} ms")
    return float(statistics.median(took))


def test_a_chain_of_three_is_live_both_ways(home: Path) -> None:
    """Two hops take two hops' time, far below the second that HAVE may take a hop, and `delivered` knows both."""
    with processes(home) as mesh:
        bob = mesh.start("bob", config=CHAIN, scale=1.0)
        ann, cat = (mesh.start(name, bob, config=CHAIN, scale=1.0) for name in ("ann", "cat"))
        bob.ask("linked", count=2)
        until_gapped(ann, cat)
        until_gapped(cat, ann)
        assert typical_latency_s(ann, cat, "there") < 2 * HOP_S
        assert typical_latency_s(cat, ann, "back") < 2 * HOP_S
        assert len(ann.ask("send", text="all", until="delivered", timeout=20.0)["delivered"]) == 2
        assert not bob.ask("links")["unreached"]
        same_timeline(ann, bob, cat, count=2 * MESSAGES + 1)


def test_a_killed_relay_is_made_up_for_at_once(home: Path) -> None:
    """Two lead from ann to dan; whichever is killed, within five seconds messages are live again, and none is lost."""
    with processes(home) as mesh:
        bob = mesh.start("bob", config=CHAIN, scale=1.0)
        cat = mesh.start("cat", bob, config=CHAIN, scale=1.0)
        ann, dan = (mesh.start(name, bob, cat, config=CHAIN, scale=1.0) for name in ("ann", "dan"))
        for node in (bob, cat):
            node.ask("linked", count=3)
        until_gapped(ann, dan)
        until_gapped(dan, ann)
        assert typical_latency_s(ann, dan, "before") < 2 * HOP_S
        bob.kill()
        killed_s = time.monotonic()
        for number in range(5):
            ann.ask("send", text=f"meanwhile {number}")
        rounds = 1
        while typical_latency_s(ann, dan, f"after, round {rounds}") >= 2 * HOP_S:
            assert time.monotonic() < killed_s + 5.0
            rounds += 1
        same_timeline(ann, cat, dan, count=MESSAGES + 5 + rounds * MESSAGES)
