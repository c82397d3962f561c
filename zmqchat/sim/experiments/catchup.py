"""How long a newcomer takes to fetch a long history, by how many nodes hold it.

The holders' uplinks are the narrow place (UPLINK_BYTES_S), as in most networks; disks and links are those of `meshes`.
The newcomer's own time is not measured here: in the simulator a machine takes none.
"""

from __future__ import annotations

from typing import Final

from zmqchat.history.batch import BatchHeader, peek
from zmqchat.model.ids import PeerId
from zmqchat.protocol.data_facts import BatchReceived
from zmqchat.protocol.effects import Effect
from zmqchat.protocol.facts import Fact, FrameReceived
from zmqchat.sim.author import Author
from zmqchat.sim.conditions import LinkQuality
from zmqchat.sim.disk import Disk
from zmqchat.sim.experiments.meshes import LATENCY_S, ROOM
from zmqchat.sim.experiments.table import Table
from zmqchat.sim.node import NodePlan
from zmqchat.sim.options import Options
from zmqchat.sim.watch import Watch
from zmqchat.sim.world import World
from zmqchat.wire.frames import Page, decode

HOLDERS: Final = (1, 2, 4, 8, 12)
AUTHORS: Final = 10
BATCH_MESSAGES: Final = 1_000
UPLINK_BYTES_S: Final = 12_500_000.0
"""100 Mbit/s."""

START_S: Final = 10.0
"""When the newcomer starts: the holders know each other by then."""
STEP_S: Final = 0.01
LIMIT_S: Final = 600.0


class PageEar:
    """Hears the pages that come to one node: how many messages they carry, and from how many peers."""

    def __init__(self, listener: int) -> None:
        self.messages = self.received_bytes = 0
        self.senders: dict[PeerId, None] = {}
        self._listener = listener

    def at(self, _now_s: float, node: int, what: Fact | Effect) -> None:
        """Count what a page brings."""
        if node != self._listener or not isinstance(what, FrameReceived):
            return
        frame = decode(what.payload)
        if isinstance(frame, Page) and frame.batches:
            headers = [header for raw in frame.batches if isinstance(header := peek(raw), BatchHeader)]
            self.messages += sum(header.end - header.first for header in headers)
            self.received_bytes += len(what.payload)
            self.senders[what.peer] = None


def catch_up(messages: int, seed: int) -> Table:
    """Seconds until a newcomer has everything, and what came to it twice, against the number of holders."""
    stock = _stocked(messages, seed)
    rows = []
    for holders in HOLDERS:
        took_s, ear = _fetch(stock, holders, messages, seed)
        twice = 100.0 * (ear.messages / messages - 1)
        rows.append((float(holders), took_s, float(len(ear.senders)), twice, ear.received_bytes / took_s / 1e6))
    columns = ("holders", "seconds", "asked", "twice %", "MB/s")
    unit = "seconds, each holder sends 100 Mbit/s at most"
    return Table(f"A newcomer fetches {messages:,} messages", columns, rows, ("seconds",), unit)


def _stocked(messages: int, seed: int) -> Disk:
    """A disk with the whole history, as one member stored it."""
    world = World(Options(seed=seed, nodes=1), [NodePlan(rooms=(ROOM,), discovers=False)], Watch((), None))
    world.schedule.run_until(1.0)
    process = world.nodes[0].process
    assert process is not None
    for number in range(AUTHORS):
        author, last = Author(f"author {number}"), None
        for first in range(0, messages // AUTHORS, BATCH_MESSAGES):
            texts = [f"{author.peer[:3].hex()} says number {first + index}" for index in range(BATCH_MESSAGES)]
            last = author.batch(texts, after=last, room=world.room(ROOM))
            process.feed(BatchReceived(peer=author.peer, raw=last.raw, pushed=False))
        world.schedule.run_until(world.now_s + 1.0)
    return world.nodes[0].disk


def _fetch(stock: Disk, holders: int, messages: int, seed: int) -> tuple[float, PageEar]:
    """How long the newcomer took, and what came to it."""
    plans = [
        NodePlan(rooms=(), discovers=False, start_s=0.1 * number, contacts=tuple(range(number)))
        for number in range(holders)
    ]
    plans.append(NodePlan(rooms=(ROOM,), discovers=False, start_s=START_S, contacts=tuple(range(holders))))
    ear = PageEar(holders)
    world = World(Options(seed=seed, nodes=holders + 1), plans, Watch((), ear))
    world.set_quality(LinkQuality(latency_s=LATENCY_S, jitter=0.0))
    world.network.conditions.bandwidths = dict.fromkeys(range(holders), UPLINK_BYTES_S)
    for node in world.nodes[:holders]:
        own_id = node.disk.store_id
        node.disk = stock.copy()
        node.disk.store_id, node.disk.moved = own_id, True
    while _held(world, holders) < messages:
        assert world.now_s < START_S + LIMIT_S, "not within the limit"
        world.schedule.run_until(world.now_s + STEP_S)
    return world.now_s - START_S, ear


def _held(world: World, number: int) -> int:
    """How many messages a node has stored of the history."""
    process = world.nodes[number].process
    ledger = None if process is None else process.machines.data.ledger
    if ledger is None or world.room(ROOM) not in ledger.rooms:
        return 0
    room = world.room(ROOM)
    keys = [key for key, _frontier in ledger.rooms[room].frontier.items()]
    return sum(end for key in keys if (end := ledger.contiguous_end(room, key)) >= BATCH_MESSAGES)
