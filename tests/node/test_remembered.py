"""Peers remembered for the next start."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.nodes import linked, running
from zmqchat.model.addresses import Endpoint
from zmqchat.model.ids import PeerId
from zmqchat.node.remembered import RememberedPeers
from zmqchat.protocol.addressbook import Target
from zmqchat.protocol.effects import PutRow
from zmqchat.wire.packing import pack


def peer(number: int) -> PeerId:
    """A made-up peer."""
    return PeerId(number.to_bytes(32, "big"))


def target(number: int, port: int = 42100) -> Target:
    """Where it is."""
    return Target(peer(number), "mdns", [Endpoint("192.0.2.1", port, port + 1, port + 2)], 0.0)


async def test_a_restart_needs_to_be_told_nothing(home: Path) -> None:
    """Two nodes that met once meet again without discovery and without an address given."""
    async with running(home) as ann, running(home, "bob", ann) as bob:
        await linked(ann, bob)
    async with running(home) as ann, running(home, "bob") as bob:
        await linked(ann, bob)


def test_the_latest_seen_come_first() -> None:
    """And survive by their rows."""
    rows: dict[bytes, bytes] = {}

    def write(writes: tuple[PutRow, ...]) -> None:
        for row in writes:
            if row.value is None:
                rows.pop(row.key)
            else:
                rows[row.key] = row.value

    remembered = RememberedPeers([], write)
    for number in (1, 3, 2):
        remembered.remember(peer(number), target(number), number * 1000)
    again = RememberedPeers(list(rows.items()), write)
    assert [sighting.peer for sighting in again.sightings()] == [peer(3), peer(2), peer(1)]
    assert {sighting.source for sighting in again.sightings()} == {"store"}


def test_there_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one seen longest ago is forgotten."""
    monkeypatch.setattr("zmqchat.node.remembered.PEERS_REMEMBERED_MAX", 2)
    removed: list[bytes] = []
    remembered = RememberedPeers([], lambda writes: removed.extend(w.key for w in writes if w.value is None))
    for number in (1, 2, 3):
        remembered.remember(peer(number), target(number), number)
    assert removed == [peer(1)]
    assert len(list(remembered.sightings())) == 2


def test_damaged_rows_and_peers_without_an_address_are_left_out() -> None:
    """They cost one address each, and no start."""
    good = (peer(1), pack([5, [["192.0.2.1", 1, 2, 3]]]))
    rows: list[tuple[bytes, bytes]] = [(peer(2), b"\xc1"), (peer(3), pack([1])), (peer(4), pack([1, [["x"]]])), good]
    remembered = RememberedPeers(rows, lambda _writes: None)
    remembered.remember(peer(5), None, 1)
    assert [sighting.peer for sighting in remembered.sightings()] == [peer(1)]
