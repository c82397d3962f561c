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


def now_s() -> float:
    """The clock that all processes of this machine share."""
    return time.monotonic()
