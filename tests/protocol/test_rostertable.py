"""The table of members: a flood of made-up ones pushes out nobody who is known, and it stays small."""

from __future__ import annotations

import tracemalloc
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fakelink import peer_of
from tests.support.rosternet import member, signed
from zmqchat.model.addresses import Endpoint
from zmqchat.model.ids import PeerId
from zmqchat.model.limits import MIB, ROSTER_MEMBERS_MAX, ROSTER_STRANGERS_MAX
from zmqchat.protocol import rostertable
from zmqchat.protocol.recordpool import RecordPool, member_hash
from zmqchat.protocol.rostertable import LIVE, RosterTable
from zmqchat.wire.roster_frames import DEAD, SUSPECT, MemberRecord, pack_record

KNOWN_S = 600.0
TELLER = peer_of("teller")


def made_up(number: int) -> tuple[MemberRecord, bytes]:
    """A record of typical size that nobody signed: the pool does not look."""
    peer = PeerId(Random(number).randbytes(31) + b"\x01")
    endpoints = tuple(Endpoint(host, 42100, 42101, 42102) for host in ("192.168.100.200", "2001:db8::1234:5678:9abc"))
    record = MemberRecord(peer, number, ("overlay-1", "roster-1"), endpoints, tuple([bytes(4)] * 4), False)
    return record, bytes(64) + pack_record(record)


def table_of(pool: RecordPool | None = None) -> RosterTable:
    """An empty table."""
    return RosterTable(RecordPool() if pool is None else pool, Random(1), KNOWN_S)


def put(table: RosterTable, name: str, version: int = 1, *, known: bool = False, now_s: float = 0.0) -> int | None:
    """Put a member into the table."""
    record = member(name, version)
    return table.put(table.pool.add(record, signed(record)), TELLER, now_s, known=known)


def flood(table: RosterTable, count: int, source: PeerId = TELLER, now_s: float = 1.0, first: int = 0) -> None:
    """Have one link tell of this many made-up members."""
    for number in range(first, first + count):
        record, raw = made_up(number)
        table.put(table.pool.add(record, raw), source, now_s, known=False)


def test_a_flood_pushes_out_no_known_member(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever we had links with or have known for long stays, whatever is made up; the flood pushes out itself."""
    monkeypatch.setattr(rostertable, "ROSTER_STRANGERS_MAX", 1_000)
    monkeypatch.setattr(rostertable, "ROSTER_MEMBERS_MAX", 3_000)
    table = table_of()
    linked = [f"linked {number}" for number in range(50)]
    old = [f"old {number}" for number in range(50)]
    honest = [f"honest {number}" for number in range(50)]
    for name in linked:
        put(table, name, known=True)
    for name in old:
        put(table, name)
    table.age(2 * KNOWN_S)
    for name in honest:
        record = member(name)
        table.put(table.pool.add(record, signed(record)), peer_of("another teller"), 2 * KNOWN_S, known=False)
    flood(table, 6_000, now_s=2 * KNOWN_S)
    assert all(table.slot(peer_of(name)) is not None for name in linked + old)
    assert sum(table.slot(peer_of(name)) is not None for name in honest) >= 45
    assert table.stranger_count == 1_000 and table.count == 1_100
    assert len(table.pool) == table.count


@pytest.mark.slow
def test_a_flood_of_100000_identities_in_a_full_sized_table() -> None:
    """The same at full size, told by many links within ten minutes."""
    table = table_of()
    for number in range(2_000):
        put(table, f"known {number}", known=True)
    for link in range(10):
        flood(table, 10_000, source=peer_of(f"liar {link}"), now_s=60.0 * link, first=10_000 * link)
    assert all(table.slot(peer_of(f"known {number}")) is not None for number in range(2_000))
    assert table.stranger_count == ROSTER_STRANGERS_MAX


def test_a_full_table_lets_the_dead_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all are known, a dead member gives way to a live one, and no live one does."""
    monkeypatch.setattr(rostertable, "ROSTER_MEMBERS_MAX", 20)
    table = table_of()
    for number in range(20):
        put(table, f"known {number}", known=True)
    assert put(table, "late", known=True) is None
    slot = table.slot(peer_of("known 7"))
    assert slot is not None
    table.set_state(slot, DEAD)
    for _ in range(20):
        if put(table, "late", known=True) is not None:
            break
    assert table.slot(peer_of("late")) is not None and table.slot(peer_of("known 7")) is None


def test_strangers_are_known_after_a_while() -> None:
    """Who was heard of for long keeps its place as those do whom we were linked to."""
    table = table_of()
    slot = put(table, "ann", now_s=0.0)
    assert slot is not None and table.is_stranger(slot)
    table.age(KNOWN_S)
    assert table.is_stranger(slot)
    table.age(KNOWN_S + 100.0)
    assert not table.is_stranger(slot) and table.stranger_count == 0


@pytest.mark.parametrize("count", [5_000, pytest.param(ROSTER_MEMBERS_MAX, marks=pytest.mark.slow)])
def test_fifty_thousand_members_fit_in_64_mib(count: int) -> None:
    """Records and table together cost in proportion less than 64 MiB for 50,000."""
    tracemalloc.start()
    try:
        table = table_of()
        flood(table, count // 4)
        for number in range(count // 4, count):
            record, raw = made_up(number)
            table.put(table.pool.add(record, raw), TELLER, 1.0, known=True)
        kept, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert table.count == count
    assert kept <= 64 * MIB * count / ROSTER_MEMBERS_MAX


@pytest.mark.slow
def test_another_roster_of_the_same_pool_costs_numbers_only() -> None:
    """A simulated node's table of ten thousand members takes under 256 KiB."""
    pool = RecordPool()
    first = table_of(pool)
    flood(first, 10_000)
    tracemalloc.start()
    try:
        second = table_of(pool)
        flood(second, 10_000)
        kept, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert second.count == 10_000 and kept <= 256 * 1024


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 7), st.integers(1, 4), st.sampled_from(["put", "known", LIVE, SUSPECT, DEAD, "gone"])),
        max_size=60,
    )
)
def test_counts_and_hashes_are_those_of_the_live(steps: list[tuple[int, int, str | int]]) -> None:
    """Whatever happens in whatever order, the sums are those of a naive model."""
    table = table_of()
    model: dict[str, tuple[int, int]] = {}
    for number, version, what in steps:
        name = f"member {number}"
        slot = table.slot(peer_of(name))
        assert (slot is not None) == (name in model)
        if isinstance(what, str) and what in ("put", "known"):
            if name not in model or model[name][0] < version:
                put(table, name, version, known=what == "known")
                model[name] = (version, LIVE)
        elif slot is not None and isinstance(what, int):
            table.set_state(slot, what)
            model[name] = (model[name][0], what)
        elif slot is not None:
            table.remove(slot)
            del model[name]
    live = {name: version for name, (version, state) in model.items() if state != DEAD}
    total = sum(member_hash(peer_of(name), version) for name, version in live.items()) % 2**64
    assert table.count == len(model) and table.live_count == len(live)
    assert table.hash == total.to_bytes(8, "big")
    assert {table.pool.peer(slot) for slot in table.live_slots()} == set(map(peer_of, live))
    assert sum(len(table.live_in(first)) for first in range(256)) == len(live)
    assert len(table.pool) == len(model)
    assert set(table.pick(8, set())) == set(map(peer_of, live))
