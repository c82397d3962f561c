"""The machine's network interfaces: which are usable, under which addresses, and when that changes.

`scan` takes a snapshot. `InterfaceWatcher` takes one whenever Linux's routing socket says that something
changed, and every few seconds where there is no such socket (and, seldom, beside it), in a thread of its
own, because a machine with a thousand interfaces takes a while to list them.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, NamedTuple

import ifaddr

if sys.platform != "win32":
    import fcntl

INTERFACES_MAX: Final = 16
"""Interfaces used: a container host has hundreds, each of which costs a socket and a packet a query."""

ADDRESSES_PER_INTERFACE_MAX: Final = 4
"""Addresses of one interface: IPv6 collects temporary ones."""

POLL_S: Final = 2.0
"""Between snapshots where nothing tells of changes: a quarter of a millisecond each."""

POLL_BESIDE_EVENTS_S: Final = 30.0
"""The same where events do: their queue may have overflowed."""

SETTLE_S: Final = 0.2
"""From the first event to the snapshot: events come in bursts."""

_FLAG_UP: Final = 0x1
_FLAG_LOOPBACK: Final = 0x8
_FLAG_RUNNING: Final = 0x40
_FLAG_MULTICAST: Final = 0x1000 if sys.platform == "linux" else 0x8000
_GET_FLAGS: Final = 0x8913 if sys.platform == "linux" else 0xC0206911
_NETLINK_GROUPS: Final = 0x1 | 0x10 | 0x100  # links, IPv4 addresses, IPv6 addresses


class Address(NamedTuple):
    """An address of an interface, without scope, and how long its network's prefix is."""

    ip: str
    prefix: int

    @property
    def is_v6(self) -> bool:
        """Whether it is an IPv6 address."""
        return ":" in self.ip

    @property
    def is_link_local_v6(self) -> bool:
        """Whether it means something on its own link only."""
        return self.is_v6 and ipaddress.IPv6Address(self.ip).is_link_local

    def holds(self, ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        """Whether this address's network contains the other."""
        return ip in ipaddress.ip_network(f"{self.ip}/{self.prefix}", strict=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """A usable interface: up, and multicast or asked for by name.

    index       the system's number, which is also the scope of link-local IPv6 addresses
    addresses   IPv4 first, then IPv6, link-local ones last; never empty
    """

    name: str
    index: int
    loopback: bool
    addresses: tuple[Address, ...]

    def summary(self) -> str:
        """Its name and addresses, for a person."""
        return f"{self.name} ({', '.join(address.ip for address in self.addresses)})"


def scan(wanted: Sequence[str] = ()) -> tuple[Interface, ...]:
    """The usable interfaces, at most INTERFACES_MAX, those with IPv4 first.

    wanted   names or addresses of the only ones to use; loopback is never used unless it is named here
    """
    found = []
    try:
        adapters = ifaddr.get_adapters()
    except OSError:  # a sandbox that hides them
        return ()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        for adapter in adapters:
            interface = _usable(adapter, wanted, asker)
            if interface is not None:
                found.append(interface)
    found.sort(key=lambda interface: (interface.addresses[0].is_v6, interface.index))
    return tuple(found[:INTERFACES_MAX])


def reachable_hosts(interfaces: Iterable[Interface]) -> tuple[str, ...]:
    """The addresses of these interfaces as a dialler writes them: IPv4 first, link-local IPv6 (with %scope) last."""
    plain: list[str] = []
    scoped: list[str] = []
    for interface in interfaces:
        for address in interface.addresses:
            if address.is_link_local_v6:
                scoped.append(f"{address.ip}%{interface.name}")
            else:
                plain.append(address.ip)
    plain.sort(key=lambda host: ":" in host)
    return (*plain, *scoped)


def missing_interfaces(wanted: Sequence[str], found: Iterable[Interface]) -> tuple[str, ...]:
    """Those of `wanted` that no interface found answers to."""
    known = {name for each in found for name in (each.name, *(address.ip for address in each.addresses))}
    return tuple(name for name in wanted if name not in known)


def _usable(adapter: ifaddr.Adapter, wanted: Sequence[str], asker: socket.socket) -> Interface | None:
    name = adapter.nice_name if sys.platform == "win32" else adapter.name
    index = adapter.index
    if index is None:
        return None
    addresses = sorted(
        (_plain(ip) for ip in adapter.ips), key=lambda address: (address.is_v6, address.is_link_local_v6)
    )
    named = name in wanted
    if wanted and not named:
        addresses = [address for address in addresses if address.ip in wanted]
    flags = _flags(name, addresses, asker)
    loopback = bool(flags & _FLAG_LOOPBACK)
    if not flags & _FLAG_UP or not flags & _FLAG_RUNNING:
        return None
    if not wanted and (loopback or not flags & _FLAG_MULTICAST):
        return None
    if loopback and named:
        addresses = _loopback_only(addresses)
    ready = [address for address in addresses if _can_bind(address, index)]
    if not ready:
        return None
    return Interface(name=name, index=index, loopback=loopback, addresses=tuple(ready[:ADDRESSES_PER_INTERFACE_MAX]))


def _plain(ip: ifaddr.IP) -> Address:
    text = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
    return Address(text.split("%")[0], ip.network_prefix)


def _loopback_only(addresses: Iterable[Address]) -> list[Address]:
    """The one address to use of a loopback interface: others on it are services of this machine alone."""
    inner = [address for address in addresses if ipaddress.ip_address(address.ip).is_loopback]
    return inner[:1]


def _flags(name: str, addresses: Iterable[Address], asker: socket.socket) -> int:
    if sys.platform == "win32":  # its list holds only what is up; loopback is told by the addresses
        loopback = any(ipaddress.ip_address(address.ip).is_loopback for address in addresses)
        return _FLAG_UP | _FLAG_RUNNING | _FLAG_MULTICAST | (_FLAG_LOOPBACK if loopback else 0)
    else:
        request = struct.pack("16sH22x", name.encode()[:15], 0)
        try:
            answer = fcntl.ioctl(asker, _GET_FLAGS, request)
        except OSError:
            return 0
        flags: int = struct.unpack_from("16xH", answer)[0]
        return flags


def _can_bind(address: Address, index: int) -> bool:
    """Whether sockets can use the address: a new IPv6 one can't until it is known to be unique."""
    family = socket.AF_INET6 if address.is_v6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.bind(
                (address.ip, 0, 0, index if address.is_link_local_v6 else 0) if address.is_v6 else (address.ip, 0)
            )
    except OSError:
        return False
    return True


class InterfaceWatcher:
    """Calls `changed` with a new snapshot whenever it differs from the one before, on the event loop."""

    def __init__(
        self, wanted: Sequence[str], changed: Callable[[tuple[Interface, ...]], None], *, poll_s: float | None = None
    ) -> None:
        self._wanted = tuple(wanted)
        self._changed = changed
        self._poll_s = poll_s
        self._current: tuple[Interface, ...] = ()
        self._events: socket.socket | None = None
        self._due = asyncio.Event()
        self._thread: ThreadPoolExecutor | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def current(self) -> tuple[Interface, ...]:
        """The last snapshot."""
        return self._current

    async def start(self) -> tuple[Interface, ...]:
        """Take the first snapshot and watch from then on."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="zmqchat-interfaces")
        self._events = _open_events()
        if self._events is not None:
            try:
                asyncio.get_running_loop().add_reader(self._events, self._heard, self._events)
            except NotImplementedError:  # a loop that watches no sockets: interfaces are looked at now and then
                self._events.close()
                self._events = None
        self._current = await self._scan()
        self._task = asyncio.create_task(self._watch(), name="zmqchat interface watcher")
        return self._current

    async def stop(self) -> None:
        """End the watching and its thread; may be called again."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        events, self._events = self._events, None
        if events is not None:
            asyncio.get_running_loop().remove_reader(events)
            events.close()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=True)

    def rescan(self) -> None:
        """Take a snapshot soon, whatever the system says."""
        self._due.set()

    async def _watch(self) -> None:
        quiet_s = self._poll_s or (POLL_S if self._events is None else POLL_BESIDE_EVENTS_S)
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._due.wait(), quiet_s)
                await asyncio.sleep(SETTLE_S)
            self._due.clear()
            snapshot = await self._scan()
            if snapshot != self._current:
                self._current = snapshot
                self._changed(snapshot)

    async def _scan(self) -> tuple[Interface, ...]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, scan, self._wanted)

    def _heard(self, events: socket.socket) -> None:
        with contextlib.suppress(OSError):  # empty, or ENOBUFS: events were lost, which is an event too
            while events.recv(65_536):
                pass
        self._due.set()


def _open_events() -> socket.socket | None:
    """A routing socket that becomes readable when links or addresses change; None where there is none."""
    if sys.platform != "linux":
        return None
    events = None
    try:
        events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        events.bind((0, _NETLINK_GROUPS))
    except OSError:
        if events is not None:
            events.close()
        return None
    return events
