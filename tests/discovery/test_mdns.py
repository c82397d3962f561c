"""Real multicast DNS between hosts in network namespaces, and what the real discovery leaves behind."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

from tests.support.discovering import LOOPBACK, Recorder, announcement, needs_loopback_multicast, some_mesh
from tests.support.namespaces import Host, Output, lan, needs_namespaces
from zmqchat.discovery.mdns import CLOSE_S, MdnsDiscovery

FOUND_S = 3.0
"""Nodes on one network have found each other within this."""

NODE = """
import asyncio, sys
from tests.support.discovering import announcement
from zmqchat.discovery import mdns
from zmqchat.discovery.discovery import Callbacks
from zmqchat.model.ids import mesh_id

mdns.RETRY_S = 0.5

async def main():
    callbacks = Callbacks(
        sighted=lambda sighted: print("sighted", *sighted.endpoint[:2], ".", flush=True),
        problem=lambda line: print("problem", line, flush=True),
        interfaces_changed=lambda hosts: print("hosts", *hosts, ".", flush=True),
    )
    discovery = mdns.MdnsDiscovery(callbacks, interfaces=sys.argv[2:])
    await discovery.start(announcement(int(sys.argv[1]), mesh_id("namespaces")))
    print("started", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""

HOLD = """
import socket
holder = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
holder.bind(("::", 5353))
print("holding", flush=True)
input()
"""


def _start(host: Host, number: int, *interfaces: str) -> Output:
    """Node `number` on a host; its door is 42000 + number."""
    return Output(host.popen([sys.executable, "-c", NODE, str(number), *interfaces]))


def _ready(*nodes: Output) -> None:
    for node in nodes:
        node.wait_for("started", within_s=20)


@needs_namespaces
def test_three_hosts_started_at_once_find_each_other_by_both_families() -> None:
    """Each sees the others' IPv4 address and their link-local IPv6 one with its own scope."""
    with lan(hosts=3) as network:
        nodes = [_start(host, number) for number, host in enumerate(network.hosts, start=1)]
        _ready(*nodes)
        deadline_s = time.monotonic() + FOUND_S
        for mine, node in enumerate(nodes, start=1):
            for other, host in enumerate(network.hosts, start=1):
                if other != mine:
                    for address in (host.address, f"{host.link_local()}%eth0"):
                        wanted = f"sighted {address} {42_000 + other} ."
                        assert _eventually(node, wanted, deadline_s - time.monotonic())


def _eventually(node: Output, wanted: str, within_s: float) -> bool:
    """Whether the line is among those printed, or comes in time."""
    return any(wanted in line for line in node.lines) or bool(node.wait_for(wanted, within_s=within_s))


@needs_namespaces
def test_several_nodes_on_one_host_find_each_other_and_those_elsewhere() -> None:
    """Two share UDP port 5353 on one machine; a third on another machine sees both."""
    with lan(hosts=2) as network:
        first, second = network.hosts
        here, beside, there = _start(first, 1), _start(first, 2), _start(second, 3)
        _ready(here, beside, there)
        for node, others in ((here, (2, 3)), (beside, (1, 3)), (there, (1, 2))):
            for other in others:
                assert _eventually(node, f" {42_000 + other} .", FOUND_S)


@needs_namespaces
def test_a_link_that_comes_up_later_is_used_within_three_seconds() -> None:
    """A node started with its cable out says so, and both sides find each other once it is in."""
    with lan(hosts=2, duplicate_address_detection=True) as network:
        first, second = network.hosts
        second.unplug()
        running, waiting = _start(first, 1), _start(second, 2)
        _ready(running)
        waiting.wait_for("problem no network interface is up", within_s=20)
        second.plug()
        deadline_s = time.monotonic() + FOUND_S
        running.wait_for(" 42002 .", within_s=FOUND_S)
        waiting.wait_for(" 42001 .", within_s=deadline_s - time.monotonic())


@needs_namespaces
def test_a_changed_address_is_told_to_the_others_and_to_ourselves() -> None:
    """A new lease: others sight the new address, and the node's own hosts are told."""
    with lan(hosts=2) as network:
        first, second = network.hosts
        staying, moving = _start(first, 1), _start(second, 2)
        _ready(staying, moving)
        assert _eventually(staying, f"sighted {second.address} 42002 .", FOUND_S)
        second.change_address("10.77.0.88")
        moving.wait_for("hosts 10.77.0.88", within_s=FOUND_S)
        staying.wait_for("sighted 10.77.0.88 42002 .", within_s=FOUND_S)


@needs_namespaces
def test_a_cable_out_and_in_leads_to_new_sightings_on_both_sides() -> None:
    """After a break of the link all are told of again, so that nobody waits to redial."""
    with lan(hosts=2) as network:
        first, second = network.hosts
        staying, breaking = _start(first, 1), _start(second, 2)
        _ready(staying, breaking)
        assert _eventually(breaking, f"sighted {first.address} 42001 .", FOUND_S)
        second.unplug()
        breaking.wait_for("hosts .", within_s=FOUND_S)
        second.plug()
        breaking.wait_for(f"hosts {second.address}", within_s=FOUND_S)
        breaking.wait_for(f"sighted {first.address} 42001 .", within_s=FOUND_S)


@needs_namespaces
def test_a_host_without_a_multicast_route_takes_part() -> None:
    """Each socket names its interface, so no route is needed."""
    with lan(hosts=1) as network:
        second = network.add_host(multicast_route=False)
        nodes = [_start(network.hosts[0], 1), _start(second, 2)]
        _ready(*nodes)
        assert _eventually(nodes[1], " 42001 .", FOUND_S)


@needs_namespaces
def test_a_refused_port_is_one_line_and_multicast_starts_once_it_is_free() -> None:
    """Another program holds UDP 5353 for itself: the line says so, and nothing else is needed later."""
    with lan(hosts=2) as network:
        first, second = network.hosts
        other = _start(first, 1)
        holder = second.popen([sys.executable, "-c", HOLD], stdin=-1)
        Output(holder).wait_for("holding", within_s=20)
        node = _start(second, 2)
        line = node.wait_for("problem", within_s=20)
        assert "another program holds UDP port 5353" in line and "--peer" in line
        _ready(node)
        holder.kill()
        node.wait_for(" 42001 .", within_s=FOUND_S)
        other.wait_for(" 42002 .", within_s=FOUND_S)
        assert sum("problem" in each for each in node.lines) == 1


@needs_namespaces
def test_a_firewall_is_told_in_one_line_with_what_to_do() -> None:
    """Packets that may not leave, and packets that do not come in, each have their line."""
    with lan(hosts=2) as network:
        first, second = network.hosts
        first.drop_outgoing("udp dport 5353")
        second.drop("udp dport 5353")
        for node in [_start(first, 1), _start(second, 2)]:
            line = node.wait_for("problem", within_s=20)
            assert "firewall" in line and "5353" in line and "--peer" in line


@needs_namespaces
def test_loopback_alone_is_enough_for_one_machine() -> None:
    """With the network down, nodes that are told `lo` find each other without any route."""
    with lan(hosts=1) as network:
        (host,) = network.hosts
        host.link_down()
        nodes = [_start(host, number, "lo") for number in (1, 2, 3)]
        _ready(*nodes)
        for mine, node in enumerate(nodes, start=1):
            for other in {1, 2, 3} - {mine}:
                assert _eventually(node, f"sighted 127.0.0.1 {42_000 + other} .", FOUND_S)


@needs_loopback_multicast
async def test_stopping_leaves_no_task_no_thread_and_takes_under_a_second() -> None:
    """Also in the midst of announcing."""
    discovery = MdnsDiscovery(Recorder().callbacks(), interfaces=[LOOPBACK])
    threads = set(threading.enumerate())
    await discovery.start(announcement(1, some_mesh()))
    began_s = time.monotonic()
    await discovery.stop()
    assert time.monotonic() - began_s < CLOSE_S
    await asyncio.sleep(0)  # cancelled tasks end in the next round
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert set(threading.enumerate()) == threads


@needs_loopback_multicast
async def test_our_own_record_is_heard_back() -> None:
    """Which is how a node knows that multicast works; nothing is then told as a problem."""
    told, mesh = Recorder(), some_mesh()
    first = MdnsDiscovery(told.callbacks(), interfaces=[LOOPBACK])
    second = MdnsDiscovery(Recorder().callbacks(), interfaces=[LOOPBACK])
    await first.start(announcement(1, mesh))
    await second.start(announcement(2, mesh))
    await told.until_sighted(2)  # sent after ours
    assert first.statistics().heard_own_s_ago is not None
    await asyncio.gather(first.stop(), second.stop())
    assert told.problems == []


async def test_an_interface_that_is_not_there_is_told_and_nothing_is_sent() -> None:
    """One line, and no discovery on other interfaces instead."""
    told = Recorder()
    discovery = MdnsDiscovery(told.callbacks(), interfaces=["no-such"])
    await discovery.start(announcement(1, some_mesh()))
    assert not discovery.statistics().active
    await discovery.stop()
    (problem,) = told.problems
    assert "no-such" in problem
