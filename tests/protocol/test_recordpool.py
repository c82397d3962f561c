"""The pool of records: one copy of each, found by its bytes, dropped with its last user."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fakelink import peer_of
from tests.support.rosternet import member, signed
from zmqchat.protocol.recordpool import RecordPool, member_hash


def put(pool: RecordPool, name: str, version: int = 1) -> int:
    """Put a record into the pool and hold it."""
    record = member(name, version)
    number = pool.add(record, signed(record))
    pool.hold(number)
    return number


def test_the_same_record_is_kept_once() -> None:
    """Adding a record again gives its number; its bytes find it."""
    pool = RecordPool()
    number = put(pool, "ann")
    raw = signed(member("ann"))
    assert pool.add(member("ann"), raw) == pool.find(raw) == number
    assert pool.raw(number) == raw and pool.version(number) == 1
    assert pool.hash(number) == member_hash(peer_of("ann"), 1)
    assert pool.find(raw[:-1]) == pool.find(b"") == pool.find(signed(member("bob"))) == 0


def test_a_member_has_one_slot_for_all_its_records() -> None:
    """Two versions that different rosters hold are two records of one slot."""
    pool = RecordPool()
    older, newer = put(pool, "ann", 1), put(pool, "ann", 2)
    assert older != newer and pool.slot_of(older) == pool.slot_of(newer) == pool.slot(peer_of("ann"))
    assert pool.find(signed(member("ann", 1))) == older
    pool.release(older)
    assert pool.find(signed(member("ann", 1))) == 0
    assert pool.find(signed(member("ann", 2))) == newer


def test_hints_of_rooms_are_shared_and_say_of_more() -> None:
    """Members of the same rooms share a tuple; an empty hint stands for rooms that are not named."""
    pool = RecordPool()
    numbers = []
    for name in ("ann", "bob"):
        record = member(name, 1, (b"room",))
        numbers.append(pool.add(record, signed(record)))
    assert pool.hints(numbers[0]) is pool.hints(numbers[1])
    record = member("carol", 1, (b"room",))._replace(more=True)
    assert pool.hints(pool.add(record, signed(record))) == (b"room", b"")


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 200))
def test_what_nobody_holds_is_gone_and_its_place_used_again(seed: int, steps: int) -> None:
    """Whatever is held and released in any order, exactly what is held can be found, and no place is lost."""
    rng = Random(seed)
    pool = RecordPool()
    held: list[tuple[str, int, int]] = []
    most = 0
    for _ in range(steps):
        if held and rng.random() < 0.5:
            pool.release(held.pop(rng.randrange(len(held)))[2])
        else:
            name, version = f"member {rng.randrange(12)}", rng.randrange(3)
            held.append((name, version, put(pool, name, version)))
        most = max(most, len({name for name, _version, _number in held}))
        assert len(pool) == len({name for name, _version, _number in held})
    for name in {f"member {number}" for number in range(12)}:
        for version in range(3):
            found = pool.find(signed(member(name, version)))
            assert bool(found) == any(h[:2] == (name, version) for h in held)
            assert not found or pool.peer(pool.slot_of(found)) == peer_of(name)
    assert pool.size <= most
    buckets = [slot for first in range(256) for slot in pool.bucket(first)]
    assert sorted(map(pool.peer, buckets)) == sorted({peer_of(name) for name, _version, _number in held})
