"""Peers: one link a pair, dialled, kept and redialled; the score of each peer.

How it works. `addressbook` says who is due; this machine dials the door through `admission`, and after
WELCOME opens direct, then the feed. Both sides may dial at once; the connection dialled by the smaller
id wins: the larger id, when it has itself welcomed the peer, gives that connection a moment before
it opens its own, and closes its own later where both came up. Whoever answered and gets no connection opens
one itself: a firewall may let the caller out and nobody in.

    none --Welcomed--> session --Link/Linked--> linked --lost, silent, bye, fault--> none, redial

In a partial mesh `overlay` says whom to dial (`dialable`, LinkWanted) and which link to end (LinkUnwanted, with BYE
"surplus": the peer is there and not dialled again for a while). A session that has no link after twice dial_timeout_s
ends. Frames travel on the winning connection; both are read. The feed is an extra: where it can't be opened the
peer pushes over the direct link.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId
from zmqchat.protocol.addressbook import ALL_DIALABLE, AddressBook, Dialable, is_loopback, is_usable
from zmqchat.protocol.dialpace import DialPace
from zmqchat.protocol.effects import CloseDirect, Expel, OpenDirect, OpenFeed, Send, SetTimer
from zmqchat.protocol.facts import (
    DirectClosed,
    DirectOpened,
    EndpointsChanged,
    FeedClosed,
    FeedOpened,
    InboundClosed,
    Instant,
    NodeStarted,
    PeerAbused,
    PeerSighted,
    StopRequested,
    TimerFired,
    Woke,
)
from zmqchat.protocol.linkstate import LinkState
from zmqchat.protocol.machine import (
    DialEnded,
    DialsFailed,
    DialWanted,
    LinksMissing,
    LinkUnwanted,
    LinkWanted,
    Machine,
    MeshSwitched,
    PeerFaulted,
    PeerLinked,
    PeerPenalised,
    PeerSilent,
    PeerUnlinked,
    SendFrame,
    SessionEnded,
    SessionReplaced,
    Welcomed,
)
from zmqchat.protocol.scores import Scores
from zmqchat.wire.frames import Bye, Link, Linked, encode

WAIT_FOR_WINNER_S = 0.3
"""How long the larger id waits for the smaller id's connection when both dialled."""
WAIT_FOR_CALLER_S = 1.0
"""How long who answered at the door waits for the caller's connection before it opens one itself."""
CLOSE_LOSER_S = 2.0
FEED_RETRY_S = 15.0
REFUSED_WAIT_S = 60.0
"""A node that refused us for a reason that lasts is not dialled for this long."""
SURPLUS_WAIT_S = 20.0
"""Nor is one that keeps fewer links than we would like."""
THINNING_S = 20.0
"""Not so after a switch to the partial mesh: nearly all links end then, and who gave up too many needs one of them."""
BUSY_S = 0.1
"""When to look again for targets while as many dials are out as may be."""
SESSIONS_UNLINKED_MAX = 128
"""Callers that were welcomed and have not linked: at the door's 50 HELLOs a second each has 2.5 s for it."""
ENDPOINTS_AT_ONCE = 3
"""Doors of one peer dialled at the same time (RFC 8305, happy eyeballs, in a simple form)."""


