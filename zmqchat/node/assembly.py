"""Building a node's machines with the real crypto and chance, and taking up what the store holds."""

from __future__ import annotations

import os
import random

from zmqchat.crypto.keys import Identity, curve_key
from zmqchat.crypto.signing import IdentityCrypto
from zmqchat.model.config import Config
from zmqchat.model.ids import MeshId, RoomId
from zmqchat.node.runner import wall_ms
from zmqchat.protocol.admission import Self
from zmqchat.protocol.assembly import Kept, Machines
from zmqchat.protocol.assembly import assemble as assemble_machines
from zmqchat.protocol.ownlog import OWN_LOG_ROW
from zmqchat.store.store import MessageStore


def assemble(
    identity: Identity, mesh: MeshId, store: MessageStore, config: Config, name: str, crypto: IdentityCrypto
) -> tuple[Machines, list[str]]:
    """The machines with what the store holds; and what in it was damaged, a line each. Reads the store."""
    info = store.info
    myself = Self(
        peer=identity.peer,
        mesh=mesh,
        instance=os.urandom(16),
        store=info.store_id,
        generation=info.generation,
        curve_key=curve_key,
    )
    machines = assemble_machines(myself, crypto, config, name=name, rng=random.SystemRandom(), entropy=os.urandom)
    return machines, machines.take_up(_kept(store), wall_ms())


def _kept(store: MessageStore) -> Kept:
    rooms = [(RoomId(key), row) for key, row in store.rows("rooms")]
    frontiers = store.frontiers()
    known = {room for room, _row in rooms} | {room for room, _key, _row in frontiers}
    info = store.info
    return Kept(
        rooms=rooms,
        frontiers=frontiers,
        next_arrivals={room: store.next_arrival(room) for room in sorted(known)},
        members=store.rows("members"),
        kept=store.rows("kept"),
        own_log=store.get("meta", OWN_LOG_ROW),
        moved=info.moved,
        power_lost=not info.clean and not info.same_boot,
    )
