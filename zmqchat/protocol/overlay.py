"""The overlay: with whom this node keeps a link. HyParView (Leitão, Pereira, Rodrigues, DSN 2007).

How it works. Up to full_mesh_max live members everybody links to everybody and this machine only watches. Above it
the mesh is partial, until there are fewer than full_mesh_again: a node strives for `neighbours` links (the active
view, section 4.1) and keeps contacts in reserve (the passive view). Every link of a partial mesh has a standing:

    FRESH      the peer dialled us and has not said why: after WORD_S it is a neighbour, or parted from
    ASKED      we sent NEIGHBOUR --accepted--> NEIGHBOUR or VISIT, --refused, WORD_S--> closed
    NEIGHBOUR  both sides count it; --PART, lost--> the reserve
    VISIT      our one rotating link to anywhere in the mesh, a new one every visit_interval_s; VISITOR at its other end

Section 4.2, joining: the newcomer sends JOIN to the first whom it reaches, whose neighbours send its contact on random
walks; who gets it last links to it. Section 4.3, repair: who lost a neighbour asks contacts of its reserve, with the
more priority the fewer links it has (`seeking`); who gives up a link says PART. Section 4.4: every shuffle_interval_s
a sample of contacts goes on a walk and another comes back (`walks`).

Ours beside the paper's. A node asks for up to `wanted` links only at leisure (at each shuffle, LOW), urgently below
`least`, and is asked up to `most`: one lost link does not stir the others. The visit crosses what has come
apart: views only ever name whom they can reach, the member table names all, so halves of a mesh whose views have
forgotten each other find together by it. A node without any link dials whatever it knows. Guards against hostile
peers are in `views`; what a link may say is paced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Final

from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId, RoomId
from zmqchat.model.limits import (
    ENDPOINTS_PER_PEER_MAX,
    NEIGHBOURS_DISPLACED_PER_S_MAX,
    PEERS_LIVE_MAX,
    SHUFFLES_UNDER_WAY_MAX,
)
from zmqchat.protocol.addressbook import ALL_DIALABLE, Dialable, is_loopback, is_usable
from zmqchat.protocol.effects import SetTimer
from zmqchat.protocol.facts import EndpointsChanged, Instant, NodeStarted, PeerSighted, StopRequested, TimerFired
from zmqchat.protocol.machine import (
    OVERLAY_FEATURE,
    DialsFailed,
    LinksMissing,
    LinkUnwanted,
    LinkWanted,
    Machine,
    MeshSwitched,
    PeerLinked,
    PeerSlow,
    PeerUnlinked,
    SendFrame,
    SessionEnded,
    Size,
    Welcomed,
)
from zmqchat.protocol.reach import Reach
from zmqchat.protocol.seeking import LOST_S, REFUSED_S, WISHES_MAX, Census, Seeking
from zmqchat.protocol.views import (
    ActiveView,
    Allowance,
    Linked,
    Met,
    PassiveView,
    Shape,
    Standing,
    contacts_allowance,
    subnet_of,
)
from zmqchat.protocol.walks import Walks
from zmqchat.wire.frames import Frame, encode
from zmqchat.wire.overlay_frames import (
    Contact,
    ForwardJoin,
    Join,
    Neighbour,
    NeighbourAnswer,
    Part,
    Priority,
    Shuffle,
    ShuffleReply,
)

WORD_S: Final = 2.0
"""How long a link may stay without saying what it is for, or without an answer."""
PARTING_S: Final = 2.0
"""How long the other side has to close a link that we gave up."""
CHECK_S: Final = 5.0
"""How often members are counted while nothing happens."""
SETTLE_S: Final = 3.0
"""After a switch to the partial mesh, before links are given up: others switch a moment later."""
TRIM_S: Final = 0.5
TRIM_AT_ONCE: Final = 4
VISITOR_INTERVALS: Final = 3.0
"""A visitor goes when its visit has lasted for so many visit_interval_s, if it does not by itself."""


class Overlay(Machine):
    """The machine of links; `is_partial`, `neighbours` and the policy of `Peers` and `Admission` are its answers."""

    timer = "overlay"

    def __init__(
        self,
        me: PeerId,
        config: Config,
        rng: Random,
        census: Census,
        reach: Reach,
        *,
        is_valid_peer: Callable[[PeerId], bool],
        lonely_rooms: Callable[[], Iterable[RoomId]] = tuple,
    ) -> None:
        super().__init__()
        self._config = config
        self._rng = rng
        self._census = census
        self._reach = reach
        self._lonely_rooms = lonely_rooms
        self.shape = Shape.of(config)
        self.active = ActiveView(self.shape, rng)
        self.passive = PassiveView(self.shape.passive, rng)
        self.walks = Walks(me, rng, self.active, self.passive, reach, is_valid_peer, self._send)
        self.is_partial = False
        self.dropped_frames = 0
        self._met: dict[PeerId, Met] = {}
        self.seeking = Seeking(me, rng, self.shape, self.active, self.passive, reach, census, self._want)
        self._displacing = Allowance(NEIGHBOURS_DISPLACED_PER_S_MAX)
        self._shuffle_at_s = self._visit_at_s = self._trim_at_s = 0.0
        self._timer_at_s: float | None = None
        self._is_trimmed = False
        self._stopping = False
        self.facts = {
            NodeStarted: self._placed,
            EndpointsChanged: self._placed,
            StopRequested: self._stop,
            Welcomed: self._welcomed,
            SessionEnded: self._session_ended,
            PeerLinked: self._linked,
            PeerUnlinked: self._unlinked,
            DialsFailed: self._dials_failed,
            PeerSlow: self._slow,
            TimerFired: self._timer_fired,
        }
        self.frames = {
            Join: self._join,
            ForwardJoin: self._forward_join,
            Neighbour: self._neighbour,
            NeighbourAnswer: self._answered,
            Part: self._parted,
            Shuffle: self._shuffle,
            ShuffleReply: self._shuffle_reply,
        }

    def sizes(self) -> tuple[Size, ...]:
        """Sessions of a partial mesh, the reserve, wishes, and shuffles of others."""
        most = self.shape.sessions + WISHES_MAX if self._is_trimmed else 2 * PEERS_LIVE_MAX
        return (
            Size("sessions", len(self._met), most),
            Size("neighbours", len(self.active.neighbours), self.shape.most if self._is_trimmed else PEERS_LIVE_MAX),
            Size("reserve", len(self.passive), self.shape.passive),
            Size("wishes", len(self.seeking.wishes), WISHES_MAX),
            Size("shuffles", len(self.walks.shuffles), SHUFFLES_UNDER_WAY_MAX),
        )

    # Questions of others -----------------------------------------------------------------------------

    @property
    def neighbours(self) -> frozenset[PeerId]:
        """The active view; in the full mesh all linked peers."""
        return frozenset(self.active.neighbours)

    def dialable(self) -> Dialable:
        """Whom `Peers` may dial: everybody without any link, else whom we wish for, and bare addresses in need."""
        if not self.is_partial or not self.active.links:
            return ALL_DIALABLE
        return Dialable(self.seeking.wishes, len(self.active.neighbours) < self.shape.least)

    def may_accept(self, peer: PeerId) -> bool:
        """Whether the door lets a session with this peer begin."""
        if not self._is_trimmed or peer in self._met or peer in self.seeking.wishes:
            return True  # before the links of the full mesh are given up, who is new needs a way in all the same
        return len(self._met) < self.shape.sessions

    # Start and time ----------------------------------------------------------------------------------

    def _placed(self, fact: NodeStarted | EndpointsChanged, at: Instant) -> None:
        self.walks.own = fact.endpoints[:ENDPOINTS_PER_PEER_MAX]
        self._count_members(at)
        self._plan(at)

    def _stop(self, _fact: StopRequested, _at: Instant) -> None:
        self._stopping = True

    def _timer_fired(self, _fact: TimerFired, at: Instant) -> None:
        self._timer_at_s = None
        if self._stopping:
            return
        self._count_members(at)
        if self.is_partial:
            self._end_what_is_over(at)
            self._trim(at)
            if at.now_s >= self._shuffle_at_s:
                self._shuffle_at_s = at.now_s + self._config.shuffle_interval_s * self._rng.uniform(0.8, 1.2)
                self._strive(at)
                self.walks.begin_shuffle(at)
            if at.now_s >= self._visit_at_s:
                self._visit_at_s = at.now_s + self._config.visit_interval_s * self._rng.uniform(0.8, 1.2)
                self.seeking.visit(self._lonely_rooms(), at)
            self._seek(at)
        self._plan(at)

    def _plan(self, at: Instant) -> None:
        """Set the one timer to what is due first."""
        due_s = at.now_s + CHECK_S
        if self.is_partial:
            times = [self._shuffle_at_s, self._visit_at_s]
            times += [link.due_s for link in self.active.links.values() if link.due_s is not None]
            times += [until_s for _priority, until_s in self.seeking.wishes.values()]
            if len(self.active.neighbours) < self.shape.least:
                times.append(self.seeking.next_s)
            if len(self.active.neighbours) > self.shape.most:
                times.append(self._trim_at_s)
            due_s = max(at.now_s, min(due_s, *times))
        if self._timer_at_s is None or due_s < self._timer_at_s or self._timer_at_s <= at.now_s:
            self._timer_at_s = due_s
            self.outbox.append(SetTimer(name=(self.timer, "tick"), at_s=due_s))

    def _count_members(self, at: Instant) -> None:
        """Switch where the mesh has become large or small."""
        members = self._census.live_count + 1
        if not self.is_partial and members > self._config.full_mesh_max:
            self.is_partial = True
            self._shuffle_at_s = at.now_s + self._rng.uniform(0.0, self._config.shuffle_interval_s)
            self._visit_at_s = at.now_s + self._rng.uniform(0.0, self._config.visit_interval_s)
            self._trim_at_s = self.seeking.next_s = at.now_s + SETTLE_S * self._rng.uniform(1.0, 2.0)
            self.outbox.append(MeshSwitched(partial=True))
            first = self.active.random()
            if first is not None and len(self.active.neighbours) < self.shape.least:
                self._send(first, Join())
        elif self.is_partial and members < self._config.full_mesh_again:
            self.is_partial = self._is_trimmed = False
            self.seeking.wishes.clear()
            for link in self.active.links.values():
                if link.standing is not Standing.PARTING:
                    link.standing, link.due_s = Standing.NEIGHBOUR, None
            self.outbox.append(MeshSwitched(partial=False))
            for peer in self._census.pick(self._config.full_mesh_again, self.active.links):
                places = self._census.endpoints_of(peer)
                self.outbox += [PeerSighted(endpoint=place, peer=peer, source="exchange") for place in places]

    def _end_what_is_over(self, at: Instant) -> None:
        self.seeking.end_late_wishes(at)
        for peer, link in list(self.active.links.items()):
            if link.due_s is None or link.due_s > at.now_s:
                continue
            if link.standing is Standing.FRESH and self._has_room(link.subnet, self.shape.most):
                self._set(peer, Standing.NEIGHBOUR)
            elif link.standing is Standing.PARTING:
                link.due_s = at.now_s + PARTING_S
                self.outbox.append(LinkUnwanted(peer=peer, linger_s=0.0))
            else:
                self._part(peer, at)

    # Sessions and links --------------------------------------------------------------------------------

    def _welcomed(self, fact: Welcomed, _at: Instant) -> None:
        before = self._met.get(fact.peer)
        places = (fact.endpoint, *(e for e in fact.told if e.host != fact.endpoint.host))
        self._met[fact.peer] = Met(
            fact.endpoint.host,
            tuple(e for e in places if is_usable(e, loopback=True))[:ENDPOINTS_PER_PEER_MAX],
            fact.dialled or (before is not None and before.dialled),
            OVERLAY_FEATURE in fact.features,
        )

    def _session_ended(self, fact: SessionEnded, at: Instant) -> None:
        self._met.pop(fact.peer, None)
        if fact.peer in self.seeking.wishes:
            self.seeking.failed(fact.peer, fact.reason, at)
            self._plan(at)

    def _linked(self, fact: PeerLinked, at: Instant) -> None:
        met = self._met.get(fact.peer)
        if met is None:
            return
        self._count_members(at)
        link = Linked(
            subnet=subnet_of(met.host),
            endpoints=met.endpoints,
            over_loopback=is_loopback(met.host),
            speaks=met.speaks,
            standing=Standing.NEIGHBOUR,
            contacts=contacts_allowance(self._config.shuffle_interval_s),
        )
        self.active.links[fact.peer] = link
        self.passive.remove(fact.peer)
        if self.is_partial:
            self._greet(fact.peer, link, met, at)
        self._plan(at)

    def _greet(self, peer: PeerId, link: Linked, met: Met, at: Instant) -> None:
        """The first word on a new link of a partial mesh."""
        wish = self.seeking.wishes.pop(peer, None)
        link.standing = Standing.FRESH
        has_none = not self.active.neighbours
        if not link.speaks or (wish is None and not met.dialled):
            link.due_s = at.now_s + WORD_S
        elif wish is None and has_none:
            self._set(peer, Standing.NEIGHBOUR)
            self._send(peer, Join())
        else:
            priority = self.seeking.need() if wish is None or wish[0] is not Priority.VISIT else Priority.VISIT
            link.standing, link.wish, link.due_s = Standing.ASKED, priority, at.now_s + WORD_S
            self._send(peer, Neighbour(priority=int(priority)))

    def _unlinked(self, fact: PeerUnlinked, at: Instant) -> None:
        link = self.active.links.pop(fact.peer, None)
        if link is None or self._stopping:
            return
        if fact.reason in ("surplus", "lost", "silent") and fact.peer not in self._reach.undiallable:
            self.passive.add(Contact(fact.peer, link.endpoints), fact.peer)
            self.passive.hold(fact.peer, at.now_s + (REFUSED_S if fact.reason == "surplus" else LOST_S))
        self._count_members(at)
        if self.is_partial and len(self.active.neighbours) < self.shape.least:
            self.outbox.append(LinksMissing())
            self._seek(at)
        self._plan(at)

    def _slow(self, fact: PeerSlow, at: Instant) -> None:
        if self.is_partial and fact.peer in self.active.neighbours:
            self._part(fact.peer, at)
            self._plan(at)

    def _part(self, peer: PeerId, at: Instant) -> None:
        """Give up a link; the other side closes it."""
        link = self.active.links[peer]
        link.standing, link.due_s = Standing.PARTING, at.now_s + 2 * PARTING_S
        if link.speaks:
            self._send(peer, Part())
        self.outbox.append(LinkUnwanted(peer=peer, linger_s=PARTING_S if link.speaks else 0.0))

    def _parted(self, peer: PeerId, _frame: Part, at: Instant) -> None:
        if peer in self.active.links:
            self.active.links[peer].due_s = at.now_s + PARTING_S
            self.outbox.append(LinkUnwanted(peer=peer, linger_s=0.0))

    def _set(self, peer: PeerId, standing: Standing, due_s: float | None = None) -> None:
        link = self.active.links[peer]
        link.standing, link.due_s = standing, due_s

    # Who may be a neighbour (section 4.3) --------------------------------------------------------------

    def _neighbour(self, peer: PeerId, frame: Neighbour, at: Instant) -> None:
        link = self._heeded(peer, at)
        if link is None or link.standing is Standing.PARTING:
            return
        priority = Priority(frame.priority)
        accepted = not self.is_partial or link.standing is Standing.NEIGHBOUR
        if link.standing is Standing.ASKED and priority is not Priority.VISIT:
            accepted = True  # both want it
            self._gain(peer, self.shape.most, at)
        elif not accepted:
            accepted = self._grants(peer, link, priority, at)
        self._send(peer, NeighbourAnswer(accepted=accepted))
        if not accepted:
            self._set(peer, Standing.PARTING, at.now_s + 2 * PARTING_S)
            self.outbox.append(LinkUnwanted(peer=peer, linger_s=PARTING_S))
        self._plan(at)

    def _grants(self, peer: PeerId, link: Linked, priority: Priority, at: Instant) -> bool:
        if priority is Priority.VISIT:
            if len(self.active.with_standing(Standing.VISITOR)) >= self.shape.visitors:
                return False
            self._set(peer, Standing.VISITOR, at.now_s + VISITOR_INTERVALS * self._config.visit_interval_s)
            return True
        most = self.shape.wanted if priority is Priority.LOW else self.shape.most
        granted = self._has_room(link.subnet, most)
        if not granted and priority is Priority.HIGH:
            granted = self._displaces(peer, link.subnet, at)
        if granted:
            self._set(peer, Standing.NEIGHBOUR)
        return granted

    def _has_room(self, subnet: str, most: int) -> bool:
        return len(self.active.neighbours) < most and not self.active.is_crowded(subnet, self.passive.subnets())

    def _displaces(self, peer: PeerId, subnet: str, at: Instant) -> bool:
        """Give up another neighbour for this one, of the same subnet where that has its share; not too often."""
        is_crowded = self.active.is_crowded(subnet, self.passive.subnets())
        victim = self.active.victim(self._reach.undiallable, keep=peer, of_subnet=subnet if is_crowded else None)
        if victim is None or not self._displacing.take(at.now_s):
            return False
        self._part(victim, at)
        return True

    def _answered(self, peer: PeerId, frame: NeighbourAnswer, at: Instant) -> None:
        link = self.active.links.get(peer)
        if link is None or link.standing is not Standing.ASKED:
            return
        if not frame.accepted:
            self._set(peer, Standing.PARTING, at.now_s + PARTING_S)
            self.outbox.append(LinkUnwanted(peer=peer, linger_s=0.0))
        elif link.wish is Priority.VISIT:
            for former in self.active.with_standing(Standing.VISIT):
                self._part(former, at)
            self._set(peer, Standing.VISIT)
        else:
            self._gain(peer, self.shape.wanted, at)
        self._plan(at)

    def _gain(self, peer: PeerId, most: int, at: Instant) -> None:
        """A neighbour that is not refused: where there are as many already, another one gives way."""
        self._set(peer, Standing.NEIGHBOUR)
        if len(self.active.neighbours) > most:
            self._give_up(at, keep=peer)

    def _give_up(self, at: Instant, keep: PeerId | None = None) -> None:
        victim = self.active.victim(self._reach.undiallable, keep=keep, of_subnet=None)
        if victim is not None:
            self._part(victim, at)

    def _dials_failed(self, fact: DialsFailed, at: Instant) -> None:
        if fact.peer in self.seeking.wishes:
            self.seeking.failed(fact.peer, fact.reason, at)
            self._seek(at)
            self._plan(at)

    def _seek(self, at: Instant) -> None:
        if self.is_partial and not self._stopping:
            self.seeking.seek(at)

    def _strive(self, at: Instant) -> None:
        """At leisure: one more link where there are fewer than wanted, one less where there are more."""
        held = len(self.active.neighbours)
        if self.shape.least <= held < self.shape.wanted:
            self.seeking.ask_one(Priority.LOW, at)
        elif held > self.shape.wanted:
            self._give_up(at)

    def _trim(self, at: Instant) -> None:
        """After a switch from the full mesh there are many more links than may stay."""
        if at.now_s < self._trim_at_s:
            return
        self._trim_at_s = at.now_s + TRIM_S
        for _ in range(min(TRIM_AT_ONCE, len(self.active.neighbours) - self.shape.most)):
            self._give_up(at)
        self._is_trimmed |= len(self._met) <= self.shape.sessions and len(self.active.neighbours) <= self.shape.most

    # Walks (sections 4.2 and 4.4) -----------------------------------------------------------------------

    def _join(self, peer: PeerId, _frame: Join, at: Instant) -> None:
        link = self._heeded(peer, at)
        if link is None or not self.is_partial or link.joined or link.standing is Standing.PARTING:
            return
        link.joined = True
        if link.standing is not Standing.NEIGHBOUR:
            if self._has_room(link.subnet, self.shape.most) or self._displaces(peer, link.subnet, at):
                self._set(peer, Standing.NEIGHBOUR)
            else:
                self._part(peer, at)
        self.walks.begin_join(peer, link)
        self._plan(at)

    def _forward_join(self, peer: PeerId, frame: ForwardJoin, at: Instant) -> None:
        link = self._heeded(peer, at)
        if link is None or not self.is_partial:
            return
        newcomer = self.walks.forward_join(peer, link, frame, at)
        if newcomer is None or newcomer.peer in self.seeking.engaged() or not newcomer.endpoints:
            return
        if self.active.is_crowded(subnet_of(newcomer.endpoints[0].host), self.passive.subnets()):
            self.walks.keep(newcomer, peer, link, at)
        else:
            self.seeking.wish(newcomer, Priority.LOW, at)  # once it agrees, a link beyond the wanted gives way
        self._plan(at)

    def _shuffle(self, peer: PeerId, frame: Shuffle, at: Instant) -> None:
        link = self._heeded(peer, at)
        if link is not None and self.is_partial:
            self.walks.shuffle(peer, link, frame, at)

    def _shuffle_reply(self, peer: PeerId, frame: ShuffleReply, at: Instant) -> None:
        link = self._heeded(peer, at)
        if link is not None:
            self.walks.shuffle_reply(peer, link, frame, at)

    def _heeded(self, peer: PeerId, at: Instant) -> Linked | None:
        """The link that a frame came over, None where its peer sends too many."""
        link = self.active.links.get(peer)
        if link is None or not link.frames.take(at.now_s):
            self.dropped_frames += 1
            return None
        return link

    def _want(self, fact: LinkWanted) -> None:
        self.outbox.append(fact)

    def _send(self, peer: PeerId, frame: Frame) -> None:
        self.outbox.append(SendFrame(peer=peer, payload=encode(frame)))
