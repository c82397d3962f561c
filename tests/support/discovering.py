"""What tests of discovery share: a recorder of callbacks, identities, and whether loopback carries multicast."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections.abc import Callable

import pytest

from zmqchat.discovery.discovery import Announcement, Callbacks
from zmqchat.discovery.interfaces import scan
from zmqchat.discovery.probe import probe_multicast
from zmqchat.model.ids import MeshId, PeerId, mesh_id
from zmqchat.protocol.facts import PeerSighted

LOOPBACK = "127.0.0.1"


def peer(number: int) -> PeerId:
    """An id for discovery's purposes: of the right form, of no real key."""
    return PeerId(hashlib.blake2b(str(number).encode(), digest_size=31).digest() + b"\x01")


def some_mesh() -> MeshId:
    """A mesh of this test alone: other tests and real nodes may be on loopback too."""
    return mesh_id(f"test {secrets.token_hex(8)}")


def announcement(number: int, mesh: MeshId, *, door: int | None = None) -> Announcement:
    """What node `number` tells of itself."""
    return Announcement(peer=peer(number), mesh=mesh, door=door or 42_000 + number)


class Recorder:
    """Keeps what a discovery told."""

    def __init__(self) -> None:
        self.sightings: list[PeerSighted] = []
        self.problems: list[str] = []
        self.hosts: list[tuple[str, ...]] = []
        self._news = asyncio.Event()

    def callbacks(self) -> Callbacks:
        """To give to a discovery."""
        return Callbacks(sighted=self._sighted, problem=self._problem, interfaces_changed=self._changed)

    async def until(self, condition: Callable[[], bool], *, within_s: float = 5.0) -> None:
        """Wait until the condition holds; checked whenever something was told."""

        async def wait() -> None:
            while not condition():
                self._news.clear()
                await self._news.wait()

        await asyncio.wait_for(wait(), within_s)

    async def until_sighted(self, number: int, *, within_s: float = 5.0) -> PeerSighted:
        """The first sighting of a node."""
        await self.until(lambda: self.of(number) != [], within_s=within_s)
        return self.of(number)[0]

    def of(self, number: int) -> list[PeerSighted]:
        """The sightings of a node."""
        return [sighted for sighted in self.sightings if sighted.peer == peer(number)]

    def _sighted(self, sighted: PeerSighted) -> None:
        self.sightings.append(sighted)
        self._news.set()

    def _problem(self, problem: str) -> None:
        self.problems.append(problem)
        self._news.set()

    def _changed(self, hosts: tuple[str, ...]) -> None:
        self.hosts.append(hosts)
        self._news.set()


def _loopback_problem() -> str | None:
    probes = asyncio.run(probe_multicast(scan([LOOPBACK]), 0.5))
    if not probes:
        return "no loopback interface"
    return next((probe.problem for probe in probes if probe.problem is not None), None)


def _marker() -> pytest.MarkDecorator:
    problem = _loopback_problem()
    required = os.environ.get("ZMQCHAT_TESTS_REQUIRE") == "all"
    return pytest.mark.skipif(problem is not None and not required, reason=f"no multicast on loopback: {problem}")


needs_loopback_multicast = _marker()
