"""Fresh, restarted, moved or after a power loss: what an opening finds, and for how long."""

from __future__ import annotations

import struct

import pytest

from zmqchat.model.errors import StoreDamaged, StoreVersion
from zmqchat.store.about import RECORD_KEY, SCHEMA, SCHEMA_KEY, closed, first_record, opened, place, read_record

HERE = place(b"machine", b"boot", 10)
REBOOTED = place(b"machine", b"another boot", 10)
COPIED = place(b"machine", b"boot", 11)
REUSED = place(b"machine", b"boot", 10, 7)
OTHER_MACHINE = place(b"another machine", b"boot", 10)


def test_a_new_store_is_fresh_once() -> None:
    """The first opening is generation 1 and neither moved nor unclean."""
    record, info = opened(first_record(b"s" * 16), HERE)
    assert (info.fresh, info.clean, info.same_boot, info.moved, info.generation) == (True, True, True, False, 1)
    _, again = opened(record, HERE)
    assert (again.fresh, again.generation, again.store_id) == (False, 2, b"s" * 16)


def test_a_killed_process_is_known_by_its_boot() -> None:
    """Unclean in the same boot is a crash, in another a power loss."""
    record, _ = opened(first_record(b"s" * 16), HERE)
    _, crashed = opened(record, HERE)
    assert (crashed.clean, crashed.same_boot) == (False, True)
    _, power_lost = opened(record, REBOOTED)
    assert (power_lost.clean, power_lost.same_boot) == (False, False)


def test_a_clean_stop_and_a_reboot_are_in_order() -> None:
    """Nothing is doubted after a clean stop; a later crash is judged by the new boot."""
    record, _ = opened(first_record(b"s" * 16), HERE)
    record, info = opened(closed(record, HERE), REBOOTED)
    assert info.clean
    _, crashed = opened(record, REBOOTED)
    assert (crashed.clean, crashed.same_boot) == (False, True)


@pytest.mark.parametrize("elsewhere", [COPIED, REUSED, OTHER_MACHINE])
def test_a_copy_stays_a_copy_until_the_own_log_is_settled(elsewhere: object) -> None:
    """A node that stops, cleanly or not, before its first append is told again that it was moved."""
    assert isinstance(elsewhere, type(HERE))
    record, _ = opened(first_record(b"s" * 16), HERE)
    record, info = opened(closed(record, HERE), elsewhere)
    assert info.moved
    for _ in range(2):
        record, info = opened(record, elsewhere)
        assert info.moved
        record, info = opened(closed(record, elsewhere), elsewhere)
        assert info.moved
        assert not info.clean
    _, info = opened(record._replace(place=elsewhere), elsewhere)
    assert not info.moved


def test_a_power_loss_is_remembered_until_the_own_log_is_settled() -> None:
    """A clean stop without an append does not hide that the disk may have lied."""
    record, _ = opened(first_record(b"s" * 16), HERE)
    record, _ = opened(record, REBOOTED)
    _, info = opened(closed(record, REBOOTED), REBOOTED)
    assert (info.clean, info.same_boot) == (False, False)


def test_the_record_reads_back() -> None:
    """What is written tells the same at the next start."""
    record, _ = opened(first_record(b"s" * 16), HERE)
    assert read_record(lambda _table, key: record.rows().get(key), "here") == record


def test_a_newer_schema_is_named() -> None:
    """Whoever went back to an older zmqchat learns what to do."""
    rows = {**first_record(b"s" * 16).rows(), SCHEMA_KEY: struct.pack(">Q", SCHEMA + 1)}
    with pytest.raises(StoreVersion, match=r"newer zmqchat.*update zmqchat"):
        read_record(lambda _table, key: rows.get(key), "here")


@pytest.mark.parametrize("key", [SCHEMA_KEY, RECORD_KEY])
@pytest.mark.parametrize("value", [None, b"short"])
def test_a_store_that_does_not_know_itself_is_damaged(key: bytes, value: bytes | None) -> None:
    """Nothing is guessed where the record is missing or short."""
    rows: dict[bytes, bytes | None] = {**first_record(b"s" * 16).rows(), key: value}
    with pytest.raises(StoreDamaged):
        read_record(lambda _table, wanted: rows.get(wanted), "here")
