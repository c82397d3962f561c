"""Discovery that is off still knows where this node can be reached."""

from __future__ import annotations

from dataclasses import replace

from tests.support.discovering import LOOPBACK, Recorder, announcement, some_mesh
from zmqchat.discovery.discovery import Discovery
from zmqchat.discovery.quiet import QuietDiscovery


async def test_it_knows_the_hosts_and_tells_nothing() -> None:
    """Hosts are there; nothing was sent, heard or told."""
    told = Recorder()
    quiet: Discovery = QuietDiscovery(told.callbacks(), interfaces=[LOOPBACK])
    await quiet.start(announcement(1, some_mesh()))
    quiet.refresh()
    assert quiet.hosts() == (LOOPBACK,)
    assert await quiet.self_test() == ()
    assert not quiet.statistics().active and quiet.statistics().hosts == (LOOPBACK,)
    await quiet.update(replace(announcement(1, some_mesh()), hosts=("10.9.9.9",)))
    assert quiet.hosts() == ("10.9.9.9",)
    await quiet.stop()
    await quiet.stop()
    assert told.sightings == [] and told.problems == []


async def test_an_interface_that_is_not_there_is_told() -> None:
    """One line with the name and the thing to do."""
    told = Recorder()
    quiet = QuietDiscovery(told.callbacks(), interfaces=["no-such"])
    await quiet.start(announcement(1, some_mesh()))
    await quiet.stop()
    (problem,) = told.problems
    assert "no-such" in problem and "doctor" in problem
    assert quiet.statistics().last_problem == problem
