"""The simulated disk: what is read is what was written."""

from __future__ import annotations

from random import Random

from tests.support.fakelink import FakeNet, lobby
from tests.support.fakestore import FakeStore
from zmqchat.model.ids import LogKey
from zmqchat.protocol.effects import LoadRange, PutArrival, PutFrontier, PutRow, Write
from zmqchat.sim.disk import Disk


def _filled() -> tuple[Disk, FakeStore, LogKey]:
    """A disk and the other stand-in for a store with the same content: a log of some batches."""
    net = FakeNet()
    node = net.node("ann")
    node.join()
    for number in range(20):
        node.say(*(f"{number} {part}" for part in range(1 + number % 3)))
        net.run(1)
    disk = Disk(bytes(16), {})
    store = node.store
    for rows in store.batches.values():
        shuffled: list[Write] = list(rows.values())
        Random(1).shuffle(shuffled)
        disk.write(shuffled)
    return disk, store, LogKey(node.peer, node.data.ledger.own_log)


def test_ranges_are_read_as_the_store_reads_them() -> None:
    """Whole batches of the range, at least one, in both directions, whatever the order of writing."""
    disk, store, key = _filled()
    end = max(store.batches[(lobby(), key)])
    rng = Random(2)
    for _ in range(300):
        first = rng.randrange(end)
        load = LoadRange(
            token=1,
            room=lobby(),
            key=key,
            first=first,
            end=rng.randint(first, end + 2),
            bytes_max=rng.choice((1, 500, 100_000)),
            newest_first=rng.random() < 0.5,
        )
        assert disk.load(load) == store.load(load).batches


def test_a_batch_is_found_by_its_end() -> None:
    """And only there."""
    disk, store, key = _filled()
    for end, row in store.batches[(lobby(), key)].items():
        assert disk.batch(lobby(), key, end) == row.raw
    assert disk.batch(lobby(), key, 10_000) is None
    assert disk.batch(lobby(), LogKey(key.author, key.log + 1), 1) is None


def test_batches_are_kept_once_for_all_disks() -> None:
    """Ten thousand nodes hold the same bytes."""
    pool: dict[bytes, bytes] = {}
    _disk, store, key = _filled()
    row = next(iter(store.batches[(lobby(), key)].values()))
    one, other = Disk(bytes(16), pool), Disk(bytes(16), pool)
    one.write([row])
    other.write([type(row)(row.room, row.key, row.first, row.end, row.sealed_at, bytes(bytearray(row.raw)))])
    assert one.batch(row.room, row.key, row.end) is other.batch(row.room, row.key, row.end)


def test_what_a_start_takes_up_is_what_was_written() -> None:
    """Rows, frontiers and the number after the last arrival; a removed row is gone."""
    disk = Disk(bytes(16), {})
    key = LogKey(lobby() * 2, 7)  # type: ignore[arg-type]  # any 32 bytes do
    disk.write([PutRow("rooms", lobby(), b"x"), PutRow("rooms", b"other", b"y"), PutFrontier(lobby(), key, b"f")])
    disk.write([PutRow("rooms", b"other", None), PutArrival(lobby(), 4, key, 10, 13, 13, True, False)])
    kept = disk.kept(power_lost=True)
    assert list(kept.rooms) == [(lobby(), b"x")]
    assert list(kept.frontiers) == [(lobby(), key, b"f")]
    assert kept.next_arrivals == {lobby(): 7}
    assert kept.power_lost
    assert kept.own_log is None


def test_a_backup_does_not_change_with_the_disk() -> None:
    """What is written later is on one of them only."""
    disk, _store, key = _filled()
    backup = disk.copy()
    held = len(backup.batches(lobby()))
    disk.write([PutRow("rooms", lobby(), b"x")])
    assert not list(backup.kept(power_lost=False).rooms)
    assert len(backup.batches(lobby())) == held == len(disk.batches(lobby()))
    assert {place for place, _raw in backup.batches(lobby())} == {key}
