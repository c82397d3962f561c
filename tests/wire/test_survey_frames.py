"""Frames of a survey: prefixes come in whole, and within their bounds."""

from __future__ import annotations

from zmqchat.model.faults import Fault
from zmqchat.model.limits import PEERS_LIVE_MAX, SURVEY_LISTS_MAX
from zmqchat.wire.frames import decode, encode
from zmqchat.wire.survey_frames import LinksOf, LinksTold, pack_prefixes, unpack_prefixes


def test_prefixes_come_back() -> None:
    """The first 8 bytes of each id, in order."""
    ids = [bytes([number]) * 32 for number in range(3)]
    assert unpack_prefixes(pack_prefixes(ids)) == [each[:8] for each in ids]


def test_the_largest_answer_decodes() -> None:
    """As many lists and links as there may be."""
    told = LinksTold(token=1, lists=(LinksOf(bytes(8), bytes(8 * PEERS_LIVE_MAX)),) * SURVEY_LISTS_MAX)
    assert decode(encode(told)) == told


def test_what_is_no_list_of_prefixes_is_a_fault() -> None:
    """Half a prefix, too many of them, too many lists."""
    for lists in (
        (LinksOf(bytes(8), bytes(12)),),
        (LinksOf(bytes(7), bytes(8)),),
        (LinksOf(bytes(8), bytes(8 * PEERS_LIVE_MAX + 8)),),
        (LinksOf(bytes(8), b""),) * (SURVEY_LISTS_MAX + 1),
    ):
        assert isinstance(decode(encode(LinksTold(token=1, lists=lists))), Fault)
