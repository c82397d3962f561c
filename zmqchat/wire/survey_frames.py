"""The frames of a survey: which links there are, asked when a person looks at the mesh and at no other time.

Nodes are named by the first 8 bytes of their ids: who asks knows them all, and what it can't resolve says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from zmqchat.model.limits import KIB, PEERS_LIVE_MAX, SURVEY_LISTS_MAX
from zmqchat.wire.codec import U64, Codec, Frame
from zmqchat.wire.fields import binary, fixed, many, record
from zmqchat.wire.packing import Malformed
from zmqchat.wire.roster_frames import PREFIX_BYTES


class LinksOf(NamedTuple):
    """The links of one node: its prefix, and those of the others, one after the other."""

    owner: bytes
    others: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LinksAsked(Frame):
    """Which links do you know of? (`mesh`)"""

    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinksTold(Frame):
    """The answer: the sender's own links first, then what those that it is linked to have told it of theirs."""

    token: int
    lists: tuple[LinksOf, ...]


def _prefixes(value: Any) -> bytes:
    joined = binary(value)
    if len(joined) % PREFIX_BYTES or len(joined) > PREFIX_BYTES * PEERS_LIVE_MAX:
        raise Malformed("links")
    return joined


CODECS: Final[dict[int, Codec]] = {
    55: Codec(LinksAsked, (U64,), 256),
    56: Codec(LinksTold, (U64, many(record(LinksOf, fixed(PREFIX_BYTES), _prefixes), SURVEY_LISTS_MAX)), 64 * KIB),
}


def pack_prefixes(ids: list[bytes]) -> bytes:
    """What names these nodes."""
    return b"".join([each[:PREFIX_BYTES] for each in ids])


def unpack_prefixes(joined: bytes) -> list[bytes]:
    """What `pack_prefixes` packed."""
    return [joined[at : at + PREFIX_BYTES] for at in range(0, len(joined), PREFIX_BYTES)]
