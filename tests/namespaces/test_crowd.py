"""Many nodes on one bridge: over a bad network all gets to all, and multicast DNS stays quiet."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import pytest

from tests.support.namespace_nodes import NodeProcess, crew, open_all
from tests.support.namespaces import Lan, lan, needs_namespaces
from tests.support.talking import (
    LIVE_S,
    all_read,
    all_say,
    assert_one_timeline,
    latencies_s,
    link_all_in_time,
    now_s,
    round_trip_s,
)
from zmqchat.model.limits import ADVERTISERS, LONELY_LINKS

pytestmark = [needs_namespaces, pytest.mark.timeout(400)]

LIGHT = {"full_mesh_max": 12, "full_mesh_again": 8}
"""Nodes that keep few links from early on, so that many of them start on a small machine."""

ADVERTISERS_MOST = 2 * ADVERTISERS
"""So many advertise by chance once in 20,000 hours."""

QUIET_PACKETS_PER_S = 20.0
QUIET_WITHIN_S = 600.0
"""120 nodes take six minutes of CPU to get to know each other: three on two cores that do nothing else."""

WATCHED_S = 10.0


@pytest.mark.parametrize("count", [12, pytest.param(40, marks=pytest.mark.crowd)])
def test_a_bad_network_loses_nothing(tmp_path: Path, count: int) -> None:
    """One packet of twenty is lost, cables carry 10 Mbit/s: talk is live, one node killed and back misses nothing."""
    with lan(hosts=count) as network, crew(tmp_path) as crewed:
        for host in network.hosts:
            host.lose(5)
            host.shape(10)
        nodes = crewed.start(*network.hosts)
        open_all(*nodes)
        took_s = link_all_in_time(nodes, within_s=90)
        print(f"{count} nodes: all linked after {took_s:.1f} s")
        author, *readers = nodes
        took = latencies_s("live", author, readers, count=20, interval_s=0.2)
        rtt_s = round_trip_s(nodes[:5])
        together = sorted(each for one in took for each in one)
        middle_s = statistics.median(together)
        print(f"latency: {middle_s * 1000:.0f} ms, {together[-1] * 1000:.0f} ms at worst, RTT {rtt_s * 1000:.0f} ms")
        assert middle_s < LIVE_S + rtt_s
        said = [f"{author.name} live {number}" for number in range(20)]
        said += all_say("together", nodes, count=2, interval_s=0.1)
        all_read(said, nodes)
        lost = nodes.pop()
        lost.kill()
        said += all_say("without one", nodes)
        all_read(said, nodes)
        back = crewed.restart(lost)
        open_all(back)
        began_s = now_s()
        nodes.append(back)
        print(f"killed and back, it has read all {all_read(said, nodes) - began_s:.2f} s later")
        assert_one_timeline(said, nodes)


@pytest.mark.crowd
@pytest.mark.timeout(1_500)
@pytest.mark.parametrize("count", [48, 120])
def test_multicast_stays_quiet(tmp_path: Path, count: int) -> None:
    """About sixteen of many light nodes announce themselves, and lonely ones; no node knows more records than nodes."""
    with lan(hosts=count) as network, crew(tmp_path) as crewed:
        network.count("udp dport 5353")
        nodes = crewed.start(*network.hosts)
        began_s = now_s()
        for first in range(0, count, 8):  # all at once would take longer
            open_all(*nodes[first : first + 8], config=LIGHT)
        for node in nodes:
            node.tell("mesh", count=count, within_s=QUIET_WITHIN_S)
        for node in nodes:
            node.answer(QUIET_WITHIN_S)
        print(f"{count} nodes know each other after {now_s() - began_s:.0f} s, {network.counted()} packets of mDNS")
        _await_quiet(nodes, network, now_s() + QUIET_WITHIN_S)
        told = [node.ask("quietness") for node in nodes]
        advertising = [each for each in told if each["advertises"]]
        lonely = [each for each in told if each["links"] < LONELY_LINKS]
        megabytes = [each["bytes"] / 2**20 for each in told]
        print(
            f"{len(advertising)} advertise, {len(lonely)} have fewer than {LONELY_LINKS} links, "
            f"{max(each['candidates'] for each in told)} records known at most, "
            f"{statistics.mean(megabytes):.0f} MiB a node, {max(megabytes):.0f} at most"
        )
        assert all(each["partial"] for each in told)
        assert 0 < len(advertising) <= ADVERTISERS_MOST + len(lonely)
        assert all(each["advertises"] for each in lonely)
        assert max(each["candidates"] for each in told) < count
        said = all_say("at last", nodes[:3])
        all_read(said, nodes)


def _await_quiet(nodes: list[NodeProcess], network: Lan, deadline_s: float) -> None:
    """Wait until WATCHED_S pass in which few packets of multicast DNS enter the bridge."""
    rates: list[float] = []
    while now_s() < deadline_s:
        before, began_s = network.counted(), now_s()
        time.sleep(WATCHED_S)  # what is measured is a rate
        rates.append((network.counted() - before) / (now_s() - began_s))
        advertising = sum(node.ask("quietness")["advertises"] for node in nodes)
        print(f"{rates[-1]:.1f} packets of mDNS a second, {advertising} advertise")
        if rates[-1] < QUIET_PACKETS_PER_S and advertising <= ADVERTISERS_MOST:
            return
    raise AssertionError(f"multicast DNS is not quiet: {rates}")
