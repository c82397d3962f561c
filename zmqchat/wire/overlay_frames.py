"""The frames of the bounded overlay (HyParView; Leitão, Pereira, Rodrigues, DSN 2007): who keeps a link with whom.

Ours beside the paper's: every answer to NEIGHBOUR is told, PART where the paper has DISCONNECT, and the answer to a
shuffle goes back hop by hop (the paper opens a connection for it, which not everybody can accept).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from zmqchat.model.addresses import Endpoint
from zmqchat.model.ids import PeerId
from zmqchat.model.limits import ENDPOINTS_PER_PEER_MAX, SHUFFLE_ENTRIES_MAX, WALK_HOPS_MAX
from zmqchat.wire.codec import PEER, U64, Codec, Frame
from zmqchat.wire.fields import endpoint, flag, integer, many, record


class Priority(IntEnum):
    """How much the sender of a NEIGHBOUR needs the link."""

    LOW = 0
    """It has enough links and would like one more: granted below the number that a node strives for."""
    NEEDED = 1
    """It has too few: granted while there is room."""
    HIGH = 2
    """It has none: granted always, another link gives way."""
    VISIT = 3
    """A passing link to anywhere in the mesh: granted to a few at a time, beside the others."""


class Contact(NamedTuple):
    """A peer, and where it says or others say that it is; no endpoint where it can't be dialled."""

    peer: PeerId
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Join(Frame):
    """The sender is new to the mesh: be its neighbour, and send its contact on a walk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardJoin(Frame):
    """A newcomer's contact on its walk; who gets it at the end becomes its neighbour."""

    newcomer: Contact
    hops: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour(Frame):
    """May this link stay? The number is a `Priority`."""

    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighbourAnswer(Frame):
    """It may, or whoever asked has to close it."""

    accepted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(Frame):
    """The sender has too many links and gives up this one: close it, and do not dial again soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shuffle(Frame):
    """A sample of what the origin knows, on its walk; who gets it at the end answers with one of its own."""

    origin: Contact
    token: int
    hops: int
    entries: tuple[Contact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShuffleReply(Frame):
    """The answer to the shuffle of this token, on the way back."""

    token: int
    entries: tuple[Contact, ...]


_contact = record(Contact, PEER, many(endpoint, ENDPOINTS_PER_PEER_MAX))
_contacts = many(_contact, SHUFFLE_ENTRIES_MAX)
_hops = integer(WALK_HOPS_MAX)
_BYTES_MAX: Final = 64 * 1024
"""A shuffle of nine contacts with eight endpoints each, the longest host in all of them, is 20 KiB."""

CODECS: Final[dict[int, Codec]] = {
    24: Codec(Join, (), 256),
    25: Codec(ForwardJoin, (_contact, _hops), 4_096),
    26: Codec(Neighbour, (integer(max(Priority)),), 256),
    27: Codec(NeighbourAnswer, (flag,), 256),
    28: Codec(Part, (), 256),
    29: Codec(Shuffle, (_contact, U64, _hops, _contacts), _BYTES_MAX),
    30: Codec(ShuffleReply, (U64, _contacts), _BYTES_MAX),
}
