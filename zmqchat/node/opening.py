"""Opening a node: home, identity, store, machines, sockets, discovery, in this order; a failure undoes it all."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import ipaddress
import os
import socket
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from zmqchat.crypto.keys import DOOR_PUBLIC, DOOR_SECRET, Identity, curve_key, load_or_create_identity
from zmqchat.crypto.signing import IdentityCrypto
from zmqchat.discovery.discovery import Announcement, Callbacks, Discovery, nobody_found
from zmqchat.discovery.interfaces import reachable_hosts, scan
from zmqchat.discovery.quiet import QuietDiscovery
from zmqchat.model.addresses import Endpoint, format_address, parse_listen
from zmqchat.model.errors import BadAddress
from zmqchat.model.ids import MeshId, PeerId, mesh_id
from zmqchat.model.text import clean_name
from zmqchat.net.zmq_transport import ZmqTransport
from zmqchat.node.assembly import assemble
from zmqchat.node.cable import Cable
from zmqchat.node.core import Core
from zmqchat.node.home import Home, resolve_home
from zmqchat.node.machine_id import boot_id, machine_id
from zmqchat.node.remembered import RememberedPeers
from zmqchat.node.runner import Runner
from zmqchat.node.settings import DEFAULT_MESH, Settings
from zmqchat.protocol.effects import Advertise, PeerReported, PutRow
from zmqchat.protocol.facts import EndpointsChanged, NodeStarted, PeerSighted
from zmqchat.store.lmdb_store import LmdbStore, open_store
from zmqchat.store.store import StoreOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence

Result = TypeVar("Result")


NAME_KEY = b"name"
PORTS_KEY = b"ports"
TRANSPORT_FLUSH_S = 0.3
DISCOVERY_STOP_S = 1.5
"""How long discovery may take to end, from when a stop of the node begins, beside everything else."""


@dataclass(slots=True)
class Opened:
    """The parts of a running node, and how they are let go."""

    settings: Settings
    home: Home
    identity: Identity
    mesh: MeshId
    name: str
    store: LmdbStore
    core: Core
    runner: Runner
    transport: Cable
    discovery: Discovery
    ports: tuple[int, int, int]
    hosts: tuple[str, ...]
    listen_host: str | None
    remembered: RememberedPeers
    notice: Callable[[str], None]
    started_s: float = 0.0
    _answers: dict[int, asyncio.Future[tuple[tuple[str, str], ...]]] = field(default_factory=dict)
    _discovery_end: asyncio.Task[None] | None = None
    _discovery_end_s: float = 0.0

    def begin(self) -> None:
        """Tell the machines that the node is up, and where peers may be."""
        self.started_s = self.runner.now().now_s
        self.runner.on_wake = self.discovery.refresh
        self.runner.on({Advertise: lambda effect: self.discovery.advertise(effect.on)})
        self.runner.start_watch()
        self.runner.feed(NodeStarted(endpoints=self.endpoints(), ports=self.ports))
        for address in self.settings.peers:
            endpoint = Endpoint(address.host, address.port)
            self.runner.feed(PeerSighted(endpoint=endpoint, peer=None, source="config"))
        for sighting in self.remembered.sightings():
            self.runner.feed(sighting)

    async def start_discovery(self) -> None:
        """Announce and browse from now on."""
        hosts = (self.listen_host,) if self.listen_host is not None else ()
        await self.discovery.start(
            Announcement(peer=self.identity.peer, mesh=self.mesh, door=self.ports[0], hosts=hosts)
        )

    def hosts_changed(self, hosts: tuple[str, ...]) -> None:
        """Interfaces or addresses changed."""
        if self.listen_host is None and hosts != self.hosts:
            self.hosts = hosts
            self.runner.feed(EndpointsChanged(endpoints=self.endpoints()))

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where this node can be reached, as HELLO tells it: without addresses that mean something here alone."""
        return tuple(Endpoint(host, *self.ports) for host in self.hosts if "%" not in host)

    @property
    def address(self) -> str:
        """HOST:PORT of the door, for others to dial."""
        hosts = [host for host in self.hosts if "%" not in host] or ["127.0.0.1"]
        return format_address(hosts[0], self.ports[0])

    def nobody_found(self) -> str | None:
        """What was tried, while nobody is in touch."""
        if self.core.machines.peers.linked:
            return None
        unanswered = self.unanswered()
        return f"nobody found: {unanswered[0]}" if unanswered else nobody_found(self.discovery.statistics())

    def unanswered(self) -> list[str]:
        """The addresses that were given and where no link came about, each with the thing to do."""
        return [
            _why_unanswered(format_address(endpoint.host, endpoint.door), reason)
            for endpoint, reason in self.core.machines.peers.book.unanswered()
        ]

    async def ask(self, peer: PeerId, timeout_s: float) -> tuple[tuple[str, str], ...] | None:
        """What a linked peer thinks of this node; None where it does not answer in time."""
        inquiry = self.core.machines.inquiry
        token = inquiry.ask(peer)
        future: asyncio.Future[tuple[tuple[str, str], ...]] = asyncio.get_running_loop().create_future()
        self._answers[token] = future
        self.runner.settle_soon()
        try:
            return await asyncio.wait_for(future, timeout_s)
        except asyncio.TimeoutError:
            return None
        finally:
            self._answers.pop(token, None)
            inquiry.forget(token)

    def reported(self, effect: PeerReported) -> None:
        """A peer answered."""
        future = self._answers.get(effect.token)
        if future is not None and not future.done():
            future.set_result(effect.lines)

    def go_by(self, name: str) -> None:
        """The nickname from now on, and at the next start."""
        self.name = name
        self.core.name = name
        self.core.write_rows((PutRow("meta", NAME_KEY, name.encode()),))

    def end_discovery(self) -> asyncio.Task[None]:
        """Announce and browse no more: the one task that sees to it."""
        if self._discovery_end is None:
            loop = asyncio.get_running_loop()
            self._discovery_end = loop.create_task(self.discovery.stop(), name="zmqchat end of discovery")
            self._discovery_end_s = loop.time() + DISCOVERY_STOP_S
        return self._discovery_end

    async def _discovery_ended(self) -> None:
        """Wait for it until its time is over, even where it does not heed being cancelled; raises what it raised."""
        ending = self.end_discovery()
        left_s = self._discovery_end_s - asyncio.get_running_loop().time()
        await asyncio.wait({ending}, timeout=max(0.0, left_s))
        if ending.done():
            ending.result()
            return
        ending.add_done_callback(lambda task: task.cancelled() or task.exception())
        ending.cancel()
        await asyncio.sleep(0)

    async def close(self) -> None:
        """Let go of everything, in the order that loses nothing; what one part raises keeps no other from its end."""
        async with contextlib.AsyncExitStack() as parts:
            parts.callback(self.home.close)
            parts.push_async_callback(asyncio.to_thread, self.store.close)
            parts.push_async_callback(self.transport.stop, TRANSPORT_FLUSH_S)
            await self._discovery_ended()


