"""Facts about the members of the mesh, between the machines that gossip of them and those that want to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from zmqchat.model.ids import PeerId
from zmqchat.protocol.facts import Fact

ROSTER_FEATURE: Final = "roster-1"
"""Named in HELLO by who understands the roster's frames; nobody else is sent any."""

GAPS_FEATURE: Final = "gaps-1"
"""Named in HELLO by who relays over gaps; nobody else is told of any, or counted on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MembersUpdated(Fact):
    """These have signed records that are newer than those that we had, or our first of them: they live."""

    peers: tuple[PeerId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MembersLive(Fact):
    """These members were not known to live and do, wherever they are linked."""

    peers: tuple[PeerId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberDead(Fact):
    """Nobody has a link to this member, or it has said goodbye."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class GapOpened(Fact):
    """A live member can't be linked to: what it and we say to each other is relayed by others."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkGapped(Fact):
    """A link has told that some live members have none to it: those between must know of them, to relay."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Refute(Fact):
    """Somebody believes that we are gone, or were never there: our record must be signed anew."""
