"""The real transport: three bound ZeroMQ sockets and the connections that we open.

All sockets belong to the event loop's thread; only the ZAP handler has a thread and sockets of its own.
This file joins the parts and routes effects to them:

    Door    strangers, in and out           Links   direct links, in and out     Feeds   XPUB and SUBs
    Sessions   who is admitted              AllowList, ZapHandler   who may connect
    Watch   endless messages                Listener, Connections   what others opened, bounded
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import Counter
from typing import Final

import zmq

from zmqchat.model.errors import NetworkError
from zmqchat.net.door import Door
from zmqchat.net.engine import Engine
from zmqchat.net.feeds import Feeds
from zmqchat.net.files import FILES_RESERVE, open_files, raise_file_limit
from zmqchat.net.links import Links
from zmqchat.net.listener import Listener
from zmqchat.net.options import CurvePair
from zmqchat.net.ports import wanted_ports
from zmqchat.net.resolve import Resolver, is_literal
from zmqchat.net.sessions import Session, Sessions
from zmqchat.net.transport import CurveKey, Failed, Ports, Sink, TransportStats
from zmqchat.net.watch import Watch
from zmqchat.net.zap import AllowList, ZapHandler
from zmqchat.protocol.effects import (
    Admit,
    AnswerDoor,
    CloseDirect,
    CloseDoor,
    DialDoor,
    Effect,
    Expel,
    OpenDirect,
    OpenFeed,
    PublishFeed,
    Send,
    SendDoor,
    SetTopics,
)
from zmqchat.protocol.facts import PeerAbused

LIBZMQ_MIN: Final = (4, 3, 2)
"""Up to 4.3.1 a stranger's CURVE metadata overflowed a buffer (CVE-2019-13132)."""

SWEEP_S: Final = 2.0
TERM_S: Final = 1.0
BYE_LINGER_MS: Final = 200
"""How long the last frames to a peer that is expelled may take to leave."""

_log = logging.getLogger(__name__)