_REFUSALS: Final = {
    "duplicate": "its identity is used by two running nodes: a copied home is a copied identity; remove one of them",
    "mesh": "it is in another mesh: start both with the same --mesh",
    "self": "that is this node's own address: give that of another",
    "version": "",
    "identity": "",
    "penalty": "",
    "full": "",
    "busy": "",
    "stopping": "",
}
"""Why somebody who is there makes no link, and what to say of it; empty where the reason's own text says it."""


def _why_unanswered(address: str, reason: str) -> str:
    """An address that was given, and why there is no link: nobody is there, or somebody refuses."""
    word, _, detail = reason.partition(": ")
    if word in _REFUSALS:
        return f"{address} refuses this node: {_REFUSALS[word] or detail}"
    return (
        f"{address} does not answer ({reason}): is zmqchat running there, is the address right, and does a firewall "
        "there let it be reached?"
    )


async def open_node(settings: Settings, notice: Callable[[str], None], failed: Callable[[str], None]) -> Opened:
    """Open everything; raises HomeError, NetworkError or UsageError with nothing left open."""
    async with contextlib.AsyncExitStack() as undo:
        home = Home.open(resolve_home(settings.home, settings.name or "default"))
        undo.callback(home.close)
        settings = settings.completed(home.config())
        was_lost = home.has_lost_identity
        identity, warnings = load_or_create_identity(home.identity_path)
        if was_lost:
            notice(
                f"this home had a store but no {home.identity_path.name}: a new person begins in it; to be the former "
                "one, stop and put the key back from a backup"
            )
        for warning in (*home.warnings, *warnings):
            notice(warning)
        late: list[Runner] = []

        def notify(outcomes: Sequence[tuple[int, StoreOutcome]]) -> None:
            if late:
                late[0].store_notify(outcomes)

        # A cancelled start must not leave a thread behind that still opens the store.
        opening = asyncio.ensure_future(
            asyncio.to_thread(
                open_store,
                home.store_path,
                notify,
                machine_id=machine_id(),
                boot_id=boot_id(),
                store_id=os.urandom(16),
            )
        )
        undo.push_async_callback(_close_store, opening)
        store = await asyncio.shield(opening)
        for warning in store.info.warnings:
            notice(warning)
        opened = await _assemble(settings, home, identity, store, late, notice, failed)
        undo.push_async_callback(opened.transport.stop, 0.0)
        await _bind(opened)
        undo.pop_all()
        return opened


