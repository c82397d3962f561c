"""The machines of a whole node, built and joined from parts that a runner gives."""

from __future__ import annotations

from random import Random

from tests.support.fakelink import MESH, WALL_START_MS, FakeNet, lobby, peer_of
from zmqchat.crypto.twin import TwinCrypto
from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId, RoomId, is_peer_id
from zmqchat.protocol.admission import Self
from zmqchat.protocol.assembly import Kept, Machines, assemble
from zmqchat.protocol.effects import SetTopics, Store
from zmqchat.protocol.facts import Instant, JoinRoom, NodeStarted
from zmqchat.protocol.ownlog import OWN_LOG_ROW


def _curve_key(peer: PeerId) -> bytes | None:
    return peer if is_peer_id(peer) else None


def _machines(name: str = "ann") -> Machines:
    rng = Random(7)
    me = Self(peer=peer_of(name), mesh=MESH, instance=bytes(16), store=bytes(16), generation=1, curve_key=_curve_key)
    return assemble(me, TwinCrypto(me.peer), Config(), name=name, rng=rng, entropy=rng.randbytes)


def _started(machines: Machines) -> Instant:
    at = Instant(0.0, WALL_START_MS)
    machines.mesh.handle(NodeStarted(endpoints=(Endpoint("10.0.0.1", 1, 2, 3),), ports=(1, 2, 3)), at)
    return at


def test_a_fresh_node_joins_a_room_and_stores_that() -> None:
    """The parts are joined: an order goes in, writes come out, with a token of the shared numbers."""
    machines = _machines()
    assert machines.take_up(Kept(), WALL_START_MS) == []
    at = _started(machines)
    machines.mesh.handle(JoinRoom(room=lobby(), name="lobby"), at)
    effects = machines.mesh.take_effects()
    tokens = [effect.token for effect in effects if isinstance(effect, Store)]
    assert tokens
    assert next(machines.tokens) > max(tokens)


def test_a_node_goes_on_with_what_its_store_holds() -> None:
    """What another life of the node has kept comes back: it is in its room without being told."""
    net = FakeNet()
    before = net.node("ann")
    before.join()
    before.say("hello")
    net.run(5)
    store = before.store
    machines = _machines()
    kept = Kept(
        rooms=[(RoomId(key), row) for key, row in store.tables["rooms"].items()],
        frontiers=[(room, key, row) for (room, key), row in store.frontiers.items()],
        next_arrivals=store.next_arrivals(),
        members=store.tables.get("members", {}).items(),
        own_log=store.tables["meta"][OWN_LOG_ROW],
    )
    assert machines.take_up(kept, WALL_START_MS) == []
    assert machines.data.ledger.joined_rooms() == [lobby()]
    _started(machines)
    topics = [effect.rooms for effect in machines.mesh.take_effects() if isinstance(effect, SetTopics)]
    assert topics == [frozenset({lobby()})]
    assert machines.data.ledger.rooms[lobby()].frontier.hash == before.hash()
