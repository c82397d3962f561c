"""The discovery of a node that wants none: it follows this machine's interfaces, and sends and hears nothing."""

from __future__ import annotations

from collections.abc import Sequence

from zmqchat.discovery.discovery import Announcement, Callbacks, DiscoveryStatistics, MulticastProbe
from zmqchat.discovery.interfaces import Interface, InterfaceWatcher, missing_interfaces, reachable_hosts


class QuietDiscovery:
    """A `Discovery` without multicast, for `discovery=False`."""

    def __init__(self, callbacks: Callbacks, *, interfaces: Sequence[str] = ()) -> None:
        self._callbacks = callbacks
        self._wanted = tuple(interfaces)
        self._watcher = InterfaceWatcher(interfaces, self._follow)
        self._only: tuple[str, ...] = ()
        self._last_problem: str | None = None

    async def start(self, announcement: Announcement) -> None:
        """See which interfaces there are."""
        await self.update(announcement)
        for name in missing_interfaces(self._wanted, await self._watcher.start()):
            self._last_problem = no_such_interface(name)
            self._callbacks.problem(self._last_problem)

    async def stop(self) -> None:
        """Follow them no more."""
        await self._watcher.stop()

    async def update(self, announcement: Announcement) -> None:
        """Only `hosts` matters here."""
        self._only = announcement.hosts

    def advertise(self, on: bool) -> None:
        """Nothing is announced in any case."""

    def refresh(self) -> None:
        """Look at the interfaces again."""
        self._watcher.rescan()

    def hosts(self) -> tuple[str, ...]:
        """The hosts under which this node can be reached now."""
        return self._only or reachable_hosts(self._watcher.current)

    def statistics(self) -> DiscoveryStatistics:
        """Never active."""
        return DiscoveryStatistics(
            active=False,
            interfaces=self._watcher.current,
            hosts=self.hosts(),
            last_problem=self._last_problem,
        )

    async def self_test(self) -> tuple[MulticastProbe, ...]:
        """Nothing may be sent, so nothing is known."""
        return ()

    def _follow(self, _: tuple[Interface, ...]) -> None:
        self._callbacks.interfaces_changed(self.hosts())


def no_such_interface(name: str) -> str:
    """The line for an --interface that is not there."""
    return f"interface {name[:40]!r} is not there or not up: `zmqchat doctor` lists those that are"