async def _close_store(opening: asyncio.Future[LmdbStore]) -> None:
    await asyncio.wait({opening})
    if opening.exception() is None:
        await asyncio.to_thread(opening.result().close)


async def _assemble(
    settings: Settings,
    home: Home,
    identity: Identity,
    store: LmdbStore,
    late: list[Runner],
    notice: Callable[[str], None],
    failed: Callable[[str], None],
) -> Opened:
    crypto = IdentityCrypto(identity)
    mesh = mesh_id(settings.mesh or DEFAULT_MESH)
    stored_name = await _read(store.read(lambda: store.get("meta", NAME_KEY)))
    name = _choose_name(settings.name, stored_name)
    machines, damaged = await _read(store.read(lambda: assemble(identity, mesh, store, settings.config, name, crypto)))
    if damaged:
        notice(f"the store has damaged entries, which were left out: {'; '.join(damaged[:3])}; run `zmqchat doctor`")
    sockets = ZmqTransport(curve_key=curve_key, door_public=DOOR_PUBLIC, door_secret=DOOR_SECRET, failed=failed)
    transport = Cable(sockets)
    runner = Runner(
        machines.mesh,
        transport,
        store,
        lambda error: failed(f"{type(error).__name__}: {error}"),
        link_dead_s=settings.config.link_dead_s,
    )
    late.append(runner)
    core = Core(identity.peer, machines, runner, store, crypto, str(home.folder), name)
    meta = await _read(store.read(lambda: store.rows("meta")))
    core.read_positions.restore(meta)
    peer_rows = await _read(store.read(lambda: store.rows("peers")))
    opened = Opened(
        settings=settings,
        home=home,
        identity=identity,
        mesh=mesh,
        name=name,
        store=store,
        core=core,
        runner=runner,
        transport=transport,
        discovery=QuietDiscovery(_no_callbacks()),
        ports=(0, 0, 0),
        hosts=(),
        listen_host=None,
        remembered=RememberedPeers(peer_rows, core.write_rows),
        notice=notice,
    )
    opened.discovery = _discovery(opened)
    if stored_name is None or stored_name.decode(errors="replace") != name:
        core.write_rows((PutRow("meta", NAME_KEY, name.encode()),))
    return opened


async def _bind(opened: Opened) -> None:
    host, port = parse_listen(opened.settings.listen)
    if host is not None:
        host = await _address_of(host)
    stored = await _read(opened.store.read(lambda: opened.store.get("meta", PORTS_KEY)))
    preferred = None
    if stored is not None and len(stored) == 6:
        preferred = tuple(int.from_bytes(stored[i : i + 2], "big") for i in (0, 2, 4))
    ports = await opened.transport.start(
        opened.identity.curve_secret,
        opened.identity.curve_public,
        (host, port),
        preferred,  # type: ignore[arg-type]  # a generator of three can't be typed as a triple
        opened.runner.feed,
    )
    opened.ports = (ports.door, ports.direct, ports.feed)
    opened.listen_host = host
    if host is not None:
        opened.hosts = (host,)
    else:
        interfaces = await asyncio.to_thread(scan, opened.settings.interfaces)
        opened.hosts = reachable_hosts(interfaces)
    if preferred != opened.ports:
        row = b"".join(number.to_bytes(2, "big") for number in opened.ports)
        opened.core.write_rows((PutRow("meta", PORTS_KEY, row),))


def _discovery(opened: Opened) -> Discovery:
    callbacks = Callbacks(sighted=opened.runner.feed, problem=opened.notice, interfaces_changed=opened.hosts_changed)
    if not opened.settings.discovery:
        return QuietDiscovery(callbacks, interfaces=opened.settings.interfaces)
    from zmqchat.discovery.mdns import MdnsDiscovery  # 55 ms that a node without discovery need not pay

    return MdnsDiscovery(callbacks, interfaces=opened.settings.interfaces)


def _no_callbacks() -> Callbacks:
    return Callbacks(sighted=lambda _fact: None, problem=lambda _text: None, interfaces_changed=lambda _hosts: None)


def _choose_name(asked: str | None, stored: bytes | None) -> str:
    for name in (asked, None if stored is None else stored.decode(errors="replace"), _login()):
        cleaned = clean_name(name or "", "")
        if cleaned:
            return cleaned
    return "somebody"


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


async def _address_of(host: str) -> str:
    """A host name as an address to bind: sockets take no names."""
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(host))
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise BadAddress(host, "the name or address of this machine") from error
    hosts = sorted({str(entry[4][0]) for entry in found}, key=lambda one: (":" in one, one))
    return hosts[0]


async def _read(future: Future[Result]) -> Result:
    return await asyncio.wrap_future(future)