class Peers(Machine):
    """The link machine; emits PeerLinked and PeerUnlinked, and turns SendFrame into Send."""

    timer = "peers"

    def __init__(
        self,
        me: PeerId,
        instance: bytes,
        config: Config,
        rng: Random,
        dials_free: Callable[[], int],
        dialable: Callable[[], Dialable] = lambda: ALL_DIALABLE,
    ) -> None:
        super().__init__()
        self._me = me
        self._instance = instance
        self._config = config
        self._dials_free = dials_free
        self._dialable = dialable
        self.book = AddressBook(config, rng)
        self.links: dict[PeerId, LinkState] = {}
        self._linked: set[PeerId] = set()
        self._scores = Scores(config.penalty_max_s)
        self._own: set[tuple[str, int]] = set()
        self._own_ports: frozenset[int] = frozenset()
        self._pace = DialPace()
        self._thins_until_s = 0.0
        self._dial_timer_s: float | None = None
        self._stopping = False
        self.facts = {
            NodeStarted: self._started,
            EndpointsChanged: self._endpoints_changed,
            Woke: self._woke,
            PeerSighted: self._sighted,
            DialEnded: self._dial_ended,
            Welcomed: self._welcomed,
            SessionReplaced: self._replaced,
            DirectOpened: self._direct_opened,
            DirectClosed: self._direct_closed,
            InboundClosed: self._inbound_closed,
            FeedOpened: self._feed_opened,
            FeedClosed: self._feed_closed,
            PeerSilent: self._silent,
            PeerAbused: self._abused,
            PeerFaulted: self._faulted,
            SendFrame: self._send,
            LinkWanted: self._wanted,
            LinkUnwanted: self._unwanted,
            LinksMissing: self._links_missing,
            MeshSwitched: self._switched,
            StopRequested: self._stop,
            TimerFired: self._timer_fired,
        }
        self.frames = {Link: self._link, Linked: self._linked_frame, Bye: self._bye}

    # Questions of other machines and the node --------------------------------------------------------

    @property
    def linked(self) -> frozenset[PeerId]:
        """The peers with a working link."""
        return frozenset(self._linked)

    def is_linked(self, peer: PeerId) -> bool:
        """Whether this peer has a working link."""
        return peer in self._linked

    def describe(self, peer: PeerId, at: Instant) -> tuple[tuple[str, str], ...]:
        """What this side thinks of a peer, for people."""
        link = self.links.get(peer)
        target = self.book.of(peer)
        lines = [("linked", "yes" if self.is_linked(peer) else "no")]
        if link is not None:
            ways = [name for name, on in (("dialled", link.outbound == "open"), ("accepted", link.inbound)) if on]
            lines.append(("link", ", ".join(ways) or "none"))
            lines.append(("feed", link.feed or "not reachable: batches are pushed over the link"))
            lines.append(("address", f"{link.endpoint.host} door {link.endpoint.door}"))
            lines.append(("linked for", f"{at.now_s - link.since_s:.0f} s"))
        if target is not None:
            lines.append(("found by", target.found_by))
            if target.last_error:
                lines.append(("last dial", target.last_error[:200]))
        if last_fault := self._scores.last_fault(peer):
            lines.append(("last fault", last_fault[:200]))
        return tuple(lines)

    def reached_over_loopback(self, peer: PeerId) -> bool:
        """Whether the session with this peer runs over the loopback."""
        link = self.links.get(peer)
        return link is not None and is_loopback(link.endpoint.host)

    # Start, sightings, dialling --------------------------------------------------------------------

    def _started(self, fact: NodeStarted, at: Instant) -> None:
        self._own_ports = frozenset(fact.ports)
        self._set_own(fact.endpoints)
        self._dial_due(at)

    def _endpoints_changed(self, fact: EndpointsChanged, at: Instant) -> None:
        self._set_own(fact.endpoints)
        self.book.all_due(at.now_s)
        self._dial_due(at)

    def _set_own(self, endpoints: tuple[Endpoint, ...]) -> None:
        self._own = {(e.host, e.door) for e in endpoints}

    def _woke(self, _fact: Woke, at: Instant) -> None:
        self.book.all_due(at.now_s)
        self._dial_due(at)

    def _is_own(self, endpoint: Endpoint) -> bool:
        if (endpoint.host, endpoint.door) in self._own:
            return True
        return is_loopback(endpoint.host) and endpoint.door in self._own_ports

    def _sighted(self, fact: PeerSighted, at: Instant) -> None:
        if self._is_own(fact.endpoint) or (fact.source == "exchange" and not self._config.exchange_dials):
            return
        # Our own id elsewhere is a copy of our home, or an old record of ours: what answers there will tell.
        peer = None if fact.peer == self._me else fact.peer
        if self.book.sighted(fact.endpoint, peer, fact.source, at.now_s):
            self._dial_due(at)

    def _dial_due(self, at: Instant) -> None:
        if self._stopping:
            return
        free = min(self._dials_free(), self._pace.left(at.now_s))
        if free <= 0:
            self._look_again(at.now_s + BUSY_S, at)
            return
        ready, next_s = self.book.due(at.now_s, self.links, self._dialable())
        for target in ready:
            if free <= 0:
                next_s = at.now_s + BUSY_S
                break
            for endpoint in self.book.pick(target, min(ENDPOINTS_AT_ONCE, free), self._is_own, at.now_s):
                free -= 1
                self._pace.spend()
                # Whoever answers at a bare endpoint is welcome, also where another peer did before.
                expected = target.peer if self.book.of_peer(target) else None
                self.outbox.append(DialWanted(endpoint=endpoint, expected=expected))
            if not target.dialling:
                next_s = target.due_s if next_s is None else min(next_s, target.due_s)
        self._look_again(next_s, at)

    def _look_again(self, at_s: float | None, at: Instant) -> None:
        """Set the timer of dials; one that is due soon is not put off by more sightings."""
        pending_s = self._dial_timer_s
        if pending_s is not None and at_s is not None and at.now_s < pending_s <= at_s:
            return
        self._dial_timer_s = at_s
        self.outbox.append(SetTimer(name=(self.timer, "dial"), at_s=at_s))

    def _dial_ended(self, fact: DialEnded, at: Instant) -> None:
        self._pace.ended(fact.reason, at.now_s)
        if fact.reason == "self":
            self.book.is_self(fact.endpoint, at.now_s)
        if fact.peer is not None and fact.reason in ("penalty", "full", "mesh", "duplicate", "version"):
            until_s = at.now_s + min(REFUSED_WAIT_S, self._config.penalty_max_s)
            self.book.hold(fact.peer, until_s)
            if fact.expected is None:
                self.book.hold_endpoint(fact.endpoint, until_s)
        self.book.failed(fact.endpoint, fact.expected, f"{fact.reason}: {fact.detail}", at.now_s)
        target = None if fact.expected is None else self.book.of(fact.expected)
        if fact.expected is not None and (target is None or not target.dialling):
            self.outbox.append(DialsFailed(peer=fact.expected, reason=fact.reason))
        self._dial_due(at)

    # Sessions ---------------------------------------------------------------------------------------

    def _welcomed(self, fact: Welcomed, at: Instant) -> None:
        found_by = "hello"
        if fact.dialled:
            found_by = self.book.owned(fact.endpoint, fact.peer) or "hello"
        loopback = is_loopback(fact.endpoint.host)
        told = tuple(e for e in fact.told if is_usable(e, loopback=loopback) and not self._is_own(e))
        self.book.learned(fact.peer, fact.endpoint, told, found_by)
        link = self.links.get(fact.peer)
        if link is None or link.instance != fact.instance:
            link = self.links[fact.peer] = LinkState(
                fact.endpoint, told, fact.instance, fact.store, fact.generation, fact.version, fact.dialled, at.now_s
            )
            link.features = fact.features
            self.outbox.append(
                SetTimer(name=(self.timer, "session", fact.peer), at_s=at.now_s + 2 * self._config.dial_timeout_s)
            )
            if not fact.dialled:
                due_s = at.now_s + WAIT_FOR_CALLER_S
                self.outbox.append(SetTimer(name=(self.timer, "open", fact.peer), at_s=due_s))
            self._bound_unlinked(at)
        if not fact.dialled:
            link.told = told
            return
        if link.outbound is None and not link.inbound:
            link.endpoint = fact.endpoint
            if self._me > fact.peer and not link.dialled:
                self.outbox.append(SetTimer(name=(self.timer, "open", fact.peer), at_s=at.now_s + WAIT_FOR_WINNER_S))
            else:
                self._open_direct(fact.peer, link)
            link.dialled = True

    def _bound_unlinked(self, at: Instant) -> None:
        """Who is welcomed and never links gives way to the next caller: identities cost nothing."""
        unlinked = [peer for peer, link in self.links.items() if not link.linked and not link.dialled]
        if len(unlinked) > SESSIONS_UNLINKED_MAX:
            self._end(unlinked[0], "crowded", at)

    def _open_direct(self, peer: PeerId, link: LinkState) -> None:
        if link.outbound is None and link.endpoint.direct:
            link.outbound = "opening"
            self.outbox.append(OpenDirect(peer=peer, endpoint=link.endpoint))

    def _replaced(self, fact: SessionReplaced, at: Instant) -> None:
        self._end(fact.peer, "replaced", at)

    def _direct_opened(self, fact: DirectOpened, _at: Instant) -> None:
        link = self.links.get(fact.peer)
        if link is not None and link.outbound == "opening":
            link.outbound = "open"
            self.outbox.append(Send(peer=fact.peer, payload=encode(Link(instance=self._instance)), outbound=True))

    def _link(self, peer: PeerId, frame: Link, at: Instant) -> None:
        link = self.links.get(peer)
        if link is None or link.instance != frame.instance:
            return
        link.inbound = True
        self.outbox.append(Send(peer=peer, payload=encode(Linked(instance=self._instance)), outbound=False))
        self._now_linked(peer, link, at)
        if self._me > peer and link.outbound is not None:
            self.outbox.append(SetTimer(name=(self.timer, "loser", peer), at_s=at.now_s + CLOSE_LOSER_S))

    def _linked_frame(self, peer: PeerId, frame: Linked, at: Instant) -> None:
        link = self.links.get(peer)
        if link is not None and link.outbound == "open" and link.instance == frame.instance:
            self._now_linked(peer, link, at)
            if self._me > peer and link.inbound:
                self.outbox.append(SetTimer(name=(self.timer, "loser", peer), at_s=at.now_s + CLOSE_LOSER_S))

    def _now_linked(self, peer: PeerId, link: LinkState, at: Instant) -> None:
        if link.linked:
            return
        link.linked = True
        self._linked.add(peer)
        self.book.linked(peer, at.now_s)
        self.outbox.append(SetTimer(name=(self.timer, "session", peer), at_s=None))
        self.outbox.append(PeerLinked(peer=peer, store=link.store, generation=link.generation, features=link.features))
        self._open_feed(peer, link)
        self._dial_due(at)

    # The feed ----------------------------------------------------------------------------------------

    def _open_feed(self, peer: PeerId, link: LinkState) -> None:
        places = [link.endpoint, *(e for e in link.told if e.host != link.endpoint.host)]
        places = [e for e in places if e.feed]
        if places and link.feed is None:
            link.feed = "opening"
            self.outbox.append(OpenFeed(peer=peer, endpoint=places[link.feed_attempt % len(places)]))

    def _feed_opened(self, fact: FeedOpened, _at: Instant) -> None:
        link = self.links.get(fact.peer)
        if link is not None:
            link.feed = "open"
            link.feed_attempt = 0

    def _feed_closed(self, fact: FeedClosed, at: Instant) -> None:
        link = self.links.get(fact.peer)
        if link is None:
            return
        link.feed = None
        link.feed_attempt += 1
        wait_s = min(FEED_RETRY_S, 0.2 * 2 ** min(link.feed_attempt, 10))
        self.outbox.append(SetTimer(name=(self.timer, "feed", fact.peer), at_s=at.now_s + wait_s))

    # Ends ---------------------------------------------------------------------------------------------

    def _direct_closed(self, fact: DirectClosed, at: Instant) -> None:
        link = self.links.get(fact.peer)
        if link is None or link.outbound is None:
            return
        link.outbound = None
        # Where the way there is shut before there is a link, the peer's connection may still come; a caller that was
        # too early for the allow-list begins anew at the door.
        was_denied = link.dialled and fact.reason == "denied"
        if not link.inbound and (link.linked or was_denied):
            self._end(fact.peer, "lost", at)

    def _inbound_closed(self, fact: InboundClosed, at: Instant) -> None:
        link = self.links.get(fact.peer)
        if link is None or not link.inbound:
            return
        link.inbound = False
        if link.outbound != "open":
            self._end(fact.peer, "lost", at)

    def _silent(self, fact: PeerSilent, at: Instant) -> None:
        self._end(fact.peer, "silent", at)

    def _bye(self, peer: PeerId, frame: Bye, at: Instant) -> None:
        self._end(peer, "surplus" if frame.reason == "surplus" else "bye", at)

    def _abused(self, fact: PeerAbused, at: Instant) -> None:
        self._penalise(fact.peer, at, fact.reason)

    def _end(self, peer: PeerId, reason: str, at: Instant) -> None:
        link = self.links.pop(peer, None)
        if link is None:
            return
        if link.surplus and reason in ("lost", "silent", "bye"):
            reason = "surplus"
        if reason == "surplus" and at.now_s >= self._thins_until_s:
            self.book.hold(peer, at.now_s + min(SURPLUS_WAIT_S, self._config.penalty_max_s))
        for what in ("session", "open", "loser", "feed", "surplus"):
            self.outbox.append(SetTimer(name=(self.timer, what, peer), at_s=None))
        self.outbox.append(Expel(peer=peer, reason=reason))
        if link.linked:
            self._linked.discard(peer)
            self.book.lost(peer, at.now_s)
            self.outbox.append(PeerUnlinked(peer=peer, reason=reason))
        else:
            self.book.never_linked(peer, f"no link: {reason}", at.now_s)
        self.outbox.append(SessionEnded(peer=peer, reason=reason))
        self._dial_due(at)

    # Scores -------------------------------------------------------------------------------------------

    def _faulted(self, fact: PeerFaulted, at: Instant) -> None:
        if self._scores.blame(fact.peer, fact.fault, at.now_s):
            self._penalise(fact.peer, at)

    def _penalise(self, peer: PeerId, at: Instant, why: str | None = None) -> None:
        until_s = self._scores.penalise(peer, at.now_s, why)
        self.book.hold(peer, until_s)
        self.outbox.append(PeerPenalised(peer=peer, until_s=until_s))
        self._end(peer, "fault", at)

    # What the overlay wants -------------------------------------------------------------------------------

    def _wanted(self, fact: LinkWanted, at: Instant) -> None:
        places = [endpoint for endpoint in fact.endpoints if not self._is_own(endpoint)]
        if self.book.wanted(fact.peer, places, at.now_s):
            self._dial_due(at)
        else:
            self.outbox.append(DialsFailed(peer=fact.peer, reason="held"))

    def _unwanted(self, fact: LinkUnwanted, at: Instant) -> None:
        link = self.links.get(fact.peer)
        if link is None:
            return
        link.surplus = True
        if fact.linger_s:
            self.outbox.append(SetTimer(name=(self.timer, "surplus", fact.peer), at_s=at.now_s + fact.linger_s))
        else:
            self._say_bye(fact.peer, link, "surplus")
            self._end(fact.peer, "surplus", at)

    def _links_missing(self, _fact: LinksMissing, at: Instant) -> None:
        self._dial_due(at)

    def _switched(self, fact: MeshSwitched, at: Instant) -> None:
        self._pace.is_partial = fact.partial
        self._thins_until_s = at.now_s + THINNING_S if fact.partial else 0.0
        if not fact.partial:
            self.book.all_due(at.now_s)
            self._dial_due(at)

    # Sending, time, stop --------------------------------------------------------------------------------

    def _send(self, fact: SendFrame, _at: Instant) -> None:
        link = self.links.get(fact.peer)
        if link is not None and link.linked:
            self.outbox.append(
                Send(peer=fact.peer, payload=fact.payload, outbound=self._sends_outbound(fact.peer, link))
            )

    def _sends_outbound(self, peer: PeerId, link: LinkState) -> bool:
        if link.outbound != "open":
            return False
        return not link.inbound or self._me < peer

    def _stop(self, _fact: StopRequested, at: Instant) -> None:
        self._stopping = True
        for peer, link in self.links.items():
            self._say_bye(peer, link, "stop")

    def _say_bye(self, peer: PeerId, link: LinkState, reason: str) -> None:
        if link.linked:
            payload = encode(Bye(reason=reason))
            self.outbox.append(Send(peer=peer, payload=payload, outbound=self._sends_outbound(peer, link)))

    def _timer_fired(self, fact: TimerFired, at: Instant) -> None:
        what = fact.name[1]
        if what == "dial":
            self._dial_timer_s = None
            self._dial_due(at)
            return
        peer = fact.name[2]
        assert isinstance(peer, bytes)
        self._peer_timer(str(what), PeerId(peer), at)

    def _peer_timer(self, what: str, peer: PeerId, at: Instant) -> None:
        link = self.links.get(peer)
        if link is None:
            return
        if what == "session" and not link.linked:
            self._end(peer, "timeout", at)
        elif what == "open" and not link.inbound:
            self._open_direct(peer, link)
        elif what == "loser" and link.inbound and link.outbound is not None:
            link.outbound = None
            self.outbox.append(CloseDirect(peer=peer))
        elif what == "feed":
            self._open_feed(peer, link)
        elif what == "surplus":
            self._unwanted(LinkUnwanted(peer=peer, linger_s=0.0), at)
