"""A room that was founded before the run begins: everybody is in it, and has everybody's word of that on disk.

How it works. A thousand nodes that join a room at once tell each other a million times, and a run about anything
else would be over before it begins. So in worlds of their own, a few nodes each, each node joins alone; one of them is
given what all the others wrote, and the disk of each node in the run's world begins as a copy of that one's, with its
own log number. What these disks have in common is kept once, and so is what the machines make of it when they start.

Where they have `met`, each also begins with the member records of all, and with its own as it was: as in the middle of
a mesh that has run for long, only that nobody has a link yet. Else they learn of each other by gossip, n² records.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from zmqchat.protocol.data_facts import BatchReceived
from zmqchat.protocol.effects import PutRow
from zmqchat.protocol.ownlog import OWN_LOG_ROW
from zmqchat.protocol.rostertable import RosterTable
from zmqchat.sim.watch import Watch
from zmqchat.sim.world import World
from zmqchat.wire.roster_frames import MemberRecord, unpack_record

ALONE_S: Final = 1.0
"""How long each node has to join the room, and the one to store what all others wrote."""

ALONE_AT_ONCE: Final = 500
"""Nodes in one world of those that join alone: it takes memory until the next."""


@dataclass(slots=True)
class _Word:
    """What a node alone has written in the room, where it goes on in its log, and its member record."""

    batches: list[bytes]
    own_log: bytes | None
    record: bytes


def found(world: World, name: str, *, met: bool) -> None:
    """Put everybody into this room, before the first of them starts."""
    numbers = range(len(world.nodes))
    first = _alone(world, name, numbers[:ALONE_AT_ONCE])
    words = _words(first, name, numbers[:ALONE_AT_ONCE])
    for at in numbers[ALONE_AT_ONCE::ALONE_AT_ONCE]:
        some = numbers[at : at + ALONE_AT_ONCE]
        words += _words(_alone(world, name, some), name, some)
        gc.collect()  # a world is full of circles, and the next one as large
    collector = first.nodes[0].process
    assert collector is not None
    for node, word in zip(first.nodes[1:], words[1:], strict=True):
        for raw in word.batches:
            collector.feed(BatchReceived(peer=node.peer, raw=raw, pushed=False))
    first.schedule.run_until(2 * ALONE_S)
    assert collector.has_written
    world.room(name)
    whole = first.nodes[0].disk
    whole.arrivals.clear()
    whole.was_taken_up(collector.machines.data.came_to())
    for node, word in zip(world.nodes, words, strict=True):
        node.disk = whole.copy(node.disk.store_id)
        node.disk.write([PutRow("meta", OWN_LOG_ROW, word.own_log)])
    if met:
        _let_meet(world, [word.record for word in words])
    del first, collector
    gc.collect()


def _alone(world: World, name: str, numbers: Iterable[int]) -> World:
    """Another world, in which these nodes have joined the room and heard of nobody."""
    plans = [
        replace(node.plan, rooms=(), start_s=None, contacts=(), discovers=False, tamper=None) for node in world.nodes
    ]
    for number in numbers:
        plans[number] = replace(plans[number], rooms=(name,), start_s=0.0)
    alone = World(replace(world.options, faults=()), plans, Watch((), None))
    alone.schedule.run_until(ALONE_S)
    return alone


def _words(alone: World, name: str, numbers: Iterable[int]) -> list[_Word]:
    words, room = [], alone.room(name)
    for node in (alone.nodes[number] for number in numbers):
        assert node.process is not None
        batches = [raw for _key, raw in node.disk.batches(room)]
        words.append(_Word(batches, node.disk.kept(power_lost=False).own_log, node.process.machines.roster.own_raw))
    return words


def _let_meet(world: World, records: list[bytes]) -> None:
    """Let all nodes that start by themselves begin with these records, their own among them."""
    pool = world.member_records
    members = RosterTable(pool, Random(0), world.config.roster_known_s)
    for raw in records:
        record = unpack_record(raw)
        assert isinstance(record, MemberRecord)
        members.put(pool.add(record, raw), record.peer, 0.0, known=True)
    starts_s = [0.0]
    for node, raw in zip(world.nodes, records, strict=True):
        if node.plan.start_s is not None:
            node.known = (raw, members)
            starts_s.append(node.plan.start_s)
    world.at(max(starts_s), members.release)
