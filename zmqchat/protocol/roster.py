"""The roster: every member of the mesh, by the record that it signed itself.

How it works. A node signs a record of itself when it starts and when its addresses or rooms change, and tells it
to all its links. A record that is new or newer than the one held is verified, taken and passed on (rumour mongering;
Demers and others, PODC 1987, section 1.4): to all links where members are known that we have no link to, which in a
partial mesh is a flood over few links, and to GOSSIP_BEYOND of them in a full mesh, where its owner tells everybody.
News waits for GOSSIP_DELAY_S, so that much of it shares a frame and nobody is told what it told meanwhile.

    record   older or the same --> nothing; newer --signature--> taken, passed on | blame for who sent it

Whoever relays a record has verified it, so the sender of a forged one is to blame. What is lost on the way, and what a
newcomer lacks, comes by anti-entropy (rostersync) and is not passed on. A record's version is its owner's wall clock
in milliseconds, at least one more than any version of its own that it has seen: so it outlives restarts without being
stored, and refutes the rumour that its owner were dead (liveness). Who is told an old record by its owner answers with
the newer one, as a clock may have been put back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from zmqchat.history.crypto import Crypto
from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.model.faults import Fault
from zmqchat.model.ids import MeshId, PeerId, RoomId
from zmqchat.model.limits import (
    ENDPOINTS_PER_PEER_MAX,
    FULL_MESH_MEMBERS_MAX,
    GOSSIP_LINKS_MAX,
    NUMBER_MAX,
    RECORD_BYTES_MAX,
    RECORDS_BURST_MAX,
    RECORDS_PER_FRAME_MAX,
    RECORDS_PER_S_MAX,
    ROSTER_MEMBERS_MAX,
    ROSTER_STRANGERS_MAX,
)
from zmqchat.protocol.addressbook import is_loopback, is_usable
from zmqchat.protocol.data_facts import RoomJoined, RoomLeft
from zmqchat.protocol.effects import SetTimer
from zmqchat.protocol.facts import EndpointsChanged, Instant, NodeStarted, PeerSighted, TimerFired
from zmqchat.protocol.machine import Machine, PeerFaulted, PeerLinked, PeerUnlinked, SendFrame, Size
from zmqchat.protocol.recordpool import RecordPool
from zmqchat.protocol.roster_facts import ROSTER_FEATURE, MembersLive, MembersUpdated, Refute
from zmqchat.protocol.rostertable import RosterTable
from zmqchat.wire.codec import SIGNATURE_BYTES
from zmqchat.wire.frames import encode
from zmqchat.wire.roster_frames import (
    DEAD,
    Liveness,
    LivenessEntry,
    MemberRecord,
    Records,
    pack_record,
    room_hint,
    room_hints,
    split_record,
    unpack_record,
)

MEMBER_LABEL = b"zmqchat-member-1"

SIGN_DELAY_S = 0.2
"""Rooms joined and addresses found within this share a record."""
SIGN_AGAIN_S = 1.0
"""Least time between two records of ours: changes, and rumours that we were dead, share one."""
GOSSIP_DELAY_S = 0.1
GOSSIP_BEYOND = 2
"""Links that news is passed to where its owner has told everybody: some may have missed it."""


@dataclass(slots=True)
class _Link:
    """A link over which the roster's frames are understood; how many new records it may still tell."""

    allowance: float = float(RECORDS_BURST_MAX)
    allowed_at_s: float = 0.0


@dataclass(slots=True)
class _News:
    """A record that is to be passed on: who has it already, and whether its owner told us itself."""

    heard_from: set[PeerId] = field(default_factory=set)
    from_owner: bool = False