class ZmqTransport:
    """`Transport` over pyzmq.

    curve_key                  CURVE public key of a peer id
    door_public, door_secret   the door's published pair, 32 raw bytes each
    failed                     told when nobody can get in any more: the node must stop
    """

    def __init__(
        self, *, curve_key: CurveKey, door_public: bytes, door_secret: bytes, failed: Failed | None = None
    ) -> None:
        self._curve_key = curve_key
        self._door_pair = CurvePair(door_public, door_secret)
        self._failed = failed
        self._allow_list = AllowList()
        self._sessions = Sessions()
        self._counters: Counter[str] = Counter()
        self._engine: Engine | None = None
        self._parts: _Parts | None = None
        self._zap: ZapHandler | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._files_max = 0
        self._door_shut = False
        self._door_place: tuple[str | None, int] = (None, 0)

    async def start(
        self,
        curve_secret: bytes,
        curve_public: bytes,
        listen: tuple[str | None, int | None],
        preferred_ports: tuple[int, int, int] | None,
        sink: Sink,
    ) -> Ports:
        """See Transport.start."""
        assert self._engine is None, "a transport is started once"
        loop = asyncio.get_running_loop()
        _check_libzmq()
        self._files_max = raise_file_limit()
        host = await _literal(loop, listen[0])
        engine = self._engine = Engine(loop, CurvePair(curve_public, curve_secret), sink)
        engine.counters = self._counters
        try:
            self._zap = ZapHandler(engine.context, self._allow_list, self._zap_failed)
            if not self._zap.start():
                raise NetworkError("the handler of new connections did not start: nobody could get in")
            parts = self._parts = self._build(engine)
            door, direct, feed = wanted_ports(listen[1], preferred_ports)
            ports = Ports(
                door=parts.door.listener.bind(host, door),
                direct=parts.links.listener.bind(host, direct),
                feed=parts.feeds.listener.bind(host, feed),
            )
        except BaseException:
            await self.stop(0)
            raise
        self._door_place = (host, ports.door)
        return ports

    def apply(self, effect: Effect) -> None:
        """See Transport.apply."""
        engine, parts = self._engine, self._parts
        if engine is None or parts is None or engine.closed:
            return
        nested, engine.applying = engine.applying, True
        try:
            self._route(parts, effect)
        finally:
            engine.applying = nested

    async def stop(self, flush_s: float) -> None:
        """See Transport.stop."""
        engine, parts = self._engine, self._parts
        if engine is None or engine.closed:
            return
        engine.closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        linger_ms = max(0, int(1_000 * flush_s))
        if parts is not None:
            parts.watch.close()
            parts.door.close(linger_ms)
            parts.links.close(linger_ms)
            parts.feeds.close(linger_ms)
        engine.resolver.close()
        if self._zap is not None:
            self._zap.stop()
        await _terminate(engine, flush_s + TERM_S)

    def stats(self) -> TransportStats:
        """See Transport.stats."""
        parts = self._parts
        counters = dict(sorted((self._counters + self._allow_list.counters).items()))
        if parts is None:
            return TransportStats(counters=counters)
        return TransportStats(
            counters=counters,
            sessions=len(self._sessions),
            inbound=sum(len(listener.connections) for listener in parts.listeners),
            dials=parts.door.dials + parts.links.dials + parts.feeds.dials,
            open_files=open_files(),
            watching=Watch.available,
        )

    @property
    def handshake_addresses(self) -> tuple[str, ...]:
        """See Transport.handshake_addresses."""
        return tuple(self._allow_list.addresses)

    def _build(self, engine: Engine) -> _Parts:
        watch = Watch(engine.loop, engine.counters)
        door = Door(engine, watch, self._door_pair, self._changed)
        shared = (engine, watch, self._sessions, self._curve_key, self._abused, self._changed)
        return _Parts(watch, door, Links(*shared), Feeds(*shared))

    def _route(self, parts: _Parts, effect: Effect) -> None:
        match effect:
            case Send():
                parts.links.send(effect)
            case PublishFeed():
                parts.feeds.publish(effect)
            case DialDoor():
                parts.door.dial(effect)
            case SendDoor():
                parts.door.send(effect)
            case CloseDoor():
                parts.door.close_dial(effect)
            case AnswerDoor():
                parts.door.answer(effect)
            case Admit():
                self._admit(effect)
            case Expel():
                self._end(parts, effect)
            case OpenDirect():
                parts.links.open(effect)
            case CloseDirect():
                parts.links.close_dial(effect.peer, BYE_LINGER_MS)
            case OpenFeed():
                parts.feeds.open(effect)
            case SetTopics():
                parts.feeds.set_topics(effect.rooms)
            case _:
                raise AssertionError(f"no effect of the transport: {type(effect).__name__}")

    def _admit(self, effect: Admit) -> None:
        if self._sessions.of_peer(effect.peer) is not None:
            return
        key = self._curve_key(effect.peer)
        if key is not None:
            session = self._sessions.begin(effect.peer, key)
            self._allow_list.allow(key, session.number)

    def _end(self, parts: _Parts, effect: Expel) -> None:
        session = self._sessions.end(effect.peer)
        if session is None:
            parts.links.close_dial(effect.peer, BYE_LINGER_MS)
            parts.feeds.close_dial(effect.peer)
            return
        self._allow_list.deny(session.key)
        parts.links.end(session, BYE_LINGER_MS)
        parts.feeds.end(session)

    def _abused(self, session: Session, reason: str) -> None:
        parts, engine = self._parts, self._engine
        if parts is None or engine is None or self._sessions.of_peer(session.peer) is not session:
            return
        self._counters[f"abuse_{reason}"] += 1
        self._end(parts, Expel(peer=session.peer, reason=reason))
        engine.tell(PeerAbused(peer=session.peer, reason=reason))

    def _zap_failed(self, reason: str) -> None:
        """Called on the ZAP thread."""
        engine = self._engine
        _log.error("%s", reason)
        if engine is not None and self._failed is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the node has ended already
                engine.loop.call_soon_threadsafe(self._failed, reason)

    # What is looked at from time to time, only while there is something to look at ----------------------

    def _changed(self) -> None:
        engine = self._engine
        if self._sweep is None and engine is not None and not engine.closed:
            self._sweep = engine.loop.call_later(SWEEP_S, self._swept)

    def _swept(self) -> None:
        self._sweep = None
        parts, engine = self._parts, self._engine
        if parts is None or engine is None or engine.closed:
            return
        for listener in parts.listeners:
            listener.connections.sweep(engine.loop.time())
        self._guard_files(parts.door.listener)
        if self._door_shut or any(listener.connections.unsettled for listener in parts.listeners):
            self._changed()

    def _guard_files(self, door: Listener) -> None:
        """Shut the door while file descriptors are short: at the limit libzmq's listener spins."""
        free = self._files_max - open_files()
        host, port = self._door_place
        if not self._door_shut and free < FILES_RESERVE:
            self._door_shut = True
            self._counters["door_shut"] += 1
            with contextlib.suppress(zmq.ZMQError):
                door.socket.unbind(door.endpoint)
            _log.warning("only %d file descriptors are free: the door is shut until there are more", free)
        elif self._door_shut and free >= 2 * FILES_RESERVE:
            with contextlib.suppress(NetworkError):  # the old listener may still be closing: tried again
                door.bind(host, [port])
                self._door_shut = False


class _Parts:
    """What exists between start and stop."""

    def __init__(self, watch: Watch, door: Door, links: Links, feeds: Feeds) -> None:
        self.watch = watch
        self.door = door
        self.links = links
        self.feeds = feeds
        self.listeners = (door.listener, links.listener, feeds.listener)


def _check_libzmq() -> None:
    if zmq.zmq_version_info() < LIBZMQ_MIN:
        raise NetworkError(f"libzmq {zmq.zmq_version()} is too old: pyzmq's own wheels bring a newer one")
    if not zmq.has("curve"):
        raise NetworkError("this libzmq was built without CURVE: pyzmq's own wheels have it")


async def _literal(loop: asyncio.AbstractEventLoop, host: str | None) -> str | None:
    """The address to bind for a host that may be a name; raises NetworkError."""
    if host is None or is_literal(host):
        return host
    found: asyncio.Future[tuple[str, ...]] = loop.create_future()
    Resolver(loop).resolve(host, lambda addresses: None if found.done() else found.set_result(addresses))
    addresses = await found
    if not addresses:
        raise NetworkError(f"{host!r} has no address: give --listen one of this machine's addresses")
    return addresses[0]


async def _terminate(engine: Engine, within_s: float) -> None:
    """Terminate the context on a thread of its own: libzmq may hang there, and the process must go on."""
    ended = asyncio.Event()

    def terminate() -> None:
        engine.context.destroy(0)  # closes what a start that failed has left open
        with contextlib.suppress(RuntimeError):  # the loop did not wait any longer
            engine.loop.call_soon_threadsafe(ended.set)

    thread = threading.Thread(target=terminate, name="zmqchat-term", daemon=True)
    thread.start()
    try:
        await asyncio.wait_for(ended.wait(), within_s)
        thread.join(within_s)
    except asyncio.TimeoutError:
        _log.warning("the sockets did not close within %.1f s; going on", within_s)
