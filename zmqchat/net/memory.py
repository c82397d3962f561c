"""The in-memory twin of the transport: several nodes on one hub, in one event loop, without sockets.

It keeps the same contract (tests/net/test_contract.py runs over both): who is not admitted gets in
nowhere, frames keep their order on a link, a link that is cut is told to the other side. It has no
high-water marks and no rate limits, since it holds nothing: what is sent arrives in the loop's next
turn. `MemoryHub.part` makes two nodes unreachable to each other.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from typing import Final

from zmqchat.model.addresses import Endpoint
from zmqchat.model.errors import PortInUse
from zmqchat.model.ids import PeerId, RoomId
from zmqchat.model.limits import DOOR_FRAME_BYTES_MAX, FRAME_BYTES_MAX
from zmqchat.net.options import Role
from zmqchat.net.ports import wanted_ports
from zmqchat.net.resolve import is_literal
from zmqchat.net.transport import CurveKey, Failed, Ports, Sink, TransportStats
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
from zmqchat.protocol.facts import (
    DialFailed,
    DirectClosed,
    DirectOpened,
    DoorAnswered,
    DoorCaller,
    DoorKnocked,
    Fact,
    FeedClosed,
    FeedOpened,
    FeedReceived,
    FrameReceived,
    InboundClosed,
    PeerSubscribed,
)

LOOPBACK: Final = "127.0.0.1"
_FIRST_FREE_PORT: Final = 50_000


class MemoryHub:
    """The network that its transports share."""

    def __init__(self) -> None:
        self._ports: dict[int, tuple[MemoryTransport, Role]] = {}
        self._free_ports = itertools.count(_FIRST_FREE_PORT)
        self._parted: set[frozenset[int]] = set()

    def part(self, one: MemoryTransport, other: MemoryTransport) -> None:
        """Cut all links between the two, and let none come up."""
        self._parted.add(frozenset({id(one), id(other)}))
        for node in (one, other):
            node.cut_links({id(one), id(other)})

    def heal(self, one: MemoryTransport, other: MemoryTransport) -> None:
        """Let the two reach each other again."""
        self._parted.discard(frozenset({id(one), id(other)}))

    def bind(self, node: MemoryTransport, role: Role, ports: list[int]) -> int:
        """Take the first of these ports that is free (0 is any); raises PortInUse."""
        for wanted in ports:
            port = wanted or next(self._free_ports)
            if port not in self._ports:
                self._ports[port] = (node, role)
                return port
        raise PortInUse(f"{ports[-1]} is in use by another node: choose another port with --listen")

    def unbind(self, node: MemoryTransport) -> None:
        """Free the node's ports."""
        self._ports = {port: place for port, place in self._ports.items() if place[0] is not node}

    def find(self, dialler: MemoryTransport, host: str, port: int, role: Role) -> MemoryTransport | str:
        """Who listens there, or the reason why nobody can be reached."""
        if not is_literal(host) and host != "localhost":
            return "no such name"
        node, listens_as = self._ports.get(port, (None, None))
        if node is None or listens_as is not role:
            return "refused"
        return "timeout" if frozenset({id(dialler), id(node)}) in self._parted else node


class _Link:
    """One connection; `closed` once either side has closed it."""

    __slots__ = ("closed", "dialler", "known", "listener", "number", "open", "peer", "role", "rooms")

    def __init__(self, dialler: MemoryTransport, listener: MemoryTransport, role: Role, number: int) -> None:
        self.dialler = dialler
        self.listener = listener
        self.role = role
        self.number = number
        self.open = False
        self.closed = False
        self.known = False
        self.peer: PeerId | None = None
        self.rooms: set[RoomId] = set()


