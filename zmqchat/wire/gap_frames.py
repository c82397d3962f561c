"""The frames by which nodes of a full mesh that can't all reach each other say what they need relayed.

A link is named by the first 8 bytes of its peer's id, as everybody in the mesh has links and few of them matter here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from zmqchat.model.ids import PeerId
from zmqchat.model.limits import GAPPED_LINKS_MAX, KIB
from zmqchat.wire.codec import PEER, Codec, Frame
from zmqchat.wire.fields import fixed, flag, many

LINK_NAME_BYTES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Gapped(Frame):
    """The sender has links to these members only: it is to be sent what others say, while `on`."""

    on: bool
    links: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spare(Frame):
    """This author's batches come to me another way: only say what there is."""

    author: PeerId


CODECS: Final[dict[int, Codec]] = {
    57: Codec(Gapped, (flag, many(fixed(LINK_NAME_BYTES), GAPPED_LINKS_MAX)), 4 * KIB),
    58: Codec(Spare, (PEER,), 256),
}


def link_name(peer: PeerId) -> bytes:
    """What a link to this peer is called."""
    return peer[:LINK_NAME_BYTES]
