"""Nodes of tests/support/namespace_nodes.py that talk: is everything read, once, in one order, and how soon."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tests.support.namespace_nodes import PATIENCE_S, NodeProcess, timelines
from tests.support.network_shapes import Shape


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


def slowest_round_trip_s(nodes: Sequence[NodeProcess]) -> float:
    """The longest smoothed round trip of all their links now."""
    answers = [node.ask("mesh", count=1) for node in nodes]
    return max(each["rtt_s"] or 0.0 for answer in answers for each in answer["nodes"].values())


def now_s() -> float:
    """The clock that all processes of this machine share."""
    return time.monotonic()