class Roster(Machine):
    """The machine of member records; emits MembersUpdated and MembersLive.

    crypto          signs our record, verifies others'
    is_valid_peer   whether a peer id can be anybody's
    pool            where records are kept; simulated nodes share one
    features        what our record says that we understand
    lacking         the links that are known to have none to a member
    own_raw         our record as others pass it on, empty before the first; own_version is the highest seen of ours
    """

    timer = "roster"

    def __init__(
        self,
        mesh: MeshId,
        crypto: Crypto,
        config: Config,
        rng: Random,
        is_valid_peer: Callable[[PeerId], bool],
        *,
        pool: RecordPool | None = None,
        features: tuple[str, ...] = (ROSTER_FEATURE,),
        lacking: Callable[[PeerId], Iterable[PeerId]] = lambda _member: (),
    ) -> None:
        super().__init__()
        self._me = crypto.peer
        self._mesh = mesh
        self._crypto = crypto
        self._rng = rng
        self._is_valid_peer = is_valid_peer
        self._lacking = lacking
        self._features = features
        self.pool = pool if pool is not None else RecordPool()
        self.table = RosterTable(self.pool, rng, config.roster_known_s)
        self._links: dict[PeerId, _Link] = {}
        self._own: MemberRecord | None = None
        self.own_raw = b""
        self.own_version = 0
        self._endpoints: tuple[Endpoint, ...] = ()
        self._rooms: set[RoomId] = set()
        self._signed_s = float("-inf")
        self._sign_at_s: float | None = None
        self._must_sign = False
        self._news: dict[PeerId, _News] = {}
        self._updated: list[PeerId] = []
        self._came: list[PeerId] = []
        self._live_sorted: tuple[int, tuple[PeerId, ...]] = (-1, ())
        self.late_records = 0
        self.facts = {
            NodeStarted: self._addresses_changed,
            EndpointsChanged: self._addresses_changed,
            RoomJoined: self._room_joined,
            RoomLeft: self._room_left,
            PeerLinked: self._linked,
            PeerUnlinked: self._unlinked,
            Refute: self._refute,
            TimerFired: self._timer_fired,
        }
        self.frames = {Records: self._told}

    def sizes(self) -> tuple[Size, ...]:
        """Members, strangers among them, and records that wait to be passed on."""
        return (
            Size("members", self.table.count, ROSTER_MEMBERS_MAX),
            Size("strangers", self.table.stranger_count, ROSTER_STRANGERS_MAX),
            Size("news", len(self._news), ROSTER_MEMBERS_MAX),
        )

    # Questions of other machines and the node ----------------------------------------------------------

    @property
    def live_count(self) -> int:
        """How many other members live."""
        return self.table.live_count

    def is_live(self, peer: PeerId) -> bool:
        """Whether this member is known to live; a suspect does until it does not answer."""
        slot = self.table.slot(peer)
        return slot is not None and self.table.is_live(slot)

    def record(self, peer: PeerId) -> MemberRecord | None:
        """What a member, dead or live, says of itself; None for strangers."""
        slot = self.table.slot(peer)
        if slot is None:
            return None
        record = unpack_record(self.pool.raw(self.table.number(slot)))
        return record if isinstance(record, MemberRecord) else None

    def endpoints_of(self, peer: PeerId) -> tuple[Endpoint, ...]:
        """Where a member says that it is: hearsay, that only a door proves. Loopback ones stay on their machine."""
        record = self.record(peer)
        told = record.endpoints if record is not None else ()
        loopback = bool(self._endpoints) and all(is_loopback(e.host) for e in self._endpoints)
        return tuple(e for e in told if is_usable(e, loopback=loopback))

    def pick(self, count: int, exclude: Iterable[PeerId] = ()) -> list[PeerId]:
        """Up to so many live members at random."""
        return self.table.pick(count, frozenset(exclude))

    def members_live(self) -> tuple[PeerId, ...]:
        """All other live members, sorted; the same object as long as nothing changes."""
        if self._live_sorted[0] != self.table.changes:
            members = tuple(sorted(map(self.pool.peer, self.table.live_slots())))
            self._live_sorted = (self.table.changes, members)
        return self._live_sorted[1]

    def in_room(self, room: RoomId) -> list[PeerId]:
        """The live members whose records hint at this room, sorted; some of them may be in a like-named one."""
        hint, pool, table = room_hint(room), self.pool, self.table
        return sorted(pool.peer(slot) for slot in table.live_slots() if hint in pool.hints(table.number(slot)))

    def may_be_in(self, peer: PeerId, room: RoomId) -> bool:
        """Whether the member's record hints at this room, or at more rooms than it names."""
        slot = self.table.slot(peer)
        hints = () if slot is None else self.pool.hints(self.table.number(slot))
        return room_hint(room) in hints or b"" in hints

    @property
    def is_in_many_rooms(self) -> bool:
        """Whether our record names not all of our rooms, so that we may be in any."""
        return self._own is not None and self._own.more

    @property
    def signed_version(self) -> int:
        """The version of our record, 0 before the first."""
        return self._own.version if self._own is not None else 0

    def links(self) -> list[PeerId]:
        """The linked peers that understand the roster's frames, sorted."""
        return sorted(self._links)

    def is_linked(self, peer: PeerId) -> bool:
        """Whether a peer that understands the roster's frames is linked."""
        return peer in self._links

    def audience(self, among: Iterable[PeerId], about: PeerId, *, told_by_owner: bool) -> list[PeerId]:
        """Which of these links are told some news about a member: some, and all that may hear it from us alone."""
        is_full_mesh = self.table.live_count <= len(self._links)
        most = GOSSIP_BEYOND if told_by_owner and is_full_mesh else GOSSIP_LINKS_MAX
        links = sorted(among)
        if len(links) <= most:
            return links
        chosen = self._rng.sample(links, most)
        return [*chosen, *(peer for peer in self._lacking(about) if peer in links and peer not in chosen)]

    def resume(self, own_raw: bytes, members: RosterTable) -> None:
        """Go on, before NodeStarted, as a node that has run for long: with this record of ours, and these members.

        So a simulated mesh begins in which everybody is known to everybody, and nobody has news.
        """
        record = unpack_record(own_raw)
        assert isinstance(record, MemberRecord) and record.peer == self._me
        self._own, self.own_raw, self.own_version = record, own_raw, record.version
        self.table.begin_as(members, self._me)

    # Our own record ------------------------------------------------------------------------------------

    def _addresses_changed(self, fact: NodeStarted | EndpointsChanged, at: Instant) -> None:
        usable = [e for e in fact.endpoints if "%" not in e.host and is_usable(e, loopback=True)]
        public = [e for e in usable if not is_loopback(e.host)]
        self._endpoints = tuple((public or usable)[:ENDPOINTS_PER_PEER_MAX])
        self._sign_soon(at)

    def _room_joined(self, fact: RoomJoined, at: Instant) -> None:
        self._rooms.add(fact.room)
        self._sign_soon(at)

    def _room_left(self, fact: RoomLeft, at: Instant) -> None:
        self._rooms.discard(fact.room)
        self._sign_soon(at)

    def _refute(self, _fact: Refute, at: Instant) -> None:
        self._must_sign = True
        self._sign_soon(at, 0.0)

    def _sign_soon(self, at: Instant, delay_s: float = SIGN_DELAY_S) -> None:
        due_s = max(at.now_s + delay_s, self._signed_s + SIGN_AGAIN_S)
        if self._sign_at_s is None or due_s < self._sign_at_s:
            self._sign_at_s = due_s
            self.outbox.append(SetTimer(name=(self.timer, "sign"), at_s=due_s))

    def _sign(self, at: Instant) -> None:
        rooms, more = room_hints(self._rooms)
        version = min(NUMBER_MAX, max(at.wall_ms, self.own_version + 1))
        record = MemberRecord(self._me, version, self._features, self._endpoints, rooms, more)
        if self._own is not None and not self._must_sign and record[2:] == self._own[2:]:
            return
        packed = pack_record(record)
        while len(packed) + SIGNATURE_BYTES > RECORD_BYTES_MAX:
            record = record._replace(endpoints=record.endpoints[:-1])
            packed = pack_record(record)
        self._must_sign = False
        self._signed_s = at.now_s
        self._own, self.own_version = record, version
        self.own_raw = self._crypto.sign(MEMBER_LABEL, self._mesh + packed) + packed
        for peer in self.links():
            self._send(peer, [self.own_raw])

    # Links ---------------------------------------------------------------------------------------------

    def _linked(self, fact: PeerLinked, _at: Instant) -> None:
        if ROSTER_FEATURE not in fact.features:
            return
        self._links[fact.peer] = _Link()
        slot = self.table.slot(fact.peer)
        if slot is not None:
            self.table.make_known(slot)
        if self.own_raw:
            self._send(fact.peer, [self.own_raw])

    def _unlinked(self, fact: PeerUnlinked, _at: Instant) -> None:
        self._links.pop(fact.peer, None)

    def _send(self, peer: PeerId, raws: list[bytes]) -> None:
        for payload in record_frames(raws, news=True):
            self.outbox.append(SendFrame(peer=peer, payload=payload))

    def raw(self, slot: int) -> bytes:
        """The record of a member in the table, as it is passed on."""
        return self.pool.raw(self.table.number(slot))

    # What others tell ----------------------------------------------------------------------------------

    def _told(self, peer: PeerId, frame: Records, at: Instant) -> None:
        link = self._links.get(peer)
        if link is None:
            return
        self.table.age(at.now_s)
        fault: Fault | None = None
        for raw in frame.records:
            fault = self._take(raw, peer, link, frame.news, at)
            if fault is not None:
                self.outbox.append(PeerFaulted(peer=peer, fault=fault))
                break
        self._tell_machines()
        if fault is not None:
            return
        dead = tuple(filter(None, map(self._obituary, frame.records)))
        if dead:
            self.outbox.append(SendFrame(peer=peer, payload=encode(Liveness(entries=dead))))

    def _tell_machines(self) -> None:
        """Tell the other machines of all members of a frame at once: rosters grow by thousands."""
        updated, self._updated = self._updated, []
        came, self._came = self._came, []
        if updated:
            self.outbox.append(MembersUpdated(peers=tuple(updated)))
        if came:
            self.outbox.append(MembersLive(peers=tuple(came)))

    def _obituary(self, raw: bytes) -> LivenessEntry | None:
        """What to answer to somebody who believes that a member is live which is dead here."""
        number = self.pool.find(raw)
        slot = self.pool.slot_of(number) if number else None
        if slot is None or self.table.number(slot) != number or self.table.is_live(slot):
            return None
        return LivenessEntry(self.pool.peer(slot), self.pool.version(number), DEAD)

    def _take(self, raw: bytes, peer: PeerId, link: _Link, news: bool, at: Instant) -> Fault | None:
        number = self.pool.find(raw)
        record: MemberRecord | Fault | None = None
        if number:
            owner, version = self.pool.peer(self.pool.slot_of(number)), self.pool.version(number)
        else:
            record = unpack_record(raw)
            if isinstance(record, Fault):
                return record
            owner, version = record.peer, record.version
        if self._has(owner, version, peer):
            return None
        if not number:
            if not _allows(link, at.now_s):
                self.late_records += 1
                return None
            signature, signed = split_record(raw)
            if not self._is_valid_peer(owner):
                return Fault(reason="identity", detail="a member record of an invalid peer id")
            if not self._crypto.verify(owner, MEMBER_LABEL, self._mesh + signed, signature):
                return Fault(reason="signature", detail="a forged member record")
        if owner == self._me:
            # Ours of an earlier start, signed when the clock was ahead of today's.
            self.own_version = version
            self._refute(Refute(), at)
            return None
        if not number:
            assert isinstance(record, MemberRecord)
            number = self.pool.add(record, raw)
        self._accept(number, owner, peer, news, at)
        return None

    def _has(self, owner: PeerId, version: int, peer: PeerId) -> bool:
        """Whether we have this record or a newer one; who told of it need not be told."""
        if owner == self._me:
            return version <= self.own_version
        slot = self.table.slot(owner)
        if slot is None or self.table.version(slot) < version:
            return False
        if owner in self._news and self.table.version(slot) == version:
            self._news[owner].heard_from.add(peer)
        if owner == peer and version < self.table.version(slot):
            # It started again with its clock put back: nobody heeds what it signs, unless it goes on from this one.
            self._send(peer, [self.raw(slot)])
        return True

    def _accept(self, number: int, owner: PeerId, peer: PeerId, news: bool, at: Instant) -> None:
        was_live = self.is_live(owner)
        if self.table.put(number, peer, at.now_s, known=owner in self._links) is None:
            return
        self._updated.append(owner)
        if not was_live:
            self._came.append(owner)
        if owner not in self._links and self.table.live_count < FULL_MESH_MEMBERS_MAX:
            # In a full mesh everybody is dialled; in a partial one the overlay asks where somebody is.
            for endpoint in self.endpoints_of(owner):
                self.outbox.append(PeerSighted(endpoint=endpoint, peer=owner, source="exchange"))
        if news:
            if not self._news:
                self.outbox.append(SetTimer(name=(self.timer, "news"), at_s=at.now_s + GOSSIP_DELAY_S))
            self._news[owner] = _News({peer}, owner == peer)

    # Time ----------------------------------------------------------------------------------------------

    def _timer_fired(self, fact: TimerFired, at: Instant) -> None:
        if fact.name[1] == "sign":
            self._sign_at_s = None
            self._sign(at)
        else:
            self._pass_on()

    def _pass_on(self) -> None:
        news, self._news = self._news, {}
        by_link: dict[PeerId, list[bytes]] = {}
        for owner, item in news.items():
            slot = self.table.slot(owner)
            if slot is None:
                continue
            others = [peer for peer in self._links if peer != owner and peer not in item.heard_from]
            for peer in self.audience(others, owner, told_by_owner=item.from_owner):
                by_link.setdefault(peer, []).append(self.raw(slot))
        for peer, raws in by_link.items():
            self._send(peer, raws)


def record_frames(raws: list[bytes], *, news: bool) -> list[bytes]:
    """These records in as many frames as they need."""
    return [
        encode(Records(records=tuple(raws[first : first + RECORDS_PER_FRAME_MAX]), news=news))
        for first in range(0, len(raws), RECORDS_PER_FRAME_MAX)
    ]


def _allows(link: _Link, now_s: float) -> bool:
    earned = (now_s - link.allowed_at_s) * RECORDS_PER_S_MAX
    link.allowance = min(float(RECORDS_BURST_MAX), link.allowance + earned)
    link.allowed_at_s = now_s
    if link.allowance < 1:
        return False
    link.allowance -= 1
    return True
