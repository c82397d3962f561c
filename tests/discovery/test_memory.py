"""What the twin adds for tests: blocked links, cables and other addresses."""

from __future__ import annotations

from tests.support.discovering import Recorder, announcement, some_mesh
from zmqchat.discovery.memory import MemoryDiscovery, MemoryLan
from zmqchat.model.addresses import Endpoint


async def test_a_blocked_link_carries_nothing_and_says_so() -> None:
    """Nobody is sighted, and the self-test has the advice."""
    lan, mesh = MemoryLan(blocked=True), some_mesh()
    told = [Recorder(), Recorder()]
    nodes = [MemoryDiscovery(each.callbacks(), lan, hosts=[f"10.0.0.{n}"]) for n, each in enumerate(told, 1)]
    for number, node in enumerate(nodes, 1):
        await node.start(announcement(number, mesh))
    probes = await nodes[0].self_test()
    assert [(probe.heard, "--peer" in (probe.problem or "")) for probe in probes] == [(False, True)]
    assert told[0].sightings == told[1].sightings == []


async def test_a_cable_comes_out_and_in_under_another_address() -> None:
    """Unplugged is told as a problem; plugged in again both sides hear of each other anew."""
    lan, mesh = MemoryLan(), some_mesh()
    first, second = Recorder(), Recorder()
    moving = MemoryDiscovery(first.callbacks(), lan, hosts=["10.0.0.1"])
    staying = MemoryDiscovery(second.callbacks(), lan, hosts=["10.0.0.2"])
    await moving.start(announcement(1, mesh))
    await staying.start(announcement(2, mesh))
    await first.until_sighted(2)
    moving.change_hosts([])
    await first.until(lambda: len(first.problems) == 1)
    moving.change_hosts(["10.0.0.9"])
    await second.until(lambda: second.of(1)[-1].endpoint == Endpoint("10.0.0.9", 42_001))
    await first.until(lambda: len(first.of(2)) == 2)
    assert first.hosts == [(), ("10.0.0.9",)]
