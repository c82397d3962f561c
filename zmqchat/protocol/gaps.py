"""Gaps: members of a full mesh who can't reach each other, and who relays for them.

How it works. While the mesh is not partial everybody should be linked to everybody. Subnets that only a gateway joins,
hosts that only their gateway reaches, a chain of radios: there some pairs never are. A live member without a link to us
is a gap once that has lasted for gap_after_s (so the start of a mesh never counts) and nobody doubts that it lives. A
node with a gap is gapped:

    reaches all --a gap opens--> gapped: tells its links by GAPPED to whom it has links, again when they change
                <--no gap is left, or the mesh turns partial: tells that it is gapped no more--

So only what is missing is told, and a mesh in which everybody reaches everybody tells nothing. An author sends its
batches to its links as ever. Whoever gets one, from its author or from another relay, sends it on to those links that
are gapped and have a link neither to the author nor to whom it came from: all others get it from these two. Of the
relays that are linked to both sides one is chosen, by the ids, and all know which: it sends the batch, the second
in line its name, and the rest is silent (multipoint relays; Qayyum, Viennot, Laouiti, HICSS 2002, section 3, with
the choice made at the relays instead of the sender). In meshes in which several ways lead somewhere a batch may still
come twice: then SPARE makes that link lazy for the author, as PRUNE does in the tree, and GRAFT undoes it.

A node that is in the room gets what is sent there. One that is not gets it where it may have to relay it: of the links
that lead to a member whom we can't reach the first two in line, and all where nobody is known to be linked to both.

Why not the tree of `broadcast`: it sends the names of all batches over all links that it does not use, some n² small
frames a message in a mesh of n with one gap; and one tree serves all authors of a room, while here the ways from two
authors to the same member may have no relay in common, so that each would be pruned for the other. What is relayed is
remembered there, sent again on GRAFT and repaired in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId
from zmqchat.model.limits import GAPPED_LINKS_MAX, GAPS_MAX
from zmqchat.protocol.effects import SetTimer
from zmqchat.protocol.facts import Instant, LinkBlocked, TimerFired
from zmqchat.protocol.machine import Machine, MeshSwitched, PeerLinked, PeerUnlinked, SendFrame, Size
from zmqchat.protocol.roster_facts import GAPS_FEATURE, GapOpened, LinkGapped, MemberDead, MembersLive
from zmqchat.wire.frames import encode
from zmqchat.wire.gap_frames import Gapped, Spare, link_name

KNOWN_SHARE: Final = 0.1
"""Of gap_after_s, where a link tells of gaps: they are nothing new there, and a relay that is back must not wait."""

LOOK_S: Final = 1.0
"""How often a suspected member is looked at again."""

TELL_S: Final = 0.05
"""Links that come and go within this are told of together."""

BEYOND_RELAYS: Final = 2
"""Links outside a room that its batches go to for one member whom we can't reach: the relay, and who announces."""


class Census(Protocol):
    """What the roster knows."""

    @property
    def live_count(self) -> int:
        """How many other members live."""

    def is_live(self, peer: PeerId) -> bool:
        """Whether this member lives."""

    def members_live(self) -> Sequence[PeerId]:
        """All other live members."""


@dataclass(slots=True)
class _Reach:
    """What a gapped link has told: the names of its links, and authors whose batches it gets another way."""

    links: frozenset[bytes]
    spared: dict[PeerId, None] = field(default_factory=dict)


