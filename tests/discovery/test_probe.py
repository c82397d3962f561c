"""The multicast self-test, and the advice that goes with each failure."""

from __future__ import annotations

import errno
import sys

import pytest

from tests.support.discovering import LOOPBACK, needs_loopback_multicast
from tests.support.namespaces import Output, lan, needs_namespaces
from zmqchat.discovery.interfaces import Address, Interface, scan
from zmqchat.discovery.probe import advice, probe_multicast


@needs_loopback_multicast
async def test_loopback_hears_itself() -> None:
    """One probe, sent and heard, without a problem."""
    (probe,) = await probe_multicast(scan([LOOPBACK]))
    assert probe.sent and probe.heard and probe.problem is None


async def test_an_address_that_is_not_ours_is_a_problem_and_no_exception() -> None:
    """The interface went away in between."""
    gone = Interface(name="gone0", index=9999, loopback=False, addresses=(Address("203.0.113.9", 24),))
    (probe,) = await probe_multicast([gone], 0.1)
    assert not probe.sent and not probe.heard
    assert probe.problem is not None and "gone0" in probe.problem


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.EADDRINUSE, "another program holds UDP port 5353"),
        (errno.ENETUNREACH, "Local Network" if sys.platform == "darwin" else "multicast route"),
        (errno.EPERM, "firewall"),
        (errno.EIO, "container"),
    ],
)
def test_each_failure_has_one_line_of_advice(number: int, word: str) -> None:
    """Where, what the system said, what to do, and what works meanwhile."""
    line = advice(OSError(number, "as the system says"), "eth0")
    assert word in line and "eth0" in line and "as the system says" in line and "--peer" in line
    assert "\n" not in line


PROBE = """
import asyncio
from zmqchat.discovery.interfaces import scan
from zmqchat.discovery.probe import probe_multicast

for probe in asyncio.run(probe_multicast(scan())):
    print(probe.interface, ":" in probe.address, probe.sent, probe.heard, probe.problem)
print("done")
"""


@needs_namespaces
def test_a_firewall_shows_in_the_self_test() -> None:
    """Both families work; with UDP 5353 dropped on its way in they are sent and not heard."""
    with lan(hosts=1) as network:
        (host,) = network.hosts
        lines = host.run([sys.executable, "-c", PROBE]).splitlines()
        assert lines == ["eth0 False True True None", "eth0 True True True None", "done"]
        host.drop("udp dport 5353")
        output = Output(host.popen([sys.executable, "-c", PROBE]))
        output.wait_for("done", within_s=5)
        assert [line.split()[:4] for line in output.lines[:2]] == [
            ["eth0", "False", "True", "False"],
            ["eth0", "True", "True", "False"],
        ]
        assert all("firewall" in line for line in output.lines[:2])
