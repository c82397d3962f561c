"""What every discovery does, checked over the real one (on loopback only) and its twin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.support.discovering import (
    LOOPBACK,
    Recorder,
    announcement,
    needs_loopback_multicast,
    some_mesh,
)
from zmqchat.discovery.discovery import Discovery
from zmqchat.discovery.mdns import MdnsDiscovery
from zmqchat.discovery.memory import MemoryDiscovery, MemoryLan
from zmqchat.model.addresses import Endpoint


class Network:
    """Makes discoveries that hear each other, and stops them at the end."""

    def __init__(self, kind: str) -> None:
        self.mesh = some_mesh()
        self._kind = kind
        self._lan = MemoryLan()
        self._made: list[Discovery] = []

    def make(self) -> tuple[Discovery, Recorder]:
        """A discovery that is not started, and what it will tell."""
        recorder = Recorder()
        discovery: Discovery
        if self._kind == "memory":
            discovery = MemoryDiscovery(recorder.callbacks(), self._lan, hosts=[LOOPBACK])
        else:
            discovery = MdnsDiscovery(recorder.callbacks(), interfaces=[LOOPBACK])
        self._made.append(discovery)
        return discovery, recorder

    async def start(self, number: int) -> tuple[Discovery, Recorder]:
        """Node `number`, started."""
        discovery, recorder = self.make()
        await discovery.start(announcement(number, self.mesh))
        return discovery, recorder

    async def stop(self) -> None:
        """All of them."""
        await asyncio.gather(*(discovery.stop() for discovery in self._made))


@pytest.fixture(params=["memory", pytest.param("mdns", marks=needs_loopback_multicast)])
async def network(request: pytest.FixtureRequest) -> AsyncIterator[Network]:
    """A network of each kind."""
    made = Network(request.param)
    try:
        yield made
    finally:
        await made.stop()


async def test_nodes_on_one_machine_find_each_other(network: Network) -> None:
    """Three nodes started at once all sight each other, with door and id, in well under 3 s."""
    started = [await network.start(number) for number in (1, 2, 3)]
    for mine, (_, recorder) in enumerate(started, start=1):
        for other in {1, 2, 3} - {mine}:
            sighted = await recorder.until_sighted(other, within_s=2.5)
            assert sighted.endpoint == Endpoint(LOOPBACK, 42_000 + other)
            assert sighted.source == "mdns"


async def test_a_late_comer_and_those_who_were_there_find_each_other(network: Network) -> None:
    """Whoever starts later is told of, and is told of the others."""
    _, first = await network.start(1)
    _, second = await network.start(2)
    await first.until_sighted(2)
    _, third = await network.start(3)
    await first.until_sighted(3)
    await second.until_sighted(3)
    await third.until_sighted(1)
    await third.until_sighted(2)


async def test_a_node_never_sights_itself(network: Network) -> None:
    """Our own record is heard back and not told."""
    _, first = await network.start(1)
    await network.start(2)
    await first.until_sighted(2)
    assert first.of(1) == []


async def test_nodes_of_another_mesh_are_passed_over_and_counted(network: Network) -> None:
    """Two meshes on one network do not hear of each other."""
    first, told = await network.start(1)
    stranger, _ = network.make()
    await stranger.start(announcement(2, some_mesh()))
    await network.start(3)
    await told.until_sighted(3)
    assert told.of(2) == []
    assert first.statistics().ignored["other mesh"] >= 1


async def test_an_update_is_announced(network: Network) -> None:
    """Another door is told to those who knew the old one."""
    changing, _ = await network.start(1)
    _, told = await network.start(2)
    await told.until_sighted(1)
    await changing.update(announcement(1, network.mesh, door=43_001))
    await told.until(lambda: told.of(1)[-1].endpoint.door == 43_001)


async def test_only_the_named_hosts_are_announced(network: Network) -> None:
    """With hosts in the announcement, these and no others are ours."""
    only, _ = network.make()
    await only.start(replace(announcement(1, network.mesh), hosts=("127.0.0.9",)))
    _, told = await network.start(2)
    assert (await told.until_sighted(1)).endpoint.host == "127.0.0.9"
    assert only.hosts() == ("127.0.0.9",)


async def test_refresh_tells_of_everybody_again(network: Network) -> None:
    """After a sleep all who still answer are sighted anew."""
    discovery, told = await network.start(1)
    await network.start(2)
    await told.until_sighted(2)
    before = len(told.of(2))
    discovery.refresh()
    await told.until(lambda: len(told.of(2)) > before)


async def test_a_goodbye_is_not_told_and_the_one_who_returns_is(network: Network) -> None:
    """A node that stops causes no callback; started again it is sighted again."""
    leaving, _ = await network.start(1)
    _, told = await network.start(2)
    await told.until_sighted(1)
    before = len(told.of(1))
    await leaving.stop()
    await network.start(3)
    await told.until_sighted(3)
    assert len(told.of(1)) == before
    await network.start(1)
    await told.until(lambda: len(told.of(1)) > before)


async def test_a_stopped_discovery_is_silent_and_stops_twice(network: Network) -> None:
    """After `stop` nothing is told, and a second `stop` is no error."""
    stopped, told = await network.start(1)
    await stopped.stop()
    await stopped.stop()
    _, other = await network.start(2)
    await network.start(3)
    await other.until_sighted(3)
    assert told.sightings == []
    assert not stopped.statistics().active


async def test_statistics_say_what_is_going_on(network: Network) -> None:
    """Interfaces, hosts, candidates and sightings are counted for `doctor`."""
    discovery, told = await network.start(1)
    await network.start(2)
    await told.until_sighted(2)
    statistics = discovery.statistics()
    assert statistics.active
    assert statistics.hosts == discovery.hosts() == (LOOPBACK,)
    assert [interface.addresses[0].ip for interface in statistics.interfaces] == [LOOPBACK]
    assert statistics.candidates == 1
    assert statistics.sightings == len(told.sightings) == 1
    assert statistics.last_problem is None


async def test_the_self_test_sends_and_hears_on_each_interface(network: Network) -> None:
    """Where multicast works, each address in use hears itself."""
    discovery, _ = await network.start(1)
    probes = await discovery.self_test()
    assert [(probe.address, probe.sent, probe.heard, probe.problem) for probe in probes] == [
        (LOOPBACK, True, True, None)
    ]


async def test_a_quiet_node_is_not_found_and_finds_others(network: Network) -> None:
    """Who does not advertise hears of the others and is heard of by nobody, until it advertises again."""
    quiet, mine = await network.start(1)
    _, friend = await network.start(2)
    await friend.until_sighted(1)
    assert quiet.statistics().advertised
    quiet.advertise(False)
    quiet.advertise(False)
    newcomer = friend
    # What was asked before may be answered up to a second later (RFC 6762, section 6): soon nobody new hears of it.
    for number in range(3, 13):
        _, newcomer = await network.start(number)
        await mine.until_sighted(number)
        await newcomer.until_sighted(2)
        if not newcomer.of(1):
            break
    assert not newcomer.of(1)
    assert not quiet.statistics().advertised
    quiet.advertise(True)
    await newcomer.until_sighted(1)
    assert quiet.statistics().advertised