class Gaps(Machine):
    """The machine of who lacks whom, and of who relays what, asked by those who send; emits GapOpened, LinkGapped."""

    timer = "gaps"

    def __init__(
        self,
        me: PeerId,
        config: Config,
        census: Census,
        *,
        is_partial: Callable[[], bool],
        is_suspect: Callable[[PeerId], bool],
    ) -> None:
        super().__init__()
        self._me = me
        self._config = config
        self._census = census
        self._is_partial = is_partial
        self._is_suspect = is_suspect
        self._links: dict[PeerId, bool] = {}
        self._missing: dict[PeerId, float] = {}
        self._gaps: dict[PeerId, None] = {}
        self._reaches: dict[PeerId, _Reach] = {}
        self._told: dict[PeerId, Gapped] = {}
        self._telling = False
        self._look_at_s: float | None = None
        self.facts = {
            PeerLinked: self._linked,
            PeerUnlinked: self._unlinked,
            LinkBlocked: self._blocked,
            MembersLive: self._members_live,
            MemberDead: self._member_dead,
            MeshSwitched: self._switched,
            TimerFired: self._timer_fired,
        }
        self.frames = {Gapped: self._link_told, Spare: self._link_spares}

    def sizes(self) -> tuple[Size, ...]:
        """Members without a link, links that links have told of, and authors that links need not be sent."""
        reaches = self._reaches.values()
        return (
            Size("missing members", len(self._missing), GAPS_MAX),
            Size("links of a link", max((len(reach.links) for reach in reaches), default=0), GAPPED_LINKS_MAX),
            Size("spared authors of a link", max((len(reach.spared) for reach in reaches), default=0), GAPS_MAX),
        )

    # Questions -----------------------------------------------------------------------------------

    @property
    def is_gapped(self) -> bool:
        """Whether some live member can't be linked to, in a mesh that should be full."""
        return bool(self._gaps)

    @property
    def unreached(self) -> tuple[PeerId, ...]:
        """The live members that have no link to us for so long that they need relays, sorted."""
        return tuple(sorted(self._gaps))

    def routes(self, peer: PeerId) -> bool:
        """Whether what is relayed over this link goes on over gaps, rather than along a tree.

        While some may have gone over to a partial mesh already, who says nothing of gaps means the tree.
        """
        if self._is_partial():
            return False
        members = self._census.live_count + 1
        return members < self._config.full_mesh_again or self.is_gapped or peer in self._reaches

    def is_lacked(self, author: PeerId) -> bool:
        """Whether some link of ours needs relays for what this member says."""
        return bool(self._reaches) and bool(self.lacking(author))

    def lacking(self, member: PeerId) -> list[PeerId]:
        """The links that have told to have none to this member."""
        name = link_name(member)
        return [peer for peer, reach in self._reaches.items() if peer != member and name not in reach.links]

    def targets(self, author: PeerId, source: PeerId) -> list[tuple[PeerId, bool]]:
        """To whom an author's batch that came by the link `source` is to go on: itself (True), or its name."""
        found: list[tuple[PeerId, bool]] = []
        if self._is_partial():
            return found
        author_name, source_name = link_name(author), link_name(source)
        there = self._reaches.get(source)
        for peer, reach in self._reaches.items():
            if peer in (author, source) or author_name in reach.links or source_name in reach.links:
                continue
            # Who has told nothing is new here: it may have a link to us alone.
            place = self._place(peer, there.links & reach.links) if there is not None else 0
            if place <= 1:
                found.append((peer, place == 0 and author not in reach.spared))
        return found

    def _place(self, peer: PeerId, relays: frozenset[bytes]) -> int:
        """Which in line we are of these relays to a peer; another order for each peer shares out the work."""
        ours = _distance(link_name(self._me), peer)
        return sum(_distance(relay, peer) < ours for relay in relays)

    def beyond(self) -> dict[PeerId, None]:
        """The links by which what is said may reach members that have none to us."""
        chosen: dict[PeerId, None] = {}
        for member in self._gaps:
            leading = self._leading_to(member)
            if not leading:
                return dict.fromkeys(peer for peer, relays in self._links.items() if relays)
            chosen.update(dict.fromkeys(leading[:BEYOND_RELAYS]))
        return chosen

    def towards(self, member: PeerId) -> PeerId | None:
        """Across the gap to this member: a link that has one to it, as far as is known; None where there is none."""
        return next(iter(self._leading_to(member)), None) if member in self._gaps else None

    def _leading_to(self, member: PeerId) -> list[PeerId]:
        """The links that have named this member, or have told of no gaps, in line."""
        name = link_name(member)
        leading = [
            peer
            for peer, relays in self._links.items()
            if relays and (peer not in self._reaches or name in self._reaches[peer].links)
        ]
        return sorted(leading, key=lambda peer: _distance(link_name(peer), member))

    # What a link needs -----------------------------------------------------------------------------

    def unspare(self, peer: PeerId, author: PeerId) -> None:
        """A link asks for an author's batches again."""
        reach = self._reaches.get(peer)
        if reach is not None:
            reach.spared.pop(author, None)

    def _link_told(self, peer: PeerId, frame: Gapped, at: Instant) -> None:
        if frame.on:
            if peer not in self._reaches:
                self.outbox.append(LinkGapped(peer=peer))
            self._reaches[peer] = _Reach(frozenset(frame.links))
            if len(self._gaps) < len(self._missing):
                self._look_by(at.now_s + self._wait_s())
        else:
            self._reaches.pop(peer, None)
        # Other relays may be the first in line now, so nothing is known of what comes twice.
        for reach in self._reaches.values():
            reach.spared.clear()

    def _link_spares(self, peer: PeerId, frame: Spare, _at: Instant) -> None:
        reach = self._reaches.get(peer)
        if reach is not None:
            if len(reach.spared) >= GAPS_MAX:
                reach.spared.clear()
            reach.spared[frame.author] = None

    # Who is missing --------------------------------------------------------------------------------

    def _linked(self, fact: PeerLinked, at: Instant) -> None:
        self._links[fact.peer] = GAPS_FEATURE in fact.features
        self._found(fact.peer)
        self._tell_soon(at)

    def _unlinked(self, fact: PeerUnlinked, at: Instant) -> None:
        self._links.pop(fact.peer, None)
        self._reaches.pop(fact.peer, None)
        self._told.pop(fact.peer, None)
        if self._census.is_live(fact.peer):
            self._misses(fact.peer, at)
        self._tell_soon(at)

    def _blocked(self, fact: LinkBlocked, at: Instant) -> None:
        # What was lost may have been what we told.
        if self._told.pop(fact.peer, None) is not None:
            self._tell_soon(at)

    def _members_live(self, fact: MembersLive, at: Instant) -> None:
        for peer in fact.peers:
            self._misses(peer, at)

    def _member_dead(self, fact: MemberDead, at: Instant) -> None:
        self._found(fact.peer)
        self._tell_soon(at)

    def _switched(self, fact: MeshSwitched, at: Instant) -> None:
        if fact.partial:
            self._missing.clear()
            self._gaps.clear()
        else:
            for peer in self._census.members_live():
                self._misses(peer, at)
        self._tell_soon(at)

    def _misses(self, peer: PeerId, at: Instant) -> None:
        if peer in self._links or peer in self._missing or len(self._missing) >= GAPS_MAX or self._is_partial():
            return
        self._missing[peer] = at.now_s
        self._look_by(at.now_s + self._wait_s())

    def _wait_s(self) -> float:
        return self._config.gap_after_s * (KNOWN_SHARE if self._reaches else 1.0)

    def _found(self, peer: PeerId) -> None:
        self._missing.pop(peer, None)
        self._gaps.pop(peer, None)

    def _look(self, at: Instant) -> None:
        """Count as gaps those who have been missing for long enough."""
        for peer, since_s in list(self._missing.items()):
            if not self._census.is_live(peer):
                self._found(peer)
            elif peer in self._gaps:
                continue
            elif at.now_s < since_s + self._wait_s():
                self._look_by(since_s + self._wait_s())
            elif self._is_suspect(peer):
                self._look_by(at.now_s + LOOK_S)
            else:
                self._gaps[peer] = None
                self.outbox.append(GapOpened(peer=peer))
        self._tell_soon(at)

    def _look_by(self, at_s: float) -> None:
        if self._look_at_s is None or at_s < self._look_at_s:
            self._look_at_s = at_s
            self.outbox.append(SetTimer(name=(self.timer, "look"), at_s=at_s))

    def _timer_fired(self, fact: TimerFired, at: Instant) -> None:
        if fact.name[1] == "look":
            self._look_at_s = None
            self._look(at)
        else:
            self._telling = False
            self._tell()

    # Telling -----------------------------------------------------------------------------------------

    def _tell_soon(self, at: Instant) -> None:
        if (self._gaps or self._told) and not self._telling:
            self._telling = True
            self.outbox.append(SetTimer(name=(self.timer, "tell"), at_s=at.now_s + TELL_S))

    def _tell(self) -> None:
        links = [peer for peer, relays in self._links.items() if relays]
        names = tuple(sorted(link_name(peer) for peer in links))[:GAPPED_LINKS_MAX]
        frame = Gapped(on=True, links=names) if self._gaps else Gapped(on=False, links=())
        for peer in links if self._gaps else list(self._told):
            if self._told.get(peer) != frame:
                self.outbox.append(SendFrame(peer=peer, payload=encode(frame)))
                self._told[peer] = frame
        if not self._gaps:
            self._told.clear()


def _distance(name: bytes, peer: PeerId) -> int:
    """How far a link is from a peer; all see the same, and each peer another order."""
    return int.from_bytes(name, "big") ^ int.from_bytes(link_name(peer), "big")
