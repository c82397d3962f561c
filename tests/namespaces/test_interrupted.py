"""Three hosts whose network fails under them: cables come out, machines sleep, and nothing is lost or read twice."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.namespace_nodes import NodeProcess, crew, link_all, meet, open_all, timelines
from tests.support.namespaces import lan, needs_namespaces

pytestmark = [needs_namespaces, pytest.mark.timeout(180)]

RECONNECTED_S = 5.0
"""From being reachable again until all is as before."""


def _cable_out_and_in(folder: Path, out_s: float) -> None:
    """Both sides go on talking while one is cut off; then all read everything, in one order, once."""
    with lan(hosts=3) as network, crew(folder) as nodes:
        ann, ben, cas = nodes.start(*network.hosts)
        open_all(ann, ben, cas)
        meet(ann, ben, cas)
        _all_say("before", ann, ben, cas)
        cas.host.unplug()
        out_at_s = time.monotonic()
        said = _all_say("while out", ann, ben, cas, count=50, interval_s=0.02)
        _let_pass(out_s - (time.monotonic() - out_at_s), ann)
        cas.host.plug()
        in_at_s = time.monotonic()
        for node in (ann, ben, cas):
            took_s = max(node.read(said)) - in_at_s
            print(f"cable out for {out_s:g} s, all read by {node.name}: {took_s:.2f} s after it is in")
            assert took_s < RECONNECTED_S
        took_s = link_all(ann, ben, cas, within_s=RECONNECTED_S) - in_at_s
        print(f"cable out for {out_s:g} s, linked {took_s:.2f} s after it is in")
        assert took_s < RECONNECTED_S
        _is_whole(ann, ben, cas)


def _all_say(what: str, *nodes: NodeProcess, count: int = 1, interval_s: float = 0.0) -> list[str]:
    """Each sends so many texts, at the same time; all of them."""
    said = []
    for node in nodes:
        texts = [f"{node.name} {what} {number}" for number in range(count)]
        node.tell("say", texts=texts, interval_s=interval_s)
        said += texts
    for node in nodes:
        node.answer()
    return said


def _is_whole(*nodes: NodeProcess) -> None:
    """A last word from each reaches all, over the links that are there now, and all show the same."""
    said = _all_say("at last", *nodes)
    for node in nodes:
        node.read(said)
    first, *others = timelines(*nodes)
    assert len(first) == len(set(first))
    assert all(other == first for other in others)


def _let_pass(seconds: float, witness: NodeProcess) -> None:
    """Real time, in which a node is asked for its peers now and then, so that one that dies is noticed at once."""
    until_s = time.monotonic() + seconds
    while (left_s := until_s - time.monotonic()) > 0:
        time.sleep(min(1.0, left_s))
        witness.ask("peers")


@pytest.mark.parametrize("out_s", [2.0, 7.0])
def test_a_cable_is_out_for_a_moment(tmp_path: Path, out_s: float) -> None:
    """Shorter than a link takes to be noticed as dead, and longer."""
    _cable_out_and_in(tmp_path, out_s)


@pytest.mark.slow
def test_a_cable_is_out_for_twenty_seconds(tmp_path: Path) -> None:
    """Long enough for every retry to have grown long."""
    _cable_out_and_in(tmp_path, 20.0)


def _stop_and_wake(folder: Path, asleep_s: float) -> None:
    with lan(hosts=3) as network, crew(folder) as nodes:
        ann, ben, cas = nodes.start(*network.hosts)
        open_all(ann, ben, cas)
        meet(ann, ben, cas)
        before = _all_say("before", ann, ben, cas)
        for node in (ann, ben, cas):
            node.read(before)
        cas.pause()
        stopped_s = time.monotonic()
        said = _all_say("while asleep", ann, ben, count=50, interval_s=0.02)
        if asleep_s > 40:
            for node in (ann, ben):
                told_s = node.ask("presence", peer=cas.id, online=False, after_s=stopped_s, within_s=40)["at_s"]
                print(f"{node.name} is told that the sleeper is offline after {told_s - stopped_s:.1f} s")
                assert 28 < told_s - stopped_s < 33
        _let_pass(asleep_s - (time.monotonic() - stopped_s), ann)
        cas.resume()
        woken_s = time.monotonic()
        took_s = max(cas.read(said)) - woken_s
        print(f"asleep for {asleep_s:g} s, all read {took_s:.2f} s after waking")
        assert took_s < RECONNECTED_S
        took_s = link_all(ann, ben, cas, within_s=RECONNECTED_S) - woken_s
        print(f"asleep for {asleep_s:g} s, linked {took_s:.2f} s after waking")
        assert took_s < RECONNECTED_S
        _is_whole(ann, ben, cas)


def test_a_machine_sleeps_for_eight_seconds(tmp_path: Path) -> None:
    """Its links are dead to the others, who have not yet called it offline."""
    _stop_and_wake(tmp_path, 8.0)


@pytest.mark.slow
def test_a_machine_sleeps_for_a_minute(tmp_path: Path) -> None:
    """Offline to the others after 30 s; on waking it is linked again and misses nothing."""
    _stop_and_wake(tmp_path, 60.0)