class MemoryTransport:
    """`Transport` without sockets; the parameters are those of ZmqTransport, and a hub."""

    def __init__(
        self,
        hub: MemoryHub,
        *,
        curve_key: CurveKey,
        door_public: bytes,
        door_secret: bytes,
        failed: Failed | None = None,
    ) -> None:
        del door_secret, failed  # nothing here can fail, and what isn't encrypted needs no secret
        self._hub = hub
        self._curve_key = curve_key
        self.door_public = door_public
        self.curve_public = b""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sink: Sink | None = None
        self._counters: Counter[str] = Counter()
        self._numbers = itertools.count(1)
        self._rooms: frozenset[RoomId] = frozenset()
        self._doors: dict[int, _Link | None] = {}
        self._directs: dict[PeerId, _Link] = {}
        self._feeds: dict[PeerId, _Link] = {}
        self._admitted: dict[bytes, PeerId] = {}
        self._inbound: dict[int, _Link] = {}

    async def start(
        self,
        curve_secret: bytes,
        curve_public: bytes,
        listen: tuple[str | None, int | None],
        preferred_ports: tuple[int, int, int] | None,
        sink: Sink,
    ) -> Ports:
        """See Transport.start."""
        del curve_secret
        self.curve_public = curve_public
        self._loop = asyncio.get_running_loop()
        door, direct, feed = wanted_ports(listen[1], preferred_ports)
        ports = Ports(
            door=self._hub.bind(self, Role.DOOR, door),
            direct=self._hub.bind(self, Role.DIRECT, direct),
            feed=self._hub.bind(self, Role.FEED, feed),
        )
        self._sink = sink
        return ports

    def apply(self, effect: Effect) -> None:
        """See Transport.apply."""
        if self._sink is None:
            return
        match effect:
            case Send():
                self._send(effect)
            case PublishFeed():
                self._publish(effect)
            case DialDoor():
                self._dial_door(effect)
            case SendDoor():
                self._knock(effect.dial, effect.payload)
            case CloseDoor():
                self._close(self._doors.pop(effect.dial, None))
            case AnswerDoor():
                self._answer(effect)
            case Admit():
                key = self._curve_key(effect.peer)
                if key is not None:
                    self._admitted[key] = effect.peer
            case Expel():
                self._expel(effect.peer)
            case OpenDirect():
                self._open(effect.peer, effect.endpoint, Role.DIRECT)
            case CloseDirect():
                self._close(self._directs.pop(effect.peer, None))
            case OpenFeed():
                self._open(effect.peer, effect.endpoint, Role.FEED)
            case SetTopics():
                self._rooms = effect.rooms
                for link in self._feeds.values():
                    self._subscribe(link)
            case _:
                raise AssertionError(f"no effect of the transport: {type(effect).__name__}")

    async def stop(self, flush_s: float) -> None:
        """See Transport.stop."""
        del flush_s
        await asyncio.sleep(0)  # what was sent in this turn arrives in the next
        self._sink = None
        self._hub.unbind(self)
        for link in [*self._outbound(), *self._inbound.values()]:
            self._close(link)

    def stats(self) -> TransportStats:
        """See Transport.stats."""
        return TransportStats(
            counters=dict(self._counters),
            sessions=len(self._admitted),
            inbound=len(self._inbound),
            dials=len(self._outbound()),
        )

    @property
    def handshake_addresses(self) -> tuple[str, ...]:
        """See Transport.handshake_addresses."""
        return (LOOPBACK,) if self._inbound else ()

    def cut_links(self, ends: set[int]) -> None:
        """Cut the links whose two ends these are; used by the hub."""
        for link in [*self._outbound(), *self._inbound.values()]:
            if {id(link.dialler), id(link.listener)} == ends and not link.closed:
                link.closed = True
                self._later(link.dialler._lost, link, "lost")
                self._later(link.listener._gone, link)

    # As the one who dials ---------------------------------------------------------------------------

    def _dial_door(self, effect: DialDoor) -> None:
        self._close(self._doors.pop(effect.dial, None))
        if self._fits(effect.payload, DOOR_FRAME_BYTES_MAX):
            found = self._hub.find(self, effect.endpoint.host, effect.endpoint.door, Role.DOOR)
            if isinstance(found, str):
                self._doors[effect.dial] = None
                self._later(self._dial_failed, effect.dial, found)
                return
            link = self._doors[effect.dial] = self._link(found, Role.DOOR)
            link.open = True
            self._knock(effect.dial, effect.payload)

    def _dial_failed(self, dial: int, reason: str) -> None:
        if self._doors.get(dial, self) is None:
            del self._doors[dial]
            self._tell(DialFailed(dial=dial, reason=reason))

    def _knock(self, dial: int, payload: bytes) -> None:
        link = self._doors.get(dial)
        if link is not None and self._fits(payload, DOOR_FRAME_BYTES_MAX):
            self._soon(link, lambda: link.listener._knocked(link, payload))

    def _open(self, peer: PeerId, endpoint: Endpoint, role: Role) -> None:
        links = self._directs if role is Role.DIRECT else self._feeds
        self._close(links.pop(peer, None))
        port = endpoint.direct if role is Role.DIRECT else endpoint.feed
        found = self._hub.find(self, endpoint.host, port, role)
        key = self._curve_key(peer)
        if not isinstance(found, str) and key != found.curve_public:
            found = "refused" if key is not None else "denied"
        if isinstance(found, str):
            closed = DirectClosed if role is Role.DIRECT else FeedClosed
            self._later(self._tell, closed(peer=peer, reason=found))
            return
        link = links[peer] = self._link(found, role)
        link.peer = peer
        self._soon(link, lambda: link.listener._accepted(link))

    def _opened(self, link: _Link) -> None:
        if link.peer is None or not self._current(link):
            return
        link.open = True
        if link.role is Role.DIRECT:
            self._tell(DirectOpened(peer=link.peer))
        else:
            self._tell(FeedOpened(peer=link.peer))
            self._subscribe(link)

    def _subscribe(self, link: _Link) -> None:
        self._soon(link, lambda: link.listener._subscribed(link, self._rooms))

    def _current(self, link: _Link) -> bool:
        """Whether this link of ours was not closed or replaced meanwhile."""
        return link.peer is not None and link in (self._directs.get(link.peer), self._feeds.get(link.peer))

    def _lost(self, link: _Link, reason: str) -> None:
        """The other side closed the link, or never took it."""
        for dial in [dial for dial, other in self._doors.items() if other is link]:
            del self._doors[dial]
            self._tell(DialFailed(dial=dial, reason=reason))
        if link.peer is not None and self._directs.get(link.peer) is link:
            del self._directs[link.peer]
            self._tell(DirectClosed(peer=link.peer, reason=reason))
        if link.peer is not None and self._feeds.get(link.peer) is link:
            del self._feeds[link.peer]
            self._tell(FeedClosed(peer=link.peer, reason=reason))

    # As the one who listens --------------------------------------------------------------------------

    def _accepted(self, link: _Link) -> None:
        if link.dialler.curve_public not in self._admitted:
            link.closed = True
            self._counters[f"{link.role.value}_denied"] += 1
            self._later(link.dialler._lost, link, "denied")
            return
        self._inbound[link.number] = link
        self._soon(link, lambda: link.dialler._opened(link))

    def _knocked(self, link: _Link, payload: bytes) -> None:
        self._inbound[link.number] = link
        caller = DoorCaller(link.number.to_bytes(5, "big"), link.dialler.curve_public, LOOPBACK)
        self._tell(DoorKnocked(caller=caller, payload=payload))

    def _subscribed(self, link: _Link, rooms: frozenset[RoomId]) -> None:
        peer = self._admitted.get(link.dialler.curve_public)
        if peer is None or link.number not in self._inbound:
            return
        changes = [(room, False) for room in sorted(link.rooms - rooms)]
        changes += [(room, True) for room in sorted(rooms - link.rooms)]
        link.rooms = set(rooms)
        for room, on in changes:
            self._tell(PeerSubscribed(peer=peer, room=room, on=on))

    def _frame(self, link: _Link, payload: bytes, *, inbound: bool) -> None:
        peer = self._admitted.get(link.dialler.curve_public) if inbound else link.peer
        if peer is not None and (inbound or self._current(link)):
            link.known = link.known or inbound
            self._tell(FrameReceived(peer=peer, payload=payload, inbound=inbound))

    def _gone(self, link: _Link) -> None:
        """The dialler closed the link."""
        if self._inbound.pop(link.number, None) is None:
            return
        peer = self._admitted.get(link.dialler.curve_public)
        if peer is not None and link.role is Role.DIRECT and link.known and self._newest(peer) is None:
            self._tell(InboundClosed(peer=peer))
        if peer is not None and link.role is Role.FEED:
            for room in sorted(link.rooms):
                self._tell(PeerSubscribed(peer=peer, room=room, on=False))

    def _expel(self, peer: PeerId) -> None:
        self._close(self._directs.pop(peer, None))
        self._close(self._feeds.pop(peer, None))
        key = self._curve_key(peer)
        if key is None or self._admitted.pop(key, None) is None:
            return
        for link in list(self._inbound.values()):
            if link.role is not Role.DOOR and link.dialler.curve_public == key:
                self._close(link)

    def _newest(self, peer: PeerId) -> _Link | None:
        links = (link for link in reversed(self._inbound.values()) if link.role is Role.DIRECT and link.known)
        return next((link for link in links if self._admitted.get(link.dialler.curve_public) == peer), None)

    # Both ways -----------------------------------------------------------------------------------------

    def _send(self, effect: Send) -> None:
        link = self._directs.get(effect.peer) if effect.outbound else self._newest(effect.peer)
        if link is None or not link.open or not self._fits(effect.payload, FRAME_BYTES_MAX):
            return
        other = link.listener if effect.outbound else link.dialler
        self._soon(link, lambda: other._frame(link, effect.payload, inbound=effect.outbound))

    def _answer(self, effect: AnswerDoor) -> None:
        link = self._inbound.get(int.from_bytes(effect.caller.routing, "big"))
        if link is not None and self._fits(effect.payload, DOOR_FRAME_BYTES_MAX):
            self._soon(link, lambda: link.dialler._answered(link, effect.payload))

    def _answered(self, link: _Link, payload: bytes) -> None:
        for dial in [dial for dial, other in self._doors.items() if other is link]:
            self._tell(DoorAnswered(dial=dial, payload=payload))

    def _publish(self, effect: PublishFeed) -> None:
        if not self._fits(effect.payload, FRAME_BYTES_MAX):
            return
        for link in list(self._inbound.values()):
            if link.role is Role.FEED and effect.room in link.rooms:
                self._publish_to(link, effect)

    def _publish_to(self, link: _Link, effect: PublishFeed) -> None:
        assert link.peer is not None
        fact = FeedReceived(peer=link.peer, room=effect.room, payload=effect.payload)
        self._soon(link, lambda: link.dialler._tell(fact))

    def _outbound(self) -> list[_Link]:
        doors = [link for link in self._doors.values() if link is not None]
        return [*doors, *self._directs.values(), *self._feeds.values()]

    def _link(self, listener: MemoryTransport, role: Role) -> _Link:
        return _Link(self, listener, role, next(listener._numbers))

    def _close(self, link: _Link | None) -> None:
        if link is None or link.closed:
            return
        if link.dialler is self:
            self._later(self._shut, link)
        else:
            link.closed = True
            self._inbound.pop(link.number, None)
            self._later(link.dialler._lost, link, "lost")

    def _shut(self, link: _Link) -> None:
        """Close our dial, after what was sent before has arrived."""
        if not link.closed:
            link.closed = True
            link.listener._gone(link)

    def _fits(self, payload: bytes, bytes_max: int) -> bool:
        if len(payload) > bytes_max:
            self._counters["oversize_not_sent"] += 1
        return len(payload) <= bytes_max

    def _soon(self, link: _Link, action: Callable[[], None]) -> None:
        """Do this at the other end, unless the link is closed by then."""
        self._later(lambda: None if link.closed else action())

    def _later(self, action: Callable[..., object], *arguments: object) -> None:
        assert self._loop is not None
        self._loop.call_soon(action, *arguments)

    def _tell(self, fact: Fact) -> None:
        if self._sink is not None:
            self._sink(fact)
