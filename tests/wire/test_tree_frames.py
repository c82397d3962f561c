"""The frames of the tree: what an announcement calls a batch, and that full frames fit."""

from __future__ import annotations

from tests.support.framesamples import OTHER, PEER, ROOM
from zmqchat.model.faults import Fault
from zmqchat.model.limits import FRAME_BYTES_MAX, HOLDERS_PER_FRAME_MAX, TREE_ENTRIES_PER_FRAME_MAX
from zmqchat.wire.frames import decode, encode
from zmqchat.wire.tree_frames import TREE_ID_BYTES, Announced, Holder, Holders, IHave, tree_id


def test_a_batch_is_named_by_the_head_of_its_signature() -> None:
    """The name needs no hash; what is too short to be signed has none."""
    signature = bytes(range(64))
    assert tree_id(b"header, events" + signature) == signature[:TREE_ID_BYTES]
    assert tree_id(signature) == signature[:TREE_ID_BYTES]
    assert tree_id(signature[1:]) == tree_id(b"") == b""


def test_full_frames_fit_and_fuller_ones_are_faults() -> None:
    """As many batches and holders as may be named survive; one more is refused."""
    for count in (0, 1):
        entries = tuple(Announced(bytes(16), 255) for _ in range(TREE_ENTRIES_PER_FRAME_MAX + count))
        ihave = IHave(room=ROOM, entries=entries)
        holders = tuple(Holder(PEER, 2**53) for _ in range(HOLDERS_PER_FRAME_MAX + count))
        told = Holders(room=ROOM, author=OTHER, log=1, branch=bytes(8), holders=holders)
        for frame in (ihave, told):
            raw = encode(frame)
            assert len(raw) <= FRAME_BYTES_MAX
            assert isinstance(decode(raw), Fault) if count else decode(raw) == frame
