"""Discovery by multicast DNS: announce, listen, and follow the interfaces as they come and go.

    interfaces change -> InterfaceWatcher -> _follow task: open zeroconf, or move it to the new set,
                                             and announce with the new addresses
    packets -> zeroconf -> Browser -> records judged -> Candidates -> sighted

Our record is announced without probing for its name first (RFC 6762, 8.1), which takes most of a second: the
name holds 120 bits of our key and of chance, and nothing rests on it being unique.

Other nodes on this machine share UDP port 5353. On Linux multicast works on the loopback interface without a
route or the interface's MULTICAST flag, because each socket names its interface.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from zeroconf import Error as ZeroconfError
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from zmqchat.discovery.browse import Browser
from zmqchat.discovery.candidates import Candidates
from zmqchat.discovery.discovery import (
    SERVICE_TYPE,
    SOURCE,
    Announcement,
    Callbacks,
    DiscoveryStatistics,
    MulticastProbe,
)
from zmqchat.discovery.interfaces import Interface, InterfaceWatcher, missing_interfaces, reachable_hosts
from zmqchat.discovery.probe import BY_HAND, advice, probe_multicast
from zmqchat.discovery.quiet import no_such_interface
from zmqchat.discovery.records import (
    Ignored,
    Sighting,
    host_name,
    instance_name,
    packed_addresses,
    read_endpoints,
    read_txt,
    txt_properties,
)
from zmqchat.protocol.facts import PeerSighted

ANNOUNCE_BURST: Final = 6
"""Interface changes that are announced at once (a link that comes up makes two: its IPv6 address is a second
later); beyond them one every ANNOUNCE_EVERY_S: a Wi-Fi that flaps
must not become a storm of multicast."""

ANNOUNCE_EVERY_S: Final = 10.0

RETRY_S: Final = 15.0
"""After multicast could not be had, until it is tried again though no interface changed."""

HEAR_OWN_S: Final = 2.0
"""After announcing, our own record must have come back within this, else multicast is tested and told of."""

CLOSE_S: Final = 1.0
"""What goodbyes and closing may take."""


class MdnsDiscovery:
    """The real `Discovery`."""

    def __init__(
        self, callbacks: Callbacks, *, interfaces: Sequence[str] = (), rng: random.Random | None = None
    ) -> None:
        self._callbacks = callbacks
        self._wanted = tuple(interfaces)
        self._rng = rng or random.Random()
        self._watcher = InterfaceWatcher(interfaces, self._interfaces_changed)
        self._candidates = Candidates(self._rng)
        self._ignored: Counter[str] = Counter()
        self._announcement: Announcement | None = None
        self._instance = ""
        self._zeroconf: AsyncZeroconf | None = None
        self._browser: Browser | None = None
        self._used: tuple[Interface, ...] = ()
        self._announced: AsyncServiceInfo | None = None
        self._advertising = True
        self._sending: asyncio.Future[None] | None = None
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Future[None]] = set()
        self._follower: asyncio.Task[None] | None = None
        self._problems: dict[str, str] = {}
        self._sightings = 0
        self._heard_own_s: float | None = None

    # Life ---------------------------------------------------------------------------------------------

    async def start(self, announcement: Announcement) -> None:
        """Announce and listen; what does not work is told to `problem`."""
        self._announcement = announcement
        self._instance = instance_name(announcement.peer)
        _limit_log()
        interfaces = await self._watcher.start()
        await self._apply(interfaces)
        self._follower = asyncio.create_task(self._follow(), name="zmqchat discovery follows interfaces")

    async def stop(self) -> None:
        """Say goodbye and close, within CLOSE_S."""
        follower, self._follower = self._follower, None
        if follower is not None:
            follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await follower
        await self._watcher.stop()
        await self._close()

    async def update(self, announcement: Announcement) -> None:
        """Announce this from now on instead."""
        self._announcement = announcement
        if self._zeroconf is not None:
            await self._announce()

    def advertise(self, on: bool) -> None:
        """Announce, or say goodbye and be quiet; browsing goes on."""
        if on == self._advertising:
            return
        self._advertising = on
        if self._zeroconf is not None:
            self._keep(asyncio.create_task(self._announce(), name="zmqchat discovery announces or is quiet"))

    def refresh(self) -> None:
        """Ask again at once, and trust nothing heard before."""
        self._candidates.clear()
        self._watcher.rescan()
        if self._browser is not None:
            self._browser.ask_again()

    # What others may know -------------------------------------------------------------------------------

    def hosts(self) -> tuple[str, ...]:
        """The hosts under which this node can be reached now."""
        if self._announcement is not None and self._announcement.hosts:
            return self._announcement.hosts
        return reachable_hosts(self._watcher.current)

    def statistics(self) -> DiscoveryStatistics:
        """What is going on, for `doctor`."""
        heard = self._heard_own_s
        return DiscoveryStatistics(
            active=self._zeroconf is not None and bool(self._used),
            advertised=self._announced is not None,
            interfaces=self._watcher.current,
            hosts=self.hosts(),
            candidates=len(self._candidates),
            sightings=self._sightings,
            queries=self._browser.queries if self._browser is not None else 0,
            heard_own_s_ago=None if heard is None else time.monotonic() - heard,
            ignored=dict(self._ignored),
            last_problem=next(reversed(self._problems.values()), None),
        )

    async def self_test(self) -> tuple[MulticastProbe, ...]:
        """Send one packet from each address in use and listen for it; about a second."""
        return await probe_multicast(self._watcher.current)

    # Interfaces -----------------------------------------------------------------------------------------

    def _interfaces_changed(self, _: tuple[Interface, ...]) -> None:
        self._changed.set()
        self._callbacks.interfaces_changed(self.hosts())

    async def _follow(self) -> None:
        """Apply changes as they come, more than ANNOUNCE_BURST in a row only every ANNOUNCE_EVERY_S."""
        allowed = float(ANNOUNCE_BURST)
        before_s = time.monotonic()
        while True:
            failed = self._zeroconf is None and bool(self._watcher.current)
            try:
                await asyncio.wait_for(self._changed.wait(), RETRY_S if failed else None)
            except asyncio.TimeoutError:
                await self._apply(self._watcher.current)
                continue
            now_s = time.monotonic()
            allowed = min(float(ANNOUNCE_BURST), allowed + (now_s - before_s) / ANNOUNCE_EVERY_S)
            before_s = now_s
            if allowed < 1.0:
                await asyncio.sleep((1.0 - allowed) * ANNOUNCE_EVERY_S)
                continue
            allowed -= 1.0
            self._changed.clear()
            await self._apply(self._watcher.current)

    async def _apply(self, interfaces: tuple[Interface, ...]) -> None:
        """Be heard and hear on these interfaces, and no others."""
        missing = missing_interfaces(self._wanted, interfaces)
        for name in self._wanted:
            self._judge(f"interface {name}", no_such_interface(name) if name in missing else None)
        nothing = f"no network interface is up: discovery goes on by itself once one is; {BY_HAND}"
        self._judge("interfaces", None if interfaces or missing else nothing)
        trouble = None
        try:
            if self._zeroconf is not None:
                await self._move(interfaces)
            elif interfaces:
                await self._open(interfaces)
        except OSError as error:
            trouble = advice(error, "any interface")
        except (ZeroconfError, RuntimeError) as error:
            trouble = f"multicast DNS failed: {error}; {BY_HAND}"
        self._judge("socket", trouble)
        if trouble is not None:
            await self._close()

    async def _open(self, interfaces: tuple[Interface, ...]) -> None:
        self._zeroconf = AsyncZeroconf(interfaces=_choice(interfaces))
        self._used = interfaces
        await self._zeroconf.zeroconf.async_wait_for_start()
        self._browser = Browser(
            self._zeroconf.zeroconf,
            found=self._found,
            gone=self._candidates.forget,
            known=self._is_known,
            ignored=self._ignored,
            rng=self._rng,
        )
        self._browser.start()
        await self._announce()

    async def _move(self, interfaces: tuple[Interface, ...]) -> None:
        assert self._zeroconf is not None and self._browser is not None
        if interfaces == self._used:
            return
        # A device that went and came back between two looks has its old address and a new number; zeroconf
        # goes by addresses, so it must see it gone for its membership in the multicast group to be renewed.
        numbers = {each.name: each.index for each in self._used}
        stayed = tuple(each for each in interfaces if numbers.get(each.name, each.index) == each.index)
        if stayed != interfaces:
            await self._zeroconf.async_update_interfaces(_choice(stayed))
        self._used = interfaces
        self._candidates.clear()
        announced = self._announced
        await self._announce()
        if announced is not None:
            await self._zeroconf.async_update_interfaces(_choice(interfaces))
        self._browser.ask_again()

    async def _announce(self) -> None:
        """Multicast our record with the addresses of now, three times in half a second; its end where we are quiet."""
        assert self._zeroconf is not None and self._announcement is not None
        if not self._advertising:
            announced, self._announced = self._announced, None
            if announced is not None:
                if self._sending is not None:
                    self._sending.cancel()  # its last repetition would come after the goodbye
                self._keep(asyncio.ensure_future(await self._zeroconf.async_unregister_service(announced)))
            return
        info = AsyncServiceInfo(
            SERVICE_TYPE,
            self._instance,
            port=self._announcement.door,
            properties=txt_properties(self._announcement),
            server=host_name(self._instance),
            addresses=packed_addresses(self.hosts()),
        )
        if self._announced is None:
            sending = await self._zeroconf.async_register_service(info, cooperating_responders=True)
        else:
            sending = await self._zeroconf.async_update_service(info)
        self._announced = info
        self._sending = asyncio.ensure_future(sending)
        self._keep(self._sending)
        self._keep(asyncio.create_task(self._check_heard(), name="zmqchat discovery checks multicast"))

    async def _check_heard(self) -> None:
        """Say so where our own record does not come back: then nobody else has it either."""
        began_s = time.monotonic()
        await asyncio.sleep(HEAR_OWN_S)
        heard = self._heard_own_s is not None and self._heard_own_s >= began_s
        probes = () if heard else await self.self_test()
        trouble = [probe.problem for probe in probes if probe.problem is not None]
        self._judge("multicast", trouble[0] if trouble else None)

    def _keep(self, task: asyncio.Future[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Future[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._ignored["failed task"] += 1

    async def _close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        browser, self._browser = self._browser, None
        if browser is not None:
            await browser.stop()
        zeroconf, self._zeroconf = self._zeroconf, None
        self._announced = None
        self._used = ()
        if zeroconf is not None:
            try:
                await asyncio.wait_for(zeroconf.async_close(), CLOSE_S)
            except (asyncio.TimeoutError, OSError, ZeroconfError):
                zeroconf.zeroconf.engine.close()  # without goodbyes; its sockets must not outlive us

    # Records ----------------------------------------------------------------------------------------------

    def _found(self, info: AsyncServiceInfo) -> None:
        assert self._announcement is not None
        peer = read_txt(info.properties, self._announcement.mesh)
        if isinstance(peer, Ignored):
            self._ignored[peer.reason] += 1
            return
        if peer == self._announcement.peer:
            if info.key == self._instance.lower():
                self._heard_own_s = time.monotonic()
            else:
                self._ignored["own id"] += 1
            return
        endpoints = read_endpoints(info.parsed_scoped_addresses(), info.port, self._used)
        if isinstance(endpoints, Ignored):
            self._ignored[endpoints.reason] += 1
            return
        if self._candidates.note(info.key, Sighting(peer, endpoints), time.monotonic()):
            for endpoint in endpoints:
                self._sightings += 1
                self._callbacks.sighted(PeerSighted(endpoint=endpoint, peer=peer, source=SOURCE))

    def _is_known(self, name: str) -> bool:
        return name in self._candidates or name.lower() == self._instance.lower()

    def _judge(self, topic: str, problem: str | None) -> None:
        """Tell a problem once, until it is over or another."""
        if problem is None:
            self._problems.pop(topic, None)
        elif self._problems.get(topic) != problem:
            self._problems[topic] = problem
            self._callbacks.problem(problem)


def _choice(interfaces: Iterable[Interface]) -> list[str | int | tuple[tuple[str, int, int], int]]:
    """Interfaces as zeroconf wants them: each IPv4 address, and the number of each that has IPv6.

    Loopback is IPv4 only: Linux does not loop IPv6 multicast back there.
    """
    choice: list[str | int | tuple[tuple[str, int, int], int]] = []
    for interface in interfaces:
        choice.extend(address.ip for address in interface.addresses if not address.is_v6)
        if not interface.loopback and any(address.is_v6 for address in interface.addresses):
            choice.append(interface.index)
    return choice


class _AtMostSome(logging.Filter):
    """Lets one line through every 10 s: a hostile network must not fill the log."""

    def __init__(self) -> None:
        super().__init__()
        self._next_s = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        now_s = time.monotonic()
        if now_s < self._next_s and record.levelno < logging.CRITICAL:
            return False
        self._next_s = now_s + 10.0
        return True


_LOG_LIMIT: Final = _AtMostSome()


def _limit_log() -> None:
    logging.getLogger("zeroconf").addFilter(_LOG_LIMIT)
