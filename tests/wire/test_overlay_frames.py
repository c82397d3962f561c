"""Frames of the overlay: what they carry is bounded before anything is done with it."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.framesamples import ENDPOINTS, OTHER, PEER
from zmqchat.model.faults import Fault
from zmqchat.model.limits import ENDPOINTS_PER_PEER_MAX, SHUFFLE_ENTRIES_MAX, WALK_HOPS_MAX
from zmqchat.wire.frames import Frame, UnknownFrame, decode, encode, type_byte
from zmqchat.wire.overlay_frames import CODECS, Contact, ForwardJoin, Join, Neighbour, Part, Priority, Shuffle

CONTACT: list[Any] = [PEER, [list(endpoint) for endpoint in ENDPOINTS]]
FULL = Contact(OTHER, tuple(ENDPOINTS[0]._replace(door=port) for port in range(ENDPOINTS_PER_PEER_MAX)))


def framed(kind: type[Frame], values: list[Any]) -> bytes:
    """A frame of this type with these fields, whatever they are."""
    return bytes([type_byte(kind)]) + bytes(msgpack.packb(values, use_bin_type=True))


def test_the_fullest_shuffle_passes_and_one_more_contact_does_not() -> None:
    """As many contacts with as many endpoints as may be told fit a frame; a longer list is malformed."""
    most = Shuffle(origin=FULL, token=2**64 - 1, hops=WALK_HOPS_MAX, entries=(FULL,) * SHUFFLE_ENTRIES_MAX)
    assert decode(encode(most)) == most
    more = [CONTACT, 1, 1, [CONTACT] * (SHUFFLE_ENTRIES_MAX + 1)]
    assert isinstance(decode(framed(Shuffle, more)), Fault)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (ForwardJoin, [CONTACT, WALK_HOPS_MAX + 1]),
        (ForwardJoin, [[PEER, list(CONTACT[1]) * ENDPOINTS_PER_PEER_MAX], 1]),
        (ForwardJoin, [[PEER[:-1], []], 1]),
        (ForwardJoin, [CONTACT]),
        (Neighbour, [max(Priority) + 1]),
        (Neighbour, [True]),
        (Join, {}),
    ],
)
def test_what_no_node_sends_is_malformed(kind: type[Frame], values: Any) -> None:
    """Too long a walk, too many endpoints, half an id, an unknown priority: each is a fault."""
    assert isinstance(decode(framed(kind, values)), Fault)


def test_frames_without_fields_may_get_some_later() -> None:
    """What a later version appends to JOIN and PART is ignored."""
    assert decode(framed(Join, ["later"])) == Join()
    assert decode(framed(Part, [7])) == Part()


@given(st.sampled_from(sorted(CODECS)), st.binary(max_size=400))
def test_random_fields_give_a_frame_or_a_fault(byte: int, rest: bytes) -> None:
    """Nothing raises behind a type byte of the overlay."""
    decoded = decode(bytes([byte]) + rest)
    assert isinstance(decoded, (Frame, Fault))
    assert not isinstance(decoded, UnknownFrame)
