"""Peer exchange: a node that is told of one peer learns of all.

How it works. A new link gets PEERS with every peer that we are linked to or remember, its endpoints and
whether we are linked to it; all other links get the newcomer's entry, coalesced over a moment. Every
peer_exchange_s the whole list goes again, so that a lost frame costs a minute. In a partial mesh only links are told
of, as the roster and shuffles tell of all others. An entry is only a hint to dial: who answers there, CURVE and the
door prove.

With n links each, that is n entries for each of n links: too much where a hundred nodes start at once. With more than
LINKS_FEW links, peers that speak the roster are spared what it tells them anyway, of everybody whose record names all
the addresses that are known here; a newcomer gets SAMPLE of those, so that it has somewhere to go on from before the
rosters are compared. News then waits the longer the more links there are.

Loopback endpoints are told to, and taken from, peers over loopback alone; link-local IPv6 ones are not told, as
their scope means something to us alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId
from zmqchat.model.limits import ENDPOINTS_PER_PEER_MAX
from zmqchat.protocol.addressbook import is_loopback, is_usable
from zmqchat.protocol.effects import SetTimer
from zmqchat.protocol.facts import Instant, PeerSighted, TimerFired
from zmqchat.protocol.machine import Machine, PeerLinked, PeerUnlinked, SendFrame
from zmqchat.protocol.peers import Peers
from zmqchat.protocol.roster_facts import ROSTER_FEATURE
from zmqchat.wire.frames import PeerEntry, encode
from zmqchat.wire.frames import Peers as PeersFrame

ENTRIES_MAX = 256
"""Peers named in one frame: about 40 KiB at worst."""

COALESCE_S = 0.1
"""How long news of peers waits for more of it, with few links."""

LINKS_FEW = 24
"""Up to so many links everybody is told of everybody."""

SAMPLE = 12
"""Peers that the roster tells of as well, told to a newcomer all the same."""


class Exchange(Machine):
    """The gossip of addresses; knows besides which peers are linked to which.

    published   where the roster tells everybody that a peer is; nothing where it tells nothing of it
    """

    timer = "exchange"

    def __init__(
        self,
        me: PeerId,
        config: Config,
        peers: Peers,
        is_valid_peer: Callable[[PeerId], bool],
        rng: Random,
        *,
        is_partial: Callable[[], bool] = lambda: False,
        published: Callable[[PeerId], Iterable[Endpoint]] = lambda _peer: (),
    ) -> None:
        super().__init__()
        self._me = me
        self._config = config
        self._peers = peers
        self._is_valid_peer = is_valid_peer
        self._rng = rng
        self._is_partial = is_partial
        self._published = published
        self._speakers: set[PeerId] = set()
        self._news: dict[PeerId, None] = {}
        self._fresh: dict[PeerId, None] = {}
        self.linked_of: dict[PeerId, frozenset[PeerId]] = {}
        self.facts = {
            PeerLinked: self._linked,
            PeerUnlinked: self._unlinked,
            TimerFired: self._timer_fired,
        }
        self.frames = {PeersFrame: self._told}

    def _linked(self, fact: PeerLinked, at: Instant) -> None:
        self._fresh[fact.peer] = None
        if ROSTER_FEATURE in fact.features:
            self._speakers.add(fact.peer)
        self._tell_soon(fact.peer, at)

    def _unlinked(self, fact: PeerUnlinked, at: Instant) -> None:
        self._fresh.pop(fact.peer, None)
        self._speakers.discard(fact.peer)
        self.linked_of.pop(fact.peer, None)
        self._tell_soon(fact.peer, at)

    def _tell_soon(self, peer: PeerId, at: Instant) -> None:
        if not self._news:
            wait_s = COALESCE_S * max(1.0, len(self._peers.linked) / LINKS_FEW)
            self.outbox.append(SetTimer(name=(self.timer, "news"), at_s=at.now_s + wait_s))
        self._news[peer] = None

    def _timer_fired(self, fact: TimerFired, at: Instant) -> None:
        if fact.name[1] == "round":
            self._fresh.update(dict.fromkeys(sorted(self._peers.linked)))
        linked = sorted(self._peers.linked)
        fresh, news = list(self._fresh), list(self._news)
        others = [peer for peer in linked if peer not in self._fresh]
        everybody = self._everybody(linked)
        if len(linked) > LINKS_FEW:
            spared = {peer for peer in everybody if self._is_published(peer)}
            rest = [peer for peer in everybody if peer not in spared]
            for peer in filter(self._speakers.__contains__, fresh):
                self._tell_all([peer], rest + self._some_of(spared, peer))
            speakers = [peer for peer in others if peer in self._speakers]
            self._tell_all(speakers, [peer for peer in news if peer not in spared])
            fresh = [peer for peer in fresh if peer not in self._speakers]
            others = [peer for peer in others if peer not in self._speakers]
        self._tell_all(fresh, everybody)
        self._tell_all(others, news)
        self._fresh.clear()
        self._news.clear()
        self.outbox.append(SetTimer(name=(self.timer, "round"), at_s=at.now_s + self._config.peer_exchange_s))

    def _is_published(self, peer: PeerId) -> bool:
        """Whether who speaks the roster hears from it all that could be told of a peer here."""
        target = self._peers.book.of(peer)
        places = {(endpoint.host, endpoint.door) for endpoint in self._published(peer)}
        known = () if target is None else target.endpoints
        return bool(places) and all((endpoint.host, endpoint.door) in places for endpoint in known)

    def _some_of(self, spared: Iterable[PeerId], receiver: PeerId) -> list[PeerId]:
        others = sorted(peer for peer in spared if peer != receiver)
        return self._rng.sample(others, min(SAMPLE, len(others)))

    def _everybody(self, linked: list[PeerId]) -> list[PeerId]:
        if self._is_partial():
            return linked
        known = self._peers.linked
        others = [p for p, target in self._peers.book.peers() if target.lost_s is not None and p not in known]
        return (linked + others)[:ENTRIES_MAX]

    def _tell_all(self, receivers: list[PeerId], about: list[PeerId]) -> None:
        """Tell each of these peers of the others; entries, and frames that several get, are made once."""
        named = set(about)
        entries: dict[bool, list[PeerEntry]] = {}
        frames: dict[bool, bytes] = {}
        for to in receivers:
            loopback = self._peers.reached_over_loopback(to)
            if loopback not in entries:
                entries[loopback] = self._entries(about, loopback)
                frames[loopback] = encode(PeersFrame(entries=tuple(entries[loopback])))
            told, frame = entries[loopback], frames[loopback]
            if to in named:
                told = [entry for entry in told if entry.peer != to]
                frame = encode(PeersFrame(entries=tuple(told)))
            if told:
                self.outbox.append(SendFrame(peer=to, payload=frame))

    def _entries(self, about: list[PeerId], loopback: bool) -> list[PeerEntry]:
        entries: list[PeerEntry] = []
        for peer in about:
            target = self._peers.book.of(peer)
            if target is not None:
                places = tuple(e for e in target.endpoints if is_usable(e, loopback=loopback) and "%" not in e.host)
                entries.append(PeerEntry(peer=peer, linked=self._peers.is_linked(peer), endpoints=places))
        return entries

    def _told(self, peer: PeerId, frame: PeersFrame, _at: Instant) -> None:
        loopback = self._peers.reached_over_loopback(peer)
        linked = set(self.linked_of.get(peer, frozenset()))
        for entry in frame.entries[:ENTRIES_MAX]:
            if entry.peer == self._me or not self._is_valid_peer(entry.peer):
                continue
            if entry.linked:
                linked.add(entry.peer)
            else:
                linked.discard(entry.peer)
            for endpoint in entry.endpoints[:ENDPOINTS_PER_PEER_MAX]:
                self._sight(endpoint, entry.peer, loopback)
        self.linked_of[peer] = frozenset(sorted(linked)[:ENTRIES_MAX])

    def _sight(self, endpoint: Endpoint, peer: PeerId, loopback: bool) -> None:
        if self._peers.book.has(peer, endpoint):
            return
        if is_usable(endpoint, loopback=loopback and is_loopback(endpoint.host)):
            self.outbox.append(PeerSighted(endpoint=endpoint, peer=peer, source="exchange"))
