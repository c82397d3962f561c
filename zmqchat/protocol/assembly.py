"""All machines of a node, built and joined; the one place that names them all.

The real runner (`node`) and the simulated one (`sim`) assemble the very same machines here: what differs is only
the crypto, the sources of chance and what reads the rows that the store kept.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from zmqchat.history.crypto import Crypto
from zmqchat.model.config import Config
from zmqchat.model.ids import LogKey, PeerId, RoomId
from zmqchat.protocol.admission import Admission, Self
from zmqchat.protocol.advertising import Advertising
from zmqchat.protocol.data import NOTHING, DataMachines, TakenUp
from zmqchat.protocol.exchange import Exchange
from zmqchat.protocol.faultcounts import FaultCounts
from zmqchat.protocol.gaps import Gaps
from zmqchat.protocol.inquiry import Inquiry
from zmqchat.protocol.keepers import DECLINES, Keepers
from zmqchat.protocol.liveness import Liveness
from zmqchat.protocol.machine import Machine
from zmqchat.protocol.mesh import Mesh
from zmqchat.protocol.overlay import Overlay
from zmqchat.protocol.peers import Peers
from zmqchat.protocol.presence import Presence
from zmqchat.protocol.reach import Reach
from zmqchat.protocol.recordpool import RecordPool
from zmqchat.protocol.roster import Roster
from zmqchat.protocol.rostersync import RosterSync
from zmqchat.protocol.survey import Survey


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a store holds at start; what is left out is a fresh store's.

    rooms, members, kept  rows of these tables, the rooms' keys as RoomId
    frontiers       packed frontiers by room and log
    next_arrivals   by room, the number after its last arrival (absent: it has none)
    own_log         the row of table `meta` under OWN_LOG_ROW
    moved           machine id or inode of the store differ from those recorded
    power_lost      the last stop was not clean, and the machine was booted since
    taken_up        what frontiers and members came to where they were taken up before; they hold what differs
    """

    rooms: Iterable[tuple[RoomId, bytes]] = ()
    frontiers: Iterable[tuple[RoomId, LogKey, bytes]] = ()
    next_arrivals: Mapping[RoomId, int] = field(default_factory=dict)
    members: Iterable[tuple[bytes, bytes]] = ()
    kept: Iterable[tuple[bytes, bytes]] = ()
    own_log: bytes | None = None
    moved: bool = False
    power_lost: bool = False
    taken_up: TakenUp = NOTHING


@dataclass(slots=True)
class Machines:
    """A node's machines by name, and the mesh that joins them."""

    mesh: Mesh
    admission: Admission
    peers: Peers
    overlay: Overlay
    reach: Reach
    presence: Presence
    roster: Roster
    liveness: Liveness
    gaps: Gaps
    exchange: Exchange
    inquiry: Inquiry
    survey: Survey
    faults: FaultCounts
    data: DataMachines
    tokens: Iterator[int]

    def take_up(self, kept: Kept, wall_ms: int) -> list[str]:
        """Go on from what the store holds, before NodeStarted; what is damaged is named in the answer."""
        return self.data.restore(
            rooms=kept.rooms,
            frontiers=kept.frontiers,
            next_arrivals=kept.next_arrivals,
            members=kept.members,
            kept=kept.kept,
            own_log=kept.own_log,
            moved=kept.moved,
            power_lost=kept.power_lost,
            taken_up=kept.taken_up,
            wall_ms=wall_ms,
        )


def assemble(
    me: Self,
    crypto: Crypto,
    config: Config,
    *,
    name: str,
    rng: Random,
    entropy: Callable[[int], bytes],
    pool: RecordPool | None = None,
) -> Machines:
    """The machines of a fresh node of this nickname.

    entropy  gives the random bytes of salts
    pool     where member records are kept, shared by simulated nodes; None for one of its own
    """
    tokens = itertools.count(1)

    def is_valid_peer(peer: PeerId) -> bool:
        return me.curve_key(peer) is not None

    features = me.features if config.keeps else (*me.features, DECLINES)
    roster = Roster(
        me.mesh,
        crypto,
        config,
        rng,
        is_valid_peer,
        pool=pool,
        features=features,
        lacking=lambda member: gaps.lacking(member),
    )
    liveness = Liveness(me.peer, config, roster)
    reach = Reach()
    overlay = Overlay(
        me.peer, config, rng, roster, reach, is_valid_peer=is_valid_peer, lonely_rooms=lambda: data.lonely_rooms()
    )

    def is_partial() -> bool:
        return overlay.is_partial

    admission = Admission(me, crypto, config, overlay.may_accept)
    peers = Peers(me.peer, me.instance, config, rng, lambda: admission.dials_free, overlay.dialable)
    presence = Presence(config, roster.is_live)
    exchange = Exchange(
        me.peer, config, peers, is_valid_peer, rng, is_partial=is_partial, published=roster.endpoints_of
    )
    inquiry = Inquiry(peers.describe)
    survey = Survey(me.peer, lambda: peers.linked, exchange.linked_of)
    faults = FaultCounts()
    gaps = Gaps(me.peer, config, roster, is_partial=is_partial, is_suspect=liveness.is_suspect)
    data = DataMachines(
        crypto,
        config,
        tokens=tokens,
        entropy=entropy,
        rng=rng,
        rtt_s=presence.rtt_s,
        name=name,
        is_partial=is_partial,
        is_live=roster.is_live,
        gaps=gaps,
        choice=Keepers(me.peer, config, roster) if config.keeps else None,
    )
    net: tuple[Machine, ...] = (admission, peers, overlay, reach, presence, exchange, inquiry, survey, faults)
    advertising = Advertising(me.peer, is_partial, lambda: roster.live_count)
    members: tuple[Machine, ...] = (roster, liveness, gaps, RosterSync(me.peer, config, rng, roster), advertising)
    mesh = Mesh((*net, *members, *data.machines), peers, presence)
    others = (admission, peers, overlay, reach, presence, roster, liveness, gaps, exchange, inquiry, survey, faults)
    return Machines(mesh, *others, data, tokens)
