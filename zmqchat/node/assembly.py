"""Building a node's machines and taking up what the store holds; the one place that names them all."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass

from zmqchat.crypto.keys import Identity, curve_key, is_valid_peer
from zmqchat.crypto.signing import IdentityCrypto
from zmqchat.model.config import Config
from zmqchat.model.ids import MeshId, RoomId
from zmqchat.node.runner import wall_ms
from zmqchat.protocol.admission import Admission, Self
from zmqchat.protocol.data import DataMachines
from zmqchat.protocol.exchange import Exchange
from zmqchat.protocol.faultcounts import FaultCounts
from zmqchat.protocol.inquiry import Inquiry
from zmqchat.protocol.mesh import Mesh
from zmqchat.protocol.ownlog import OWN_LOG_ROW
from zmqchat.protocol.peers import Peers
from zmqchat.protocol.presence import Presence
from zmqchat.store.store import MessageStore


@dataclass(slots=True)
class Machines:
    """A node's machines by name, and the mesh that joins them."""

    mesh: Mesh
    admission: Admission
    peers: Peers
    presence: Presence
    exchange: Exchange
    inquiry: Inquiry
    faults: FaultCounts
    data: DataMachines
    tokens: Iterator[int]


def assemble(
    identity: Identity, mesh: MeshId, store: MessageStore, config: Config, name: str, crypto: IdentityCrypto
) -> tuple[Machines, list[str]]:
    """The machines with what the store holds; and what in it was damaged, a line each. Reads the store."""
    rng = random.SystemRandom()
    instance = os.urandom(16)
    tokens = itertools.count(1)
    info = store.info
    myself = Self(
        peer=identity.peer,
        mesh=mesh,
        instance=instance,
        store=info.store_id,
        generation=info.generation,
        curve_key=curve_key,
    )
    admission = Admission(myself, crypto, config)
    peers = Peers(identity.peer, instance, config, rng, lambda: admission.dials_free)
    presence = Presence(config)
    exchange = Exchange(identity.peer, config, peers, is_valid_peer)
    inquiry = Inquiry(peers.describe)
    faults = FaultCounts()
    data = DataMachines(crypto, config, tokens=tokens, entropy=os.urandom, rng=rng, rtt_s=presence.rtt_s, name=name)
    damaged = _restore(store, data)
    mesh_machine = Mesh((admission, peers, presence, exchange, inquiry, faults, *data.machines), peers, presence)
    return Machines(mesh_machine, admission, peers, presence, exchange, inquiry, faults, data, tokens), damaged


def _restore(store: MessageStore, data: DataMachines) -> list[str]:
    rooms = [(RoomId(key), row) for key, row in store.rows("rooms")]
    frontiers = store.frontiers()
    known = {room for room, _row in rooms} | {room for room, _key, _row in frontiers}
    info = store.info
    return data.restore(
        rooms=rooms,
        frontiers=frontiers,
        next_arrivals={room: store.next_arrival(room) for room in sorted(known)},
        members=store.rows("members"),
        own_log=store.get("meta", OWN_LOG_ROW),
        moved=info.moved,
        power_lost=not info.clean and not info.same_boot,
        wall_ms=wall_ms(),
    )
