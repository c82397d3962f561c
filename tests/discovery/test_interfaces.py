"""Which interfaces are used, in what order, and that changes are noticed."""

from __future__ import annotations

import asyncio
import ipaddress
import sys
import threading

import pytest

from tests.support.namespaces import Output, lan, needs_namespaces
from zmqchat.discovery import interfaces
from zmqchat.discovery.interfaces import (
    Address,
    Interface,
    InterfaceWatcher,
    missing_interfaces,
    reachable_hosts,
    scan,
)

WIRED = Interface(name="eth0", index=3, loopback=False, addresses=(Address("192.168.1.5", 24), Address("fe80::5", 64)))
RADIO = Interface(name="wlan0", index=7, loopback=False, addresses=(Address("2001:db8::6", 64),))


def test_loopback_is_used_only_where_it_is_named() -> None:
    """By its address or its name, and then alone."""
    assert not any(interface.loopback for interface in scan())
    (by_address,) = scan(["127.0.0.1"])
    assert by_address.loopback and by_address.addresses == (Address("127.0.0.1", 8),)
    assert scan([by_address.name]) == (by_address,)


def test_an_interface_that_is_not_there_is_missing() -> None:
    """What was asked for and not found is named."""
    assert scan(["no-such-interface"]) == ()
    assert missing_interfaces(["eth0", "192.168.1.5", "no-such"], [WIRED]) == ("no-such",)


def test_hosts_are_told_ipv4_first_and_link_local_last_with_scope() -> None:
    """So that the most likely address is dialled first."""
    assert reachable_hosts([WIRED, RADIO]) == ("192.168.1.5", "2001:db8::6", "fe80::5%eth0")


def test_addresses_know_their_network() -> None:
    """An address is on our link or not."""
    assert Address("192.168.1.5", 24).holds(ipaddress.ip_address("192.168.1.77"))
    assert not Address("192.168.1.5", 24).holds(ipaddress.ip_address("192.168.2.1"))
    assert not Address("192.168.1.5", 24).holds(ipaddress.ip_address("fe80::1"))
    assert WIRED.summary() == "eth0 (192.168.1.5, fe80::5)"


async def test_the_watcher_tells_each_change_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three looks with two different answers make one call."""
    answers = [(WIRED,), (WIRED,), (WIRED, RADIO), (WIRED, RADIO)]
    told: list[tuple[Interface, ...]] = []
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def next_answer(wanted: tuple[str, ...]) -> tuple[Interface, ...]:
        assert wanted == ("eth0", "wlan0")
        assert threading.current_thread().name.startswith("zmqchat-interfaces")
        if len(answers) == 1:
            loop.call_soon_threadsafe(done.set)
            return answers[0]
        return answers.pop(0)

    monkeypatch.setattr(interfaces, "scan", next_answer)
    watcher = InterfaceWatcher(["eth0", "wlan0"], told.append, poll_s=0.01)
    assert await watcher.start() == (WIRED,)
    await asyncio.wait_for(done.wait(), 5)
    await watcher.stop()
    assert told == [(WIRED, RADIO)]
    assert watcher.current == (WIRED, RADIO)


async def test_a_stopped_watcher_leaves_no_thread_and_stops_twice() -> None:
    """Its thread and its socket are gone."""
    watcher = InterfaceWatcher(["127.0.0.1"], lambda _: None)
    await watcher.start()
    await watcher.stop()
    await watcher.stop()
    assert not any(thread.name.startswith("zmqchat-interfaces") for thread in threading.enumerate())


WATCH = """
import asyncio
import ipaddress
from zmqchat.discovery.interfaces import InterfaceWatcher, reachable_hosts

async def main():
    watcher = InterfaceWatcher([], lambda found: print("hosts", *reachable_hosts(found), ".", flush=True))
    print("first", *reachable_hosts(await watcher.start()), ".", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@needs_namespaces
def test_links_and_addresses_are_followed_within_a_second() -> None:
    """A cable out and in, an interface down and up, and another address: each is told at once."""
    with lan(hosts=1) as network:
        (host,) = network.hosts
        output = Output(host.popen([sys.executable, "-c", WATCH]))
        output.wait_for("first 10.77.0.1 fe80::", within_s=5)
        host.unplug()
        output.wait_for("hosts .", within_s=1)
        host.plug()
        output.wait_for("hosts 10.77.0.1", within_s=1)
        host.link_down()
        output.wait_for("hosts .", within_s=1)
        host.link_up()
        output.wait_for("hosts 10.77.0.1", within_s=1)
        host.change_address("10.77.0.44")
        output.wait_for("hosts 10.77.0.44", within_s=1)
