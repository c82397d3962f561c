"""Nodes of tests/support/namespace_nodes.py that talk: is everything read, once, in one order, and how soon."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from tests.support.lateness import watched_lateness
from tests.support.namespace_nodes import PATIENCE_S, NodeProcess, timelines
from tests.support.network_shapes import Shape

LIVE_S = 0.05
"""What a hop may take beyond the round trip."""

WAKES_A_HOP = 4
"""Loop, writer and network threads that must wake in turn for a hop: on a busy machine each of them is late."""

IN_A_ROW = 10
"""Texts in a row that must be live."""

LIVE_WITHIN_S = 45.0
"""Until it is known who can't reach whom, with much patience for a busy machine."""


def link_neighbours(nodes: Sequence[NodeProcess], shape: Shape, within_s: float = PATIENCE_S) -> None:
    """Wait until each is linked with all that it reaches, and knows of all."""
    for node, reached in zip(nodes, shape.neighbours, strict=True):
        node.tell("linked", ids=[nodes[other].id for other in sorted(reached)], within_s=within_s)
    for node in nodes:
        node.answer(within_s)
    for node in nodes:
        node.tell("mesh", count=len(nodes), within_s=within_s)
    for node in nodes:
        node.answer(within_s)


def link_all_in_time(nodes: Sequence[NodeProcess], within_s: float) -> float:
    """Wait until each is linked with all others; how long that took."""
    began_s = now_s()
    for node in nodes:
        node.tell("linked", ids=[other.id for other in nodes if other is not node], within_s=within_s)
    return max([float(node.answer(within_s)["at_s"]) for node in nodes]) - began_s


def all_say(what: str, nodes: Sequence[NodeProcess], *, count: int = 1, interval_s: float = 0.0) -> list[str]:
    """Each sends so many texts, all at the same time; the texts."""
    said = []
    for node in nodes:
        texts = [f"{node.name} {what} {number}" for number in range(count)]
        node.tell("say", texts=texts, interval_s=interval_s)
        said += texts
    for node in nodes:
        node.answer()
    return said


def all_read(said: Sequence[str], nodes: Sequence[NodeProcess], within_s: float = PATIENCE_S) -> float:
    """Wait until each has read all of it, once; when the last had."""
    for node in nodes:
        node.tell("read", texts=list(said), within_s=within_s)
    answers = [node.answer(within_s) for node in nodes]
    assert [answer["twice"] for answer in answers] == [0] * len(nodes)
    return max(float(at_s) for answer in answers for at_s in answer["at_s"])


def assert_one_timeline(said: Sequence[str], nodes: Sequence[NodeProcess]) -> None:
    """Everybody shows the same, and just what was said."""
    first, *others = timelines(*nodes)
    assert sorted(first) == sorted(said)
    assert all(other == first for other in others)


def latencies_s(
    what: str, sender: NodeProcess, readers: Sequence[NodeProcess], *, count: int = 10, interval_s: float = 0.1
) -> list[list[float]]:
    """Seconds from send() to being read, of texts sent one after the other; for each reader, sorted."""
    texts = [f"{sender.name} {what} {number}" for number in range(count)]
    sent_s = sender.say(*texts, interval_s=interval_s)
    for node in readers:
        node.tell("read", texts=texts)
    answers = [node.answer() for node in readers]
    assert [answer["twice"] for answer in answers] == [0] * len(readers)
    return [sorted(read - sent for sent, read in zip(sent_s, answer["at_s"], strict=True)) for answer in answers]


def round_trip_s(nodes: Sequence[NodeProcess]) -> float:
    """The usual smoothed round trip of their links now."""
    answers = [node.ask("mesh", count=1) for node in nodes]
    known: list[float | None] = [each["rtt_s"] for answer in answers for each in answer["nodes"].values()]
    return statistics.median([rtt_s for rtt_s in known if rtt_s is not None])


def await_live(
    nodes: Sequence[NodeProcess],
    author: int,
    shape: Shape,
    said: list[str],
    *,
    count: int = IN_A_ROW,
    within_s: float = LIVE_WITHIN_S,
) -> float:
    """Wait until texts of one node, IN_A_ROW at least, reach each other in hops x (LIVE_S + RTT); when that began.

    What this machine is late for being busy is allowed for.

    They are sent `count` at a time, and added to `said`.
    """
    deadline_s = now_s() + within_s
    hops = [(number, shape.hops(author, number)) for number in range(len(nodes))]
    far = {number: links for number, links in hops if links}
    shown = ""
    while now_s() < deadline_s:
        what = f"live {now_s():.3f}"
        texts = [f"{nodes[author].name} {what} {number}" for number in range(count)]
        with watched_lateness() as lateness:
            sent_s = nodes[author].say(*texts, interval_s=0.1)
            took = [[at_s - sent for sent, at_s in zip(sent_s, nodes[n].read(texts), strict=True)] for n in far]
        said += texts
        rtt_s, late_s = round_trip_s([nodes[number] for number in far]), WAKES_A_HOP * lateness.usual_worst_s
        limits_s = [links * (LIVE_S + rtt_s + late_s) for links in far.values()]
        slow = [n for n in range(count) if any(each[n] > limit for each, limit in zip(took, limits_s, strict=True))]
        first = slow[-1] + 1 if slow else 0
        worst = sorted((links, max(each[-IN_A_ROW:])) for links, each in zip(far.values(), took, strict=True))
        shown = ", ".join(f"{links}: {worst_s * 1000:.0f}" for links, worst_s in worst)
        waits = f"RTT {rtt_s * 1000:.1f}, late {late_s * 1000:.1f} ms"
        print(f"from {nodes[author].name}, worst ms of the last by hops: {shown}; {waits}")
        if count - first >= IN_A_ROW:
            return sent_s[first]
    raise AssertionError(f"not live within {within_s:g} s; worst ms by hops: {shown}")


def now_s() -> float:
    """The clock that all processes of this machine share."""
    return time.monotonic()
