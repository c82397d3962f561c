"""One simulated node through all its lives: its identity, disk, clock and user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from zmqchat.model.addresses import Endpoint
from zmqchat.model.ids import PeerId
from zmqchat.protocol.effects import Effect
from zmqchat.protocol.rostertable import RosterTable
from zmqchat.sim.clocks import Clock
from zmqchat.sim.disk import Disk
from zmqchat.sim.process import Process
from zmqchat.sim.reading import Application

Tamper = Callable[[Effect], "Effect | None"]
"""What becomes of an effect of a hostile node's machines; None: nothing."""

REMEMBERED_MAX: Final = 64
"""Peers whose addresses a simulated node keeps for its next start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """How a node begins.

    rooms      which it joins at its first start
    start_s    when it starts; None: only by `World.restart`
    subnets    where it has addresses
    contacts   nodes whose addresses its user typed (--peer)
    discovers  whether it finds, and is found by, the others of its subnets by multicast
    tamper     of a hostile node only: what comes of all that its machines want; None where it is honest
    """

    rooms: tuple[str, ...] = ("lobby",)
    start_s: float | None = 0.0
    subnets: tuple[str, ...] = ("lan",)
    contacts: tuple[int, ...] = ()
    discovers: bool = True
    tamper: Tamper | None = None


class SimNode:
    """A node.

    process    its present life, None while it is down
    unclean    how its last life ended: "" well, "killed", "power"
    known      its own member record and those of others, where its next life begins in the middle of a mesh
    """

    def __init__(
        self, number: int, name: str, peer: PeerId, plan: NodePlan, disk: Disk, clock: Clock, application: Application
    ) -> None:
        self.number = number
        self.name = name
        self.peer = peer
        self.plan = plan
        self.disk = disk
        self.clock = clock
        self.application = application
        self.process: Process | None = None
        self.unclean = ""
        self.known: tuple[bytes, RosterTable] | None = None
        self.lives = 0
        self._routed_before = 0
        self.remembered: dict[PeerId, Endpoint] = {}

    @property
    def is_up(self) -> bool:
        """Whether a process runs, paused or not."""
        return self.process is not None

    @property
    def is_responsive(self) -> bool:
        """Whether a process runs and is not paused."""
        return self.process is not None and self.process.paused_s is None

    @property
    def routed(self) -> int:
        """How many facts its meshes have routed, in all lives."""
        return self._routed_before + (0 if self.process is None else self.process.routed)

    def ended(self, unclean: str) -> None:
        """The process has ended: "" well, "killed", "power"."""
        self._routed_before = self.routed
        self.process = self.known = None
        self.unclean = unclean
        self.application.died()

    def remember(self, peer: PeerId, endpoint: Endpoint) -> None:
        """This peer is in touch, there."""
        self.remembered.pop(peer, None)
        self.remembered[peer] = endpoint
        if len(self.remembered) > REMEMBERED_MAX:
            del self.remembered[next(iter(self.remembered))]
