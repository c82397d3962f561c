"""zmqchat for programs without asyncio: the same names, blocking, usable from several threads.

Each `Node` runs an event loop on a thread of its own. `Client` and `Server` are the smallest form: a node that
is told of an address, and one that listens at it.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import zmqchat.node.node as asynchronous
from zmqchat.model.addresses import parse_address, parse_listen
from zmqchat.model.arguments import check_source, seconds_checked, text_checked
from zmqchat.model.config import Config
from zmqchat.model.errors import DeliveryTimeout, HomeInUse, NodeClosed, WrongProcess
from zmqchat.model.ids import MessageId, PeerId
from zmqchat.node import forks
from zmqchat.node.blocking import Exhausted, Pump, cancel_all, next_or_none, next_sents, serve_loop
from zmqchat.node.cursor import Messages as AsyncMessages
from zmqchat.node.home import resolve_home
from zmqchat.node.mesh import SURVEY_S, MeshView
from zmqchat.node.message import Gap, Message
from zmqchat.node.room import Room as AsyncRoom
from zmqchat.node.sending import Sent
from zmqchat.node.values import Member, NodeEvent, Peer

Result = TypeVar("Result")

STOP_TIMEOUT_S = 5.0
HELD_TIMEOUT_S = 10.0


class Node:
    """A blocking `zmqchat.Node`: the same arguments, the same names."""

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
        self._node = asynchronous.Node(
            name,
            home=home,
            mesh=mesh,
            listen=listen,
            peers=peers,
            discovery=discovery,
            interfaces=interfaces,
            config=config,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._generation = forks.generation()
        self._lock = threading.Lock()
        self._cleanup: Callable[[], object] | None = None

    def __enter__(self) -> Node:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the node; raises HomeError, NetworkError or BadConfig."""
        with self._lock:
            if self._thread is not None:
                return
            self._loop = asyncio.SelectorEventLoop()
            self._thread = threading.Thread(target=serve_loop, args=(self._loop,), name="zmqchat-node", daemon=True)
            self._thread.start()
        try:
            self._run(self._node.start())
        except BaseException:
            self._end_loop()
            raise
        _stop_at_exit(self)

    def stop(self) -> None:
        """Stop it, as `zmqchat.Node.stop`; safe to call twice."""
        if self._thread is None or forks.generation() != self._generation:
            return
        with contextlib.suppress(concurrent.futures.TimeoutError, NodeClosed):
            self._submit(self._node.stop()).result(STOP_TIMEOUT_S)
        self._end_loop()
        _running.discard(self)
        if self._cleanup is not None:
            self._cleanup()

    def _end_loop(self) -> None:
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        # What other threads wait for ends now: they get NodeClosed.
        with contextlib.suppress(concurrent.futures.TimeoutError):
            asyncio.run_coroutine_threadsafe(cancel_all(), loop).result(STOP_TIMEOUT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(STOP_TIMEOUT_S)

    def _submit(self, coroutine: Coroutine[Any, Any, Result]) -> concurrent.futures.Future[Result]:
        if forks.generation() != self._generation:
            coroutine.close()
            raise WrongProcess("this node belongs to the parent process: make a Node of its own here")
        with self._lock:
            if self._loop is not None:
                return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        coroutine.close()
        raise NodeClosed("the node is not started: use `with Node(...)` or call start()")

    def _run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        future = self._submit(coroutine)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise NodeClosed("the node is stopped") from None
        except KeyboardInterrupt:
            future.cancel()
            raise

    def _raise_failure(self) -> None:
        """Raise NodeClosed where the node has stopped by itself: that is no end like any other."""
        if self.failure is not None:
            raise NodeClosed(f"the node has stopped: {self.failure}") from None

    def _call(self, function: Callable[[], Result]) -> Result:
        """Run a plain function on the node's loop."""

        async def call() -> Result:
            return function()

        return self._run(call())

    @property
    def id(self) -> PeerId:
        """This node's peer id."""
        return self._call(lambda: self._node.id)

    @property
    def name(self) -> str:
        """This node's nickname."""
        return self._call(lambda: self._node.name)

    @property
    def home(self) -> Path:
        """The folder of identity, store and settings."""
        return self._call(lambda: self._node.home)

    @property
    def address(self) -> str:
        """HOST:PORT of the door."""
        return self._call(lambda: self._node.address)

    @property
    def ports(self) -> tuple[int, int, int]:
        """The TCP ports of door, direct and feed."""
        return self._call(lambda: self._node.ports)

    @property
    def notices(self) -> list[str]:
        """One-line things that the user should know."""
        return list(self._node.notices)

    @property
    def failure(self) -> str | None:
        """Why the node has stopped by itself; None where it has not."""
        return self._node.failure

    @property
    def peers(self) -> list[Peer]:
        """The other nodes in touch now."""
        return self._call(lambda: self._node.peers)

    @property
    def rooms(self) -> list[Room]:
        """The rooms that this node is in."""
        return [Room(self, room) for room in self._call(lambda: self._node.rooms)]

    def join(self, name: str, latest_first: bool = False) -> Room:
        """Be in the room of this name from now on, as `zmqchat.Node.join`."""
        return Room(self, self._run(self._node.join(name, latest_first)))

    def leave(self, name: str) -> None:
        """Be no member of the room any more."""
        self._run(self._node.leave(name))

    def rename(self, name: str) -> None:
        """Go by another nickname from now on."""
        self._run(self._node.rename(name))

    def add_peer(self, address: str) -> None:
        """Dial this address from now on."""
        self._call(lambda: self._node.add_peer(address))

    def remove_peer(self, address: str) -> None:
        """Dial this address no more; a link that exists stays."""
        self._call(lambda: self._node.remove_peer(address))

    def known_peers(self) -> list[Peer]:
        """All peers that this node knows an address of, in touch or not."""
        return self._call(self._node.known_peers)

    def mesh(self) -> MeshView:
        """The whole mesh as this node knows it."""
        return self._call(self._node.mesh)

    def survey(self, timeout: float = SURVEY_S) -> MeshView:
        """Ask the linked peers which links they know of, then the mesh as this node knows it."""
        return self._run(self._node.survey(timeout))

    @property
    def control_clients(self) -> int:
        """How many commands are connected to this node's control socket."""
        return self._call(lambda: self._node.control_clients)

    def nobody_found(self) -> str | None:
        """One line that says what was tried and what to do, while nobody is in touch; else None."""
        return self._call(self._node.nobody_found)

    def missing_messages(self) -> int:
        """About how many messages are on their way here from peers that have them already."""
        return self._call(self._node.missing_messages)

    def linger(self, timeout: float) -> bool:
        """Wait until another node holds all that was sent by this one; False after timeout seconds."""
        return self._run(self._node.linger(timeout))

    def doctor(self, peer: str | None = None) -> Mapping[str, object]:
        """What this node sees of itself and its network."""
        return self._run(self._node.doctor(peer))

    def events(self) -> Iterator[NodeEvent]:
        """What happens from now on; ends when the node stops."""
        return _Events(self, self._call(self._node.events))


class Room:
    """A blocking `zmqchat.Room`."""

    def __init__(self, node: Node, room: AsyncRoom) -> None:
        self._node = node
        self._room = room
        self.name = room.name
        self.id = room.id

    def post(self, text: str) -> Posting:
        """Accept a text and return at once; `.result()` of what comes waits until it is durable."""
        posting = self._node._call(lambda: self._room.post(text))
        return Posting(self, posting.id)

    def send(self, text: str, until: str = "stored", timeout: float | None = None, *, copies: int = 1) -> Sent:
        """Send a text and wait until it is where `until` wants it."""
        return self._node._run(self._room.send(text, until, timeout, copies=copies))

    def send_app(
        self, content_type: str, value: object, until: str = "stored", timeout: float | None = None, *, copies: int = 1
    ) -> Sent:
        """Send an application's own payload."""
        return self._node._run(self._room.send_app(content_type, value, until, timeout, copies=copies))

    def send_all(
        self, source: Iterable[str], until: str = "stored", timeout: float | None = None, *, copies: int = 1
    ) -> Iterator[Sent]:
        """Send every text of an iterable through a bounded window; gives each Sent in order.

        The iterable runs on a thread of its own, a little ahead, so it may block.
        """
        check_source("the source", source)
        pump = Pump(source)
        sends = self._node._call(lambda: self._room.send_all(pump, until, timeout, copies=copies))
        try:
            while True:
                yield from self._node._run(next_sents(sends))
        except Exhausted:
            return
        finally:
            pump.close()
            with contextlib.suppress(NodeClosed):
                self._node._run(sends.aclose())

    def wait(
        self,
        message: MessageId | Posting | Sent,
        until: str = "delivered",
        timeout: float | None = None,
        *,
        copies: int = 1,
    ) -> Sent:
        """Wait for a message that was posted before: its id, or what `post` or `send` gave."""
        own = message.id if isinstance(message, Posting) else message
        return self._node._run(self._room.wait(own, until, timeout, copies=copies))

    def messages(self, after: str | None = "read") -> Messages:
        """A cursor over what arrives."""
        return Messages(self._node, self._node._call(lambda: self._room.messages(after)))

    def history(self, last: int = 50, *, before: Message | None = None) -> list[Message]:
        """The last messages in timeline order, oldest first; those before an earlier one if so asked."""
        return self._node._run(self._room.history(last, before=before))

    @property
    def members(self) -> list[Member]:
        """Who is in the room."""
        return self._node._call(lambda: self._room.members)

    def count_unread(self) -> int:
        """How many messages of others among the newest 1,000 arrivals are not read here."""
        return self._node._run(self._room.count_unread())

    def __repr__(self) -> str:
        return f"<Room {self.name!r}>"


class Posting:
    """A message on its way to the disk; `id` is known at once."""

    def __init__(self, room: Room, message: MessageId) -> None:
        self._room = room
        self.id = message

    def result(self, timeout: float | None = None) -> Sent:
        """Wait until it is durable here; raises TimeoutError after `timeout` seconds, and may be asked again."""
        timeout_s = seconds_checked("timeout", timeout)
        return self._room._node._run(asyncio.wait_for(self._room._room.stored(self.id), timeout_s))


class Messages(Iterator["Message | Gap"]):
    """A blocking cursor; `blocks()` gives sequences. Ends when the node is stopped; raises NodeClosed if it failed."""

    def __init__(self, node: Node, cursor: AsyncMessages) -> None:
        self._node = node
        self._cursor = cursor

    def __iter__(self) -> Messages:
        return self

    def __next__(self) -> Message | Gap:
        try:
            return self._node._run(self._cursor.__anext__())
        except NodeClosed:
            self._node._raise_failure()
            raise StopIteration from None

    def blocks(self) -> Iterator[Sequence[Message]]:
        """Non-empty sequences of messages as they arrived."""
        while True:
            try:
                block = self._node._run(self._cursor.next_block())
            except NodeClosed:
                self._node._raise_failure()
                return
            yield block


class Server:
    """A node that listens at a known address and prints what is said in the lobby."""

    def __init__(self, discovery: bool = False) -> None:
        self._discovery = discovery
        self._node: Node | None = None

    def start_listening(self, address: str) -> None:
        """Listen at HOST:PORT. Raises BadAddress, NetworkError or HomeError."""
        parse_listen(text_checked("the address", address))
        self.stop()
        self._node = _start("server", listen=address, discovery=self._discovery)

    def messages(self) -> Iterator[Message]:
        """The texts of the lobby from the first that was not given yet, until the node stops."""
        for message in _started(self._node).join(asynchronous.LOBBY).messages(after="read"):
            if isinstance(message, Message) and message.text is not None:
                yield message

    def listen_for_messages(self) -> None:
        """Print each text as `name: text`, until Ctrl-C."""
        from zmqchat.model.text import clean

        with contextlib.suppress(KeyboardInterrupt):
            for message in self.messages():
                print(f"{message.author.name}: {clean(message.text or '')}", flush=True)
        self.stop()

    def stop(self) -> None:
        """Stop listening; a script that ends does it by itself."""
        if self._node is not None:
            self._node.stop()


class Client:
    """A node that is told of an address and sends to the lobby."""

    def __init__(self, discovery: bool = False) -> None:
        self._discovery = discovery
        self._node: Node | None = None
        self._address = ""

    def connect(self, address: str) -> None:
        """Reach the node at HOST:PORT, now or as soon as it is there. Raises BadAddress."""
        parse_address(address)
        self.stop()
        self._address = address
        self._node = _start("client", peers=[address], discovery=self._discovery)

    def send_message(self, text: str) -> None:
        """Send a text and wait until another node has it on its disk; raises DeliveryTimeout after 10 s."""
        lobby = _started(self._node).join(asynchronous.LOBBY)
        try:
            lobby.send(text, until="held", timeout=HELD_TIMEOUT_S)
        except DeliveryTimeout as error:
            error.args = (
                f"nobody at {self._address} has taken the message within {HELD_TIMEOUT_S:g} s: is a server listening "
                "there? It is kept, and goes out when this client connects again",
            )
            raise

    def stop(self) -> None:
        """Disconnect; a script that ends does it by itself."""
        if self._node is not None:
            self._node.stop()


def _start(name: str, *, discovery: bool, listen: str | None = None, peers: Sequence[str] = ()) -> Node:
    """A node on the home of this name, or on a temporary one where another process has it."""
    node = Node(name, home=resolve_home(None, name), listen=listen, peers=peers, discovery=discovery)
    try:
        node.start()
    except HomeInUse:
        folder = tempfile.TemporaryDirectory(prefix="zmqchat-")
        node = Node(name, home=folder.name, listen=listen, peers=peers, discovery=discovery)
        node._cleanup = folder.cleanup
        try:
            node.start()
        except BaseException:
            folder.cleanup()
            raise
    return node


def _started(node: Node | None) -> Node:
    if node is None:
        raise NodeClosed("call start_listening or connect first")
    return node


_running: set[Node] = set()
_hooked = False


def _stop_at_exit(node: Node) -> None:
    """A script that just ends stops its nodes: before the interpreter's thread pools end, which a stop needs."""
    global _hooked
    _running.add(node)
    if not _hooked:
        _hooked = True
        # atexit comes after the pools; what threading has comes before those that were registered earlier.
        getattr(threading, "_register_atexit", atexit.register)(_stop_all)


def _stop_all() -> None:
    for node in list(_running):
        node.stop()


class _Events(Iterator[NodeEvent]):
    """What happens in the mesh, one by one."""

    def __init__(self, node: Node, listening: AsyncIterator[NodeEvent]) -> None:
        self._node = node
        self._listening = listening

    def __next__(self) -> NodeEvent:
        try:
            event = self._node._run(next_or_none(self._listening))
        except NodeClosed:
            event = None
        if event is None:
            raise StopIteration
        return event
