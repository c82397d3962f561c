"""The digest of a run."""

from __future__ import annotations

from zmqchat.model.ids import PeerId
from zmqchat.protocol.facts import FrameReceived, Stored
from zmqchat.sim.digest import Digest

PEER = PeerId(bytes(32))


def _frame(payload: bytes) -> FrameReceived:
    return FrameReceived(peer=PEER, payload=payload, inbound=True)


def _digest(*facts: tuple[float, int, FrameReceived | Stored]) -> str:
    digest = Digest()
    for now_s, node, fact in facts:
        digest.fact(now_s, node, fact)
    return digest.hex()


def test_equal_facts_give_an_equal_digest() -> None:
    """However many there are."""
    facts = [(number / 7, number % 3, _frame(bytes([number % 256]))) for number in range(2000)]
    assert _digest(*facts) == _digest(*facts)
    assert len(_digest(*facts)) == 32


def test_each_part_of_a_fact_counts() -> None:
    """Time, node, type, content and order."""
    first = (1.0, 0, _frame(b"a"))
    variants: list[list[tuple[float, int, FrameReceived | Stored]]] = [
        [first],
        [(1.0000000001, 0, _frame(b"a"))],
        [(1.0, 1, _frame(b"a"))],
        [(1.0, 0, _frame(b"b"))],
        [(1.0, 0, Stored(token=1))],
        [first, (1.0, 0, Stored(token=1))],
        [(1.0, 0, Stored(token=1)), first],
    ]
    assert len({_digest(*facts) for facts in variants}) == len(variants)


def test_commands_count_too() -> None:
    """A run in which a node is killed at another moment is another run."""
    digests = set()
    for text in ("kill", "start"):
        digest = Digest()
        digest.note(1.0, 2, text)
        digests.add(digest.hex())
    assert len(digests) == 2
