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
class MemberUpdated(Fact):
    """A member has signed a record that is newer than the one that we had, or our first of it: it lives."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberLive(Fact):
    """A member that was not known to live does, wherever it is linked."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberDead(Fact):
    """Nobody has a link to this member, or it has said goodbye."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class GapOpened(Fact):
    """A live member can't be linked to: what it and we say to each other is relayed by others."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Refute(Fact):
    """Somebody believes that we are gone, or were never there: our record must be signed anew."""
