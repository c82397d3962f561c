"""Hosts on a network of their own: Linux network namespaces joined by a bridge, for tests with real multicast.

    with lan(hosts=3) as network:
        first, second, third = network.hosts
        process = first.popen([sys.executable, "-m", "zmqchat", "node"])
        first.run(["ping", "-c", "1", second.address])
        second.unplug()             # cable out: the link has no carrier any more
        third.drop("tcp dport 42102")   # a firewall
    # here all is gone again: processes, links, namespaces, also after a failure

The bridge lies in a namespace too, so nothing that these hosts send reaches the machine's own network. One
host alone (`lan(hosts=1)`) is a machine for several processes. Needs Linux, root, `ip` and `nft`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import IO, Any

import pytest

COMMAND_S = 20.0
"""What an `ip` or `nft` command may take on a busy machine."""

_networks = itertools.count()


def why_no_namespaces() -> str | None:
    """What is missing for namespaces; None where they work."""
    if sys.platform != "linux":
        return "network namespaces are there on Linux only"
    for tool, package in (("ip", "iproute2"), ("nft", "nftables")):
        if shutil.which(tool) is None:
            return f"the command {tool} is missing: install the package {package}"
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"zc{os.getpid()}probe"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, timeout=COMMAND_S)
    if made.returncode != 0:
        return f"network namespaces are not allowed here: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", name], check=True, timeout=COMMAND_S)
    return None


def _marker() -> pytest.MarkDecorator:
    reason = why_no_namespaces()
    # Where everything is required the test runs and fails, in `lan`, with the same reason.
    skip = reason is not None and os.environ.get("ZMQCHAT_TESTS_REQUIRE") != "all"
    return pytest.mark.skipif(skip, reason=reason or "")


needs_namespaces = _marker()


class NetworkError(Exception):
    """A command that builds or changes the network failed."""


def _tool(*arguments: str, stdin: str | None = None) -> str:
    done = subprocess.run(arguments, input=stdin, capture_output=True, text=True, timeout=COMMAND_S)
    if done.returncode != 0:
        raise NetworkError(f"{' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Host:
    """One machine of the network: a namespace with `lo` and `eth0`.

    namespace   its name for `ip netns`
    address     its IPv4 address on eth0
    interfaces  how many networks it is in: eth0, eth1, …
    """

    def __init__(self, namespace: str, lan_namespace: str, port: str, address: str, prefix: int) -> None:
        self.namespace = namespace
        self.address = address
        self.interfaces = 1
        self._prefix = prefix
        self._lan_namespace = lan_namespace
        self._port = port
        self._processes: list[subprocess.Popen[str]] = []

    # Commands ----------------------------------------------------------------------------------------

    def popen(
        self,
        arguments: Sequence[str],
        *,
        environment: dict[str, str] | None = None,
        stdin: int | IO[Any] | None = None,
        stdout: int | IO[Any] | None = subprocess.PIPE,
        stderr: int | IO[Any] | None = subprocess.STDOUT,
        cwd: str | os.PathLike[str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start a command on this host; it is killed with the network at the latest. `environment` is added to ours."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.namespace, *arguments],
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            text=True,
        )
        self._processes.append(process)
        return process

    def run(self, arguments: Sequence[str], *, timeout: float = COMMAND_S, check: bool = True) -> str:
        """Run a command on this host and return its standard output; NetworkError where it fails."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.namespace, *arguments], capture_output=True, text=True, timeout=timeout
        )
        if check and done.returncode != 0:
            raise NetworkError(f"{' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    # Links and addresses -------------------------------------------------------------------------------

    def unplug(self) -> None:
        """Cable out: eth0 loses its carrier and keeps its IPv4 address."""
        _tool("ip", "-n", self._lan_namespace, "link", "set", self._port, "down")

    def plug(self) -> None:
        """Cable in."""
        _tool("ip", "-n", self._lan_namespace, "link", "set", self._port, "up")

    def link_down(self) -> None:
        """Switch eth0 off on this host; IPv6 addresses and all its routes go with it."""
        _tool("ip", "-n", self.namespace, "link", "set", "eth0", "down")

    def link_up(self) -> None:
        """Switch eth0 on again, with its multicast route."""
        _tool("ip", "-n", self.namespace, "link", "set", "eth0", "up")
        self.route_multicast()

    def change_address(self, address: str) -> None:
        """Another IPv4 address in the place of the old one, as DHCP would."""
        _tool("ip", "-n", self.namespace, "address", "delete", f"{self.address}/{self._prefix}", "dev", "eth0")
        _tool("ip", "-n", self.namespace, "address", "add", f"{address}/{self._prefix}", "dev", "eth0")
        self.address = address
        self.route_multicast()

    def route_multicast(self) -> None:
        """Send IPv4 multicast out by eth0 where a program names no interface."""
        _tool("ip", "-n", self.namespace, "route", "replace", "224.0.0.0/4", "dev", "eth0")

    def link_local(self) -> str | None:
        """Its link-local IPv6 address, without scope; None before it is known to be unique."""
        shown = json.loads(_tool("ip", "-n", self.namespace, "-json", "-6", "address", "show", "dev", "eth0"))
        for link in shown:
            for row in link.get("addr_info", ()):
                if row.get("scope") == "link" and not row.get("tentative"):
                    return str(row["local"])
        return None

    # Firewall ------------------------------------------------------------------------------------------

    def drop(self, match: str) -> None:
        """Drop what comes in and matches, in nft's words: `tcp dport 42100`, `udp dport 5353`."""
        self._filter(f"add rule inet zmqchat incoming {match} drop")

    def reject(self, match: str) -> None:
        """Refuse what comes in and matches, with an answer that says so."""
        self._filter(f"add rule inet zmqchat incoming {match} reject")

    def drop_outgoing(self, match: str) -> None:
        """Drop what goes out and matches."""
        self._filter(f"add rule inet zmqchat outgoing {match} drop")

    def block(self, other: Host) -> None:
        """Hear nothing from the other host any more, by any protocol; one way."""
        self.drop(f"ether saddr {other.mac()}")

    def lose(self, percent: int) -> None:
        """Lose so many of the packets that come in, at random."""
        self.drop(f'iifname "eth0" numgen random mod 100 < {percent}')

    def shape(self, megabits: int) -> None:
        """Let no more than so many Mbit/s in or out."""
        rate = ("root", "tbf", "rate", f"{megabits}mbit", "burst", "32kb", "latency", "400ms")
        _tool("tc", "-n", self.namespace, "qdisc", "replace", "dev", "eth0", *rate)
        _tool("tc", "-n", self._lan_namespace, "qdisc", "replace", "dev", self._port, *rate)

    def isolate(self) -> None:
        """Reach only those of its network that are not isolated themselves: Wi-Fi with "client isolation"."""
        _tool("ip", "-n", self._lan_namespace, "link", "set", self._port, "type", "bridge_slave", "isolated", "on")

    def heal(self) -> None:
        """No firewall any more."""
        self._nft("add table inet zmqchat\ndelete table inet zmqchat\n")

    def mac(self) -> str:
        """The hardware address of its eth0."""
        shown = json.loads(_tool("ip", "-n", self.namespace, "-json", "link", "show", "dev", "eth0"))
        return str(shown[0]["address"])

    def _filter(self, rule: str) -> None:
        self._nft(
            "add table inet zmqchat\n"
            "add chain inet zmqchat incoming { type filter hook input priority 0; }\n"
            "add chain inet zmqchat outgoing { type filter hook output priority 0; }\n"
            f"{rule}\n"
        )

    def _nft(self, script: str) -> None:
        _tool("ip", "netns", "exec", self.namespace, "nft", "-f", "-", stdin=script)

    # End -----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Kill what runs here and remove the namespace."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=COMMAND_S)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
        self._processes.clear()
        _remove(self.namespace)


class Lan:
    """A bridge in a namespace of its own, and the hosts plugged into it."""

    def __init__(self, prefix: str, *, subnet: str, duplicate_address_detection: bool) -> None:
        self.hosts: list[Host] = []
        self._prefix = prefix
        self._subnet = subnet
        self._detect = duplicate_address_detection
        self._guests = 0
        self._namespace = f"{prefix}lan"
        _tool("ip", "netns", "add", self._namespace)
        try:
            _tool("ip", "-n", self._namespace, "link", "add", "bridge", "type", "bridge", "mcast_snooping", "0")
            _tool("ip", "-n", self._namespace, "link", "set", "bridge", "up")
        except BaseException:
            _remove(self._namespace)
            raise

    def add_host(self, *, plugged: bool = True, multicast_route: bool = True) -> Host:
        """One more host, with the next address; its link has no carrier yet where it is not `plugged`."""
        number = len(self.hosts) + 1
        port = f"port{number}"
        host = Host(f"{self._prefix}h{number}", self._namespace, port, f"{self._subnet}.{number}", 24)
        _tool("ip", "netns", "add", host.namespace)
        self.hosts.append(host)
        inside = ("ip", "-n", host.namespace)
        _tool(
            "ip", "-n", self._namespace, "link", "add", port, "type", "veth",
            "peer", "name", "eth0", "netns", host.namespace,
        )  # fmt: skip
        if not self._detect:
            host.run(["sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad || true"])
        _tool("ip", "-n", self._namespace, "link", "set", port, "master", "bridge")
        _tool(*inside, "link", "set", "lo", "up")
        _tool(*inside, "address", "add", f"{host.address}/24", "dev", "eth0")
        _tool(*inside, "link", "set", "eth0", "up")
        if plugged:
            host.plug()
        if multicast_route:
            host.route_multicast()
        return host

    def attach(self, host: Host) -> str:
        """Give a host of another network one more interface, eth1 or a later one, in this one; its address there."""
        address = f"{self._subnet}.{200 + self._guests}"
        port, interface = f"guest{self._guests}", f"eth{host.interfaces}"
        self._guests += 1
        host.interfaces += 1
        inside = ("ip", "-n", host.namespace)
        _tool(
            "ip", "-n", self._namespace, "link", "add", port, "type", "veth",
            "peer", "name", interface, "netns", host.namespace,
        )  # fmt: skip
        if not self._detect:
            host.run(["sh", "-c", f"echo 0 > /proc/sys/net/ipv6/conf/{interface}/accept_dad || true"])
        _tool("ip", "-n", self._namespace, "link", "set", port, "master", "bridge", "up")
        _tool(*inside, "address", "add", f"{address}/24", "dev", interface)
        _tool(*inside, "link", "set", interface, "up")
        return address

    def count(self, match: str) -> None:
        """Count from now on the packets that enter the bridge and match, in nft's words."""
        script = (
            "add table bridge zmqchat\ndelete table bridge zmqchat\nadd table bridge zmqchat\n"
            "add counter bridge zmqchat seen\n"
            "add chain bridge zmqchat entering { type filter hook prerouting priority 0; }\n"
            f"add rule bridge zmqchat entering {match} counter name seen\n"
        )
        _tool("ip", "netns", "exec", self._namespace, "nft", "-f", "-", stdin=script)

    def counted(self) -> int:
        """How many packets `count` has seen."""
        listed = _tool(
            "ip", "netns", "exec", self._namespace, "nft", "-j", "list", "counter", "bridge", "zmqchat", "seen"
        )
        counters = [row["counter"] for row in json.loads(listed)["nftables"] if "counter" in row]
        return int(counters[0]["packets"])

    def close(self) -> None:
        """Remove everything, whatever state it is in."""
        for host in self.hosts:
            host.close()
        _remove(self._namespace)


def _remove(namespace: str) -> None:
    # What still runs there (a test's grandchildren) would keep the namespace alive without a name.
    listed = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, timeout=COMMAND_S)
    for pid in listed.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), 9)
    subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, timeout=COMMAND_S)


