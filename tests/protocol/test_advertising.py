"""Advertising: all in a full mesh, about sixteen in a large one, and always who has few links."""

from __future__ import annotations

from tests.support.fakelink import peer_of
from zmqchat.model.limits import ADVERTISERS, LONELY_LINKS
from zmqchat.protocol.advertising import ADVERTISING_CHECK_S, Advertising
from zmqchat.protocol.effects import Advertise, SetTimer
from zmqchat.protocol.facts import Instant, NodeStarted, TimerFired
from zmqchat.protocol.machine import PeerLinked, PeerUnlinked

HOUR_MS = 3_600_000


class Advertiser:
    """A machine with links, in a mesh of a size."""

    def __init__(self, name: str, *, members: int, links: int, partial: bool = True) -> None:
        self.partial = partial
        self.machine = Advertising(peer_of(name), lambda: self.partial, lambda: members - 1)
        self.wall_ms = 0
        for number in range(links):
            self.link(number)

    def at(self) -> Instant:
        """The moment."""
        return Instant(self.wall_ms / 1000, self.wall_ms)

    def link(self, number: int) -> None:
        """One more link."""
        fact = PeerLinked(peer=peer_of(f"link {number}"), store=bytes(16), generation=1)
        self.machine.facts[PeerLinked](fact, self.at())

    def unlink(self, number: int) -> None:
        """One link less."""
        self.machine.facts[PeerUnlinked](PeerUnlinked(peer=peer_of(f"link {number}"), reason="lost"), self.at())

    def look(self, hour: int = 0) -> bool:
        """Whether it advertises once it has looked in this hour."""
        self.wall_ms = hour * HOUR_MS
        self.machine.facts[TimerFired](TimerFired(name=("advertising",)), self.at())
        return self.machine.is_on

    def told(self) -> list[bool]:
        """What discovery was told since the last call."""
        told = [item.on for item in self.machine.outbox if isinstance(item, Advertise)]
        self.machine.outbox = []
        return told


def test_about_sixteen_of_many_advertise_others_each_hour() -> None:
    """In a mesh of a thousand the number hardly varies, and the burden goes round."""
    nodes = [Advertiser(f"node {number}", members=1_000, links=8) for number in range(1_000)]
    hours = [{number for number, node in enumerate(nodes) if node.look(hour)} for hour in range(8)]
    assert all(4 <= len(on) <= 32 for on in hours)
    assert 0.7 * ADVERTISERS <= sum(map(len, hours)) / len(hours) <= 1.3 * ADVERTISERS
    assert len(set.union(*hours)) >= 0.8 * sum(map(len, hours))


def test_everybody_advertises_in_a_full_mesh() -> None:
    """Below the switch nothing changes, and nothing is told."""
    nodes = [Advertiser(f"node {number}", members=90, links=89, partial=False) for number in range(90)]
    assert all(node.look() and not node.told() for node in nodes)


def test_who_has_few_links_always_advertises() -> None:
    """A node that loses its links says so at once; it is quiet again when it has looked and has enough."""
    quiet = next(
        node
        for node in (Advertiser(f"node {number}", members=1_000, links=LONELY_LINKS) for number in range(100))
        if not node.look()
    )
    assert quiet.told() == [False]
    quiet.unlink(0)
    assert quiet.told() == [True]
    assert quiet.look() and quiet.told() == []
    quiet.link(0)
    assert quiet.told() == []
    assert not quiet.look() and quiet.told() == [False]
    quiet.partial = False
    assert quiet.look() and quiet.told() == [True]


def test_it_looks_again_and_again() -> None:
    """From the start on a timer is set."""
    node = Advertiser("ann", members=2, links=1)
    node.machine.facts[NodeStarted](NodeStarted(endpoints=(), ports=(1, 2, 3)), node.at())
    assert node.machine.outbox == [SetTimer(name=("advertising",), at_s=ADVERTISING_CHECK_S)]
    node.machine.outbox = []
    node.look()
    assert [item for item in node.machine.outbox if isinstance(item, SetTimer)]
