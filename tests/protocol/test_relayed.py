"""What a relay remembers: names for long, bytes for a while, both bounded."""

from __future__ import annotations

from tests.support.fakelink import lobby, peer_of
from zmqchat.model.limits import TREE_CACHE_BYTES_MAX, TREE_CACHE_S, TREE_HOPS_MAX, TREE_SEEN_MAX, TREE_SEEN_S
from zmqchat.protocol.relayed import Relayed, Seen
from zmqchat.wire.tree_frames import relay_frame


def seen(at_s: float) -> Seen:
    """A batch that came at this moment."""
    return Seen(lobby(), peer_of("ann"), 1, peer_of("bob"), 2, at_s)


def name(index: int) -> bytes:
    """A batch's name."""
    return index.to_bytes(16, "big")


def test_a_batch_is_known_and_kept() -> None:
    """Its way here, and its bytes."""
    relayed = Relayed()
    assert relayed.get(name(1)) is None and relayed.again(name(1), lobby()) is None
    relayed.add(name(1), seen(0.0), b"batch")
    assert relayed.get(name(1)) == seen(0.0) and relayed.again(name(1), lobby()) == relay_frame(3, b"batch")


def test_it_is_sent_again_in_its_room_and_not_beyond_its_last_hop() -> None:
    """Who asks for it in another room's name gets nothing, nor does anybody beyond the last link that it may pass."""
    relayed = Relayed()
    last = seen(0.0)
    last.hops = TREE_HOPS_MAX
    relayed.add(name(1), last, b"batch")
    relayed.add(name(2), seen(0.0), b"batch")
    assert relayed.again(name(1), lobby()) is None and relayed.again(name(2), lobby("other")) is None
    assert relayed.again(name(2), lobby())


def test_bytes_are_forgotten_before_names() -> None:
    """Each at its time, when something new comes."""
    relayed = Relayed()
    relayed.add(name(1), seen(0.0), b"batch")
    relayed.add(name(2), seen(TREE_CACHE_S), b"later")
    assert relayed.again(name(1), lobby()) is None and relayed.get(name(1)) and relayed.cache_bytes == 5
    relayed.add(name(3), seen(TREE_SEEN_S), b"last")
    assert relayed.get(name(1)) is None and relayed.get(name(2)) and relayed.cache_bytes == 4


def test_both_are_bounded() -> None:
    """Many small batches at once, and few large ones."""
    relayed = Relayed()
    for index in range(TREE_SEEN_MAX + 100):
        relayed.add(name(index), seen(0.0), b"x")
    for index in range(200_000, 200_100):
        relayed.add(name(index), seen(0.0), bytes(TREE_CACHE_BYTES_MAX // 50))
        for size in relayed.sizes():
            assert size.kept <= size.most, size
    assert relayed.get(name(5)) is None
    assert relayed.again(name(200_099), lobby()) and not relayed.again(name(200_000), lobby())