@contextlib.contextmanager
def lan(hosts: int = 2, *, subnet: str = "10.77.0", duplicate_address_detection: bool = False) -> Iterator[Lan]:
    """A network of so many hosts, 10.77.0.1, .2, …, removed at the end of the block whatever happens in it.

    duplicate_address_detection   leave it on, as on a real host: link-local addresses then take 1 to 2 s
    """
    reason = why_no_namespaces()
    if reason is not None:
        pytest.fail(f"this test needs network namespaces: {reason}")
    network = Lan(
        f"zc{os.getpid()}n{next(_networks)}", subnet=subnet, duplicate_address_detection=duplicate_address_detection
    )
    try:
        for _ in range(hosts):
            network.add_host()
        yield network
    finally:
        network.close()


def namespaces_left() -> list[str]:
    """Names of this process's namespaces that are still there."""
    listed = _tool("ip", "netns", "list").split()
    return [name for name in listed if name.startswith(f"zc{os.getpid()}")]


class Output:
    """What a process prints, line by line, with a limit on every wait.

    lines   all that was read so far
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.lines: list[str] = []
        self._descriptor = process.stdout.fileno()
        self._part = b""
        self._read = 0

    def wait_for(self, wanted: str, *, within_s: float) -> str:
        """The next line that contains `wanted`; AssertionError with all that was printed where none comes."""
        deadline_s = time.monotonic() + within_s
        while True:
            while self._read < len(self.lines):
                line = self.lines[self._read]
                self._read += 1
                if wanted in line:
                    return line
            if not self._more(deadline_s - time.monotonic()):
                printed = "\n".join(self.lines)
                raise AssertionError(f"no {wanted!r} within {within_s} s in:\n{printed}")

    def _more(self, within_s: float) -> bool:
        """Read what is there; False once the time is over or the output ended."""
        if within_s <= 0 or not select.select([self._descriptor], [], [], within_s)[0]:
            return False
        data = os.read(self._descriptor, 65_536)
        *whole, self._part = (self._part + data).split(b"\n")
        self.lines += [line.decode("utf-8", "replace") for line in whole]
        return bool(data)
