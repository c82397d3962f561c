"""The network that tests build for themselves: hosts reach each other, cables come out, nothing stays."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.support.namespaces import Host, NetworkError, Output, lan, namespaces_left, needs_namespaces

pytestmark = needs_namespaces

CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 4210), timeout=1).close()
    print("reached")
except OSError as error:
    print("failed", error)
"""
LISTEN = """
import socket
server = socket.create_server(("::", 4210), family=socket.AF_INET6, dualstack_ipv6=True)
print("listening")
while True:
    server.accept()[0].close()
"""


def _listen(host: Host) -> None:
    Output(host.popen([sys.executable, "-c", LISTEN])).wait_for("listening", within_s=10)


def _connect(host: Host, address: str) -> str:
    return host.run([sys.executable, "-c", CONNECT, address]).split()[0]


def test_hosts_reach_each_other_by_ipv4_and_link_local_ipv6() -> None:
    """Two hosts on the bridge talk TCP over both families."""
    with lan(hosts=2) as network:
        first, second = network.hosts
        _listen(second)
        assert _connect(first, second.address) == "reached"
        local = second.link_local()
        assert local is not None
        assert _connect(first, f"{local}%eth0") == "reached"


def test_a_cable_comes_out_and_in_and_an_address_changes() -> None:
    """Unplugged, nothing gets through; plugged in again under another address, that one works."""
    with lan(hosts=2) as network:
        first, second = network.hosts
        _listen(second)
        second.unplug()
        assert _connect(first, second.address) == "failed"
        second.plug()
        assert _connect(first, second.address) == "reached"
        second.change_address("10.77.0.99")
        assert _connect(first, "10.77.0.99") == "reached"
        assert _connect(first, "10.77.0.2") == "failed"
        second.link_down()
        second.link_up()
        assert _connect(first, "10.77.0.99") == "reached"


def test_a_firewall_drops_what_it_is_told_until_healed() -> None:
    """A port, a direction and a whole neighbour can be dropped, and all is well after `heal`."""
    with lan(hosts=2) as network:
        first, second = network.hosts
        _listen(second)
        cuts: list[Callable[[], None]] = [
            lambda: second.drop("tcp dport 4210"),
            lambda: first.drop_outgoing("tcp dport 4210"),
            lambda: first.block(second),
        ]
        for cut in cuts:
            cut()
            assert _connect(first, second.address) == "failed"
            first.heal()
            second.heal()
            assert _connect(first, second.address) == "reached"


def test_isolated_hosts_reach_only_who_is_not() -> None:
    """Two isolated hosts reach the third and not each other."""
    with lan(hosts=3) as network:
        gateway, first, second = network.hosts
        first.isolate()
        second.isolate()
        _listen(gateway)
        _listen(second)
        assert _connect(first, gateway.address) == "reached"
        assert _connect(gateway, second.address) == "reached"
        assert _connect(first, second.address) == "failed"


def test_a_host_is_in_as_many_networks_as_it_is_attached_to() -> None:
    """A guest of two further networks reaches a host of each, which do not reach each other."""
    with lan(hosts=1) as own, lan(hosts=1, subnet="10.78.0") as left, lan(hosts=1, subnet="10.79.0") as right:
        (guest,) = own.hosts
        assert [left.attach(guest), right.attach(guest)] == ["10.78.0.200", "10.79.0.200"]
        for network in (left, right):
            _listen(network.hosts[0])
            assert _connect(guest, network.hosts[0].address) == "reached"
        assert _connect(left.hosts[0], right.hosts[0].address) == "failed"


def test_packets_are_lost_shaped_and_counted() -> None:
    """Few get in where 99 percent are lost, those on the bridge are counted, a slow cable still carries them."""
    with lan(hosts=2) as network:
        first, second = network.hosts
        _listen(second)
        second.shape(10)
        network.count("tcp dport 4210")
        assert _connect(first, second.address) == "reached"
        seen = network.counted()
        assert seen >= 3
        second.lose(99)
        assert any(_connect(first, second.address) == "failed" for _ in range(3))
        assert network.counted() > seen


def test_nothing_is_left_after_a_failure() -> None:
    """A test that fails in the middle leaves no namespace and no process."""
    started: list[subprocess.Popen[str]] = []

    def fail() -> None:
        with lan(hosts=2) as network:
            started.append(network.hosts[0].popen(["sleep", "1000"]))
            raise ValueError("a test fails")

    with pytest.raises(ValueError, match="a test fails"):
        fail()
    assert started[0].poll() is not None
    assert namespaces_left() == []


def test_a_failing_command_tells_its_output() -> None:
    """`run` raises with what the command said."""
    with lan(hosts=1) as network, pytest.raises(NetworkError, match="no-such-file"):
        network.hosts[0].run(["cat", "/no-such-file"])


def test_output_that_does_not_come_is_an_assertion_with_what_came() -> None:
    """A wait for a line ends in time and shows what was printed instead."""
    with lan(hosts=1) as network:
        output = Output(network.hosts[0].popen(["echo", "something else"]))
        with pytest.raises(AssertionError, match="something else"):
            output.wait_for("wanted", within_s=5)
