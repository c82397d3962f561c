"""Who keeps a room: three of those outside it, the same for all that ask."""

from __future__ import annotations

from random import Random

import pytest

from tests.support.fakelink import WALL_START_MS, lobby, peer_of
from tests.support.rosternet import MESH
from zmqchat.crypto.twin import TwinCrypto
from zmqchat.model.config import Config
from zmqchat.model.ids import PeerId, RoomId, is_peer_id
from zmqchat.model.limits import KEEPERS, RECORD_ROOMS_MAX
from zmqchat.protocol.data_facts import RoomJoined
from zmqchat.protocol.facts import Instant, TimerFired
from zmqchat.protocol.keepers import DECLINES, Keepers, Nobody, weight
from zmqchat.protocol.recordpool import RecordPool
from zmqchat.protocol.roster import Roster
from zmqchat.wire.roster_frames import DEAD, MemberRecord, pack_record, room_hint

CONFIG = Config()
NAMES = [f"node {number}" for number in range(12)]
LATER = Instant(2_000.0, WALL_START_MS)


def roster_of(me: str, known: dict[str, MemberRecord], pool: RecordPool, heard_s: float = 1_000.0) -> Roster:
    """A roster that has heard of these."""
    roster = Roster(MESH, TwinCrypto(peer_of(me)), CONFIG, Random(1), is_peer_id, pool=pool)
    for name, record in known.items():
        if name != me:
            number = pool.add(record, bytes(64) + pack_record(record))
            roster.table.put(number, peer_of(name), heard_s, known=True)
    return roster


def record_of(name: str, *rooms: str, more: bool = False, features: tuple[str, ...] = ()) -> MemberRecord:
    """What a member says of itself."""
    return MemberRecord(peer_of(name), 1, features, (), tuple(sorted(room_hint(lobby(room)) for room in rooms)), more)


def chosen(records: dict[str, MemberRecord], room: RoomId, at: Instant = LATER) -> list[str]:
    """Who of these takes itself for a keeper, the highest first."""
    pool = RecordPool()
    names = [
        name for name in records if Keepers(peer_of(name), CONFIG, roster_of(name, records, pool)).look(room, at).chosen
    ]
    return sorted(names, key=lambda name: weight(room, peer_of(name)), reverse=True)


def ranked(names: list[str], room: RoomId) -> list[str]:
    """By their hashes, the highest first."""
    return sorted(names, key=lambda name: weight(room, peer_of(name)), reverse=True)


@pytest.mark.parametrize("name", ["den", "kitchen", "workshop"])
def test_three_outside_the_room_keep_it(name: str) -> None:
    """Those with the highest hashes, and each knows it by itself."""
    records = {each: record_of(each, "lobby") for each in NAMES}
    assert chosen(records, lobby(name)) == ranked(NAMES, lobby(name))[:KEEPERS]


def test_rooms_have_different_keepers() -> None:
    """The load is spread over all nodes."""
    records = {each: record_of(each, "lobby") for each in NAMES}
    found = {each for number in range(40) for each in chosen(records, lobby(f"room {number}"))}
    assert found == set(NAMES)


def test_members_are_no_keepers() -> None:
    """They have the room anyway; who may be in it, as its record does not name all of its rooms, counts as one."""
    room = lobby("den")
    first, second, *others = ranked(NAMES, room)
    records = {each: record_of(each, "lobby") for each in NAMES}
    records[first] = record_of(first, "lobby", "den")
    records[second] = record_of(second, "lobby", more=True)
    pool = RecordPool()
    found = [
        each
        for each in others
        if Keepers(peer_of(each), CONFIG, roster_of(each, records, pool)).look(room, LATER).chosen
    ]
    assert sorted(found) == sorted(others[:KEEPERS])


def test_who_is_in_more_rooms_than_its_record_names_keeps_nothing() -> None:
    """The others take it for a member of any room, so they keep in its place."""
    roster = roster_of("node 0", {}, RecordPool())
    for number in range(RECORD_ROOMS_MAX + 1):
        roster.facts[RoomJoined](RoomJoined(room=lobby(f"room {number}")), LATER)
    roster.facts[TimerFired](TimerFired(name=("roster", "sign")), LATER)
    assert not Keepers(peer_of("node 0"), CONFIG, roster).look(lobby("den"), LATER).chosen


def test_the_dead_the_new_and_those_who_decline_are_passed_over() -> None:
    """Others keep in their place."""
    room = lobby("den")
    dead, new, declining, *others = ranked(NAMES, room)
    pool = RecordPool()
    records = {each: record_of(each, "lobby") for each in NAMES if each != new}
    records[declining] = record_of(declining, "lobby", features=(DECLINES,))
    found = []
    for each in others:
        roster = roster_of(each, records, pool)
        number = pool.add(record_of(new, "lobby"), bytes(64) + pack_record(record_of(new, "lobby")))
        roster.table.put(number, peer_of(each), LATER.now_s - CONFIG.keeper_known_s + 10.0, known=True)
        slot = roster.table.slot(peer_of(dead))
        assert slot is not None
        roster.table.set_state(slot, DEAD)
        if Keepers(peer_of(each), CONFIG, roster).look(room, LATER).chosen:
            found.append(each)
    assert sorted(found) == sorted(others[:KEEPERS])


def test_a_crowd_of_fresh_identities_takes_nothing_over() -> None:
    """Made-up members with high hashes count after ten minutes only."""
    room = lobby("den")
    mine = min(NAMES, key=lambda name: weight(room, peer_of(name)))
    crowd = {f"made up {number}": record_of(f"made up {number}") for number in range(200)}
    roster = roster_of(mine, crowd, RecordPool(), heard_s=LATER.now_s - 60.0)
    assert Keepers(peer_of(mine), CONFIG, roster).look(room, LATER).chosen
    assert not Keepers(peer_of(mine), CONFIG, roster).look(room, Instant(LATER.now_s + 600.0, 0)).chosen


def test_few_members_are_looked_at_where_others_rank_higher() -> None:
    """A node that is far from being a keeper finds out soon."""
    room = lobby("den")
    records = {f"node {number}": record_of(f"node {number}") for number in range(400)}
    last = min(records, key=lambda name: weight(room, peer_of(name)))
    look = Keepers(peer_of(last), CONFIG, roster_of(last, records, RecordPool())).look(room, LATER)
    assert not look.chosen and look.members == KEEPERS


def test_nobody_keeps_nothing() -> None:
    """The choice where keeping is switched off."""
    assert Nobody().look(lobby("den"), LATER) == (False, 0)
    assert isinstance(weight(lobby("den"), PeerId(bytes(32))), bytes)
