"""The frames of gaps: what they hold at most, and how links are called."""

from __future__ import annotations

import pytest

from tests.support.fakelink import peer_of
from zmqchat.model.faults import Fault
from zmqchat.model.limits import GAPPED_LINKS_MAX
from zmqchat.wire.frames import decode, encode
from zmqchat.wire.gap_frames import Gapped, Spare, link_name


def test_a_link_is_called_by_the_first_bytes_of_its_peer() -> None:
    """Eight of them: enough to tell members apart."""
    assert link_name(peer_of("ann")) == peer_of("ann")[:8] != link_name(peer_of("bob"))


def test_as_many_links_as_a_mesh_may_have_fit_a_frame() -> None:
    """One more is a fault of its sender."""
    links = tuple(number.to_bytes(8, "big") for number in range(GAPPED_LINKS_MAX))
    assert decode(encode(Gapped(on=True, links=links))) == Gapped(on=True, links=links)
    assert isinstance(decode(encode(Gapped(on=True, links=(*links, bytes(8))))), Fault)


@pytest.mark.parametrize("frame", [Gapped(on=True, links=(bytes(7),)), Gapped(on=1, links=()), Spare(author=b"short")])  # type: ignore[arg-type]  # what a decoder must refuse
def test_what_is_of_the_wrong_size_or_type_is_a_fault(frame: Gapped | Spare) -> None:
    """Names of 8 bytes, a boolean, a peer id."""
    assert isinstance(decode(encode(frame)), Fault)
