"""`Node`: a running zmqchat, as programs use it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from zmqchat.model.addresses import Endpoint, parse_address
from zmqchat.model.arguments import SECONDS_MAX, seconds_checked
from zmqchat.model.config import Config
from zmqchat.model.errors import ControlError, NodeClosed, WrongProcess
from zmqchat.model.ids import PeerId, peer_short, room_id, room_name_checked
from zmqchat.node import forks
from zmqchat.node.control import ControlServer
from zmqchat.node.doctor import examine
from zmqchat.node.happenings import Happenings
from zmqchat.node.mesh import SURVEY_S, MeshView, view_mesh
from zmqchat.node.opening import Opened, open_node
from zmqchat.node.room import Room
from zmqchat.node.runner import share_interpreter
from zmqchat.node.settings import Settings, name_checked
from zmqchat.node.telling import Telling
from zmqchat.node.values import NodeEvent, NoticeGiven, Peer
from zmqchat.protocol.facts import JoinRoom, LeaveRoom, PeerSighted, Rename, StopRequested

LOBBY = "lobby"
FLUSH_S = 1.0
"""How long a stop waits for what was accepted to become durable."""

PARTING_S = 0.3
"""How long it waits for peers to hang up after the goodbye."""


class Node:
    """One identity, one store, one set of sockets: a member of the mesh.

    name        the nickname; None for the one that the home knows, else the login's
    home        folder of identity, store and settings; None for <user data folder>/zmqchat/<name>
    mesh        name of the open mesh, "zmqchat" by default; only nodes of the same name meet
    listen      HOST:PORT or HOST for the door; None for all interfaces and port 42100 where it is free
    peers       addresses to dial besides those found, HOST:PORT or PEERID@HOST:PORT
    discovery   announce and find by multicast DNS, True by default; without it the node still accepts
    interfaces  names of the only interfaces to use for discovery
    config      timings

    What is left out `config.toml` in the home may say; its peers are dialled besides those given here.
    `async with Node("ann") as node:` starts and stops it; or call `start` and `stop`. Raises HomeError and
    NetworkError from there, BadConfig too where that file is wrong, UsageError from here.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        home: str | os.PathLike[str] | None = None,
        mesh: str | None = None,
        listen: str | None = None,
        peers: Sequence[str] = (),
        discovery: bool | None = None,
        interfaces: Sequence[str] = (),
        config: Config | None = None,
    ) -> None:
        self._settings = Settings.of_caller(name, home, mesh, listen, peers, discovery, interfaces, config)
        self._opened: Opened | None = None
        self._happenings = Happenings()
        self._generation = forks.generation()
        self._stopping: asyncio.Task[None] | None = None
        self._control: ControlServer | None = None
        self._silenced: asyncio.Task[None] | None = None
        self.notices: list[str] = []
        self.failure: str | None = None

    # Start and stop --------------------------------------------------------------------------------

    async def __aenter__(self) -> Node:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Open the home, bind the sockets, be in the lobby.

        Raises HomeError, NetworkError, BadConfig; NodeClosed after a stop.
        """
        if self._stopping is not None:
            raise NodeClosed("the node was stopped: make another Node")
        if self._opened is not None:
            return
        share_interpreter()
        opened = await open_node(self._settings, self._notice, self._fail)
        self._opened = opened
        try:
            await self._begin(opened)
        except BaseException:
            await self.stop()
            raise

    async def _begin(self, opened: Opened) -> None:
        """Everything is open: be a member of the mesh."""
        opened.runner.on(Telling(opened, self._happenings, self._notice).appliers())
        known = list(opened.core.data.ledger.rooms.values())
        opened.begin()
        for entry in known:
            if entry.joined:
                opened.core.open_room(entry.room, entry.name)
        if not known:
            await self.join(LOBBY)
        await opened.start_discovery()
        self._control = ControlServer(self, opened.home.folder, opened.settings.told())
        try:
            await self._control.start()
        except ControlError as error:
            self._notice(f"commands can't use this node: {error}")

    async def stop(self) -> None:
        """Say goodbye, make durable what was accepted, leave nothing behind; within 2 s. Safe to call twice."""
        if forks.generation() != self._generation or self._opened is None:
            return
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self._stop(self._opened), name="zmqchat stop")
        await asyncio.shield(self._stopping)

    async def _stop(self, opened: Opened) -> None:
        core, runner = opened.core, opened.runner
        opened.end_discovery()  # beside the rest, as its goodbyes take their time
        try:
            if self._control is not None:
                await self._control.stop()
            core.accept_no_more()
            core.read_positions.flush()
            if self.failure is None:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._flushed(opened), FLUSH_S)
            runner.feed(StopRequested())
            await self._parted(opened)
            core.close()
            self._happenings.close()
            await core.tasks_ended()
        finally:
            runner.stop()
            await opened.close()

    async def _parted(self, opened: Opened) -> None:
        """Peers have heard the goodbye and hung up: a connection that we close first may take it along unread."""
        loop, peers = asyncio.get_running_loop(), opened.core.machines.peers
        deadline_s = loop.time() + PARTING_S
        # Looked at again and again, as the end of a link wakes nobody here; it is a matter of milliseconds.
        while peers.linked and loop.time() < deadline_s:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.002)

    async def _flushed(self, opened: Opened) -> None:
        """Everything accepted is durable and has left for those in touch."""
        core = opened.core
        # Looked at again and again, as commits of others' batches wake nobody.
        while not core.data.committing.is_idle or any(map(core.is_pending, core.rooms)):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.005)

    def _core(self) -> Opened:
        if forks.generation() != self._generation:
            raise WrongProcess("this node belongs to the parent process: make a Node of its own here")
        if self._opened is None:
            raise NodeClosed("the node is not started: use `async with Node(...)` or call start()")
        if self.failure is not None:
            raise NodeClosed(f"the node has stopped: {self.failure}")
        self._opened.core.check_open()
        return self._opened

    # Who ---------------------------------------------------------------------------------------------

    @property
    def id(self) -> PeerId:
        """This node's peer id; `zmqchat.peer_text(node.id)` is the form that people exchange."""
        return self._core().core.me

    @property
    def name(self) -> str:
        """This node's nickname."""
        return self._core().name

    @property
    def home(self) -> Path:
        """The folder of identity, store and settings."""
        return self._core().home.folder

    @property
    def address(self) -> str:
        """HOST:PORT of the door as others on this machine's network may dial it."""
        return self._core().address

    @property
    def ports(self) -> tuple[int, int, int]:
        """The TCP ports of door, direct and feed."""
        return self._core().ports

    @property
    def peers(self) -> list[Peer]:
        """The other nodes in touch now, by name; never oneself."""
        core = self._core().core
        return sorted((core.peer(peer) for peer in core.machines.peers.linked), key=lambda peer: (peer.name, peer.id))

    def known_peers(self) -> list[Peer]:
        """All peers that this node knows an address of, in touch or not."""
        core = self._core().core
        known = {peer for peer, _target in core.machines.peers.book.peers()} | core.machines.peers.linked
        return sorted((core.peer(peer) for peer in known), key=lambda peer: (not peer.online, peer.name, peer.id))

    def mesh(self) -> MeshView:
        """The whole mesh as this node knows it: nodes, links and subnets."""
        opened = self._core()
        return view_mesh(opened.core, opened.address)

    async def survey(self, timeout: float = SURVEY_S) -> MeshView:
        """Ask the linked peers which links they know of; the mesh as this node knows it after timeout seconds at most.

        Costs a small frame a link, which `mesh` does not; what they tell is shown for a minute.
        """
        timeout_s = seconds_checked("timeout", timeout)
        opened = self._core()
        survey, loop = opened.core.machines.survey, asyncio.get_running_loop()
        survey.ask()
        opened.runner.settle_soon()
        deadline_s = loop.time() + (SURVEY_S if timeout_s is None else timeout_s)
        # Looked at again and again: an answer takes a round trip, and nobody else is to be told of it.
        while not survey.is_complete and loop.time() < deadline_s:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)
        return self.mesh()

    @property
    def control_clients(self) -> int:
        """How many commands are connected to this node's control socket."""
        return 0 if self._control is None else self._control.clients

    def events(self) -> AsyncIterator[NodeEvent]:
        """What happens from now on: peers come and go, members join and leave, warnings."""
        self._core()
        return self._happenings.listen()

    async def rename(self, name: str) -> None:
        """Go by another nickname from now on. Raises BadName."""
        cleaned = name_checked(name)
        opened = self._core()
        opened.go_by(cleaned)
        opened.runner.feed(Rename(name=cleaned))

    # Rooms -------------------------------------------------------------------------------------------

    @property
    def rooms(self) -> list[Room]:
        """The rooms that this node is in, by name."""
        core = self._core().core
        is_in = core.data.membership.is_in
        return sorted((room for room in core.rooms.values() if is_in(room.id)), key=lambda room: room.name)

    async def join(self, name: str, latest_first: bool = False) -> Room:
        """Be in the room of this name from now on, across restarts; the room's object if it is so already.

        latest_first  fetch the newest messages first and what is older behind them, from now on; a later join
                      without it leaves that as it is
        Raises BadRoomName, and TooManyRooms where this node is in as many as it can be.
        """
        opened = self._core()
        checked = room_name_checked(name)
        room = room_id(opened.mesh, checked)
        await opened.core.wait_to_join(room, checked)
        opened.runner.feed(JoinRoom(room=room, name=checked, latest_first=latest_first))
        return opened.core.open_room(room, checked)

    async def leave(self, name: str) -> None:
        """Be no member of the room any more; what is stored stays, and its Room can be read. Raises BadRoomName.

        Sending to it raises NotStored from then on, until it is joined again.
        """
        opened = self._core()
        room = room_id(opened.mesh, room_name_checked(name))
        opened.runner.feed(LeaveRoom(room=room))

    def add_peer(self, address: str) -> None:
        """Dial this address from now on until it is removed. Raises BadAddress."""
        parsed = parse_address(address)
        endpoint = Endpoint(parsed.host, parsed.port)
        self._core().runner.feed(PeerSighted(endpoint=endpoint, peer=None, source="config"))

    def remove_peer(self, address: str) -> None:
        """Dial this address no more; a link that exists stays. Raises BadAddress."""
        parsed = parse_address(address)
        self._core().core.machines.peers.book.forget(Endpoint(parsed.host, parsed.port))

    def nobody_found(self) -> str | None:
        """One line that says what was tried and what to do, while nobody is in touch; else None."""
        return self._core().nobody_found()

    def missing_messages(self) -> int:
        """About how many messages are on their way here from peers that have them already."""
        return self._core().core.data.fetching.missing()

    async def doctor(self, peer: str | None = None) -> Mapping[str, object]:
        """What this node sees of itself and its network, JSON-able; with `peer` what both sides think of each other."""
        return await examine(self._core(), peer, self.notices)

    async def linger(self, timeout: float) -> bool:
        """Wait until another node holds all that was sent by this one since it started; False after timeout seconds."""
        timeout_s = seconds_checked("timeout", timeout)
        return await self._core().core.linger(SECONDS_MAX if timeout_s is None else timeout_s)

    def _notice(self, text: str) -> None:
        if text not in self.notices[-20:]:
            self.notices.append(text)
            del self.notices[:-100]
            self._happenings.tell(NoticeGiven(text))

    def _fail(self, why: str) -> None:
        """A part that the node can't do without is broken: stop rather than pretend."""
        if self.failure is None:
            self.failure = why
            self._notice(f"the node has stopped: {why}")
            if self._opened is not None:
                self._opened.core.close()
                self._opened.runner.stop()
                self._opened.end_discovery()
                # Machines that threw halfway must not be heard any more; `stop` lets go of the rest.
                self._silenced = asyncio.get_running_loop().create_task(
                    self._opened.transport.stop(0), name="zmqchat failed"
                )

    def __repr__(self) -> str:
        opened = self._opened
        return "<Node, not started>" if opened is None else f"<Node {opened.name!r} {peer_short(opened.core.me)}>"
