"""Links under random faults: whatever was cut, killed, frozen or restarted, quiet brings back one link a pair."""

from __future__ import annotations

from random import Random

import pytest

from tests.support.linkpair import LinkNet, LinkNode
from zmqchat.protocol.effects import Expel, IdentityShared
from zmqchat.protocol.facts import EndpointsChanged, LoopLagged, Woke

NAMES = ("ann", "bob", "carol", "dan")


class Chaos:
    """Four nodes that know each other, and what befalls them."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.net = LinkNet(seed=seed)
        self.nodes = [self.net.node(name, host=f"10.0.0.{number + 1}") for number, name in enumerate(NAMES)]
        self.cut: set[frozenset[str]] = set()
        self.net.silenced = self.is_cut
        self.net.hole = lambda one, other, _what: self.is_cut(one, other)
        self.introduce()

    def introduce(self) -> None:
        """Each is told of the first two, as by --peer."""
        for node in self.nodes:
            for other in self.nodes[:2]:
                if other is not node:
                    node.sight(other)

    def is_cut(self, one: LinkNode, other: LinkNode) -> bool:
        """Whether nothing passes between two nodes, though their connections look open."""
        return frozenset((one.name, other.name)) in self.cut

    def befall(self) -> None:
        """One thing happens to one node or pair."""
        one, other = self.random.sample(self.nodes, 2)
        what = self.random.randrange(8)
        if what == 0:
            self.restart(one, clean=self.random.random() < 0.5)
        elif what == 1:
            self.net.cut(one, other)
        elif what == 2:
            self.cut.add(frozenset((one.name, other.name)))
        elif what == 3 and self.cut:
            self.cut.discard(self.random.choice(sorted(self.cut, key=sorted)))
        elif what == 4:
            one.handle(EndpointsChanged(endpoints=(one.endpoint,)))
        elif what == 5:
            one.handle(LoopLagged(lag_s=self.random.uniform(1, 5)))
        elif what == 6:
            one.handle(Woke(slept_s=self.random.uniform(10, 60)))
        else:
            one.sight(other, source="mdns", peer=other.peer)

    def restart(self, node: LinkNode, clean: bool) -> None:
        """The process ends, by BYE or by SIGKILL, and a new one begins."""
        if clean:
            node.stop()
        else:
            node.kill()
        at = self.nodes.index(node)
        self.nodes[at] = self.net.node(node.name, host=node.host)
        for other in self.nodes[:2]:
            if other is not self.nodes[at]:
                self.nodes[at].sight(other)

    def all_linked(self) -> bool:
        """Whether each is linked to each."""
        return all(one.is_linked(other) for one in self.nodes for other in self.nodes if one is not other)


@pytest.mark.parametrize("seed", range(25))
def test_quiet_brings_back_one_link_a_pair(seed: int) -> None:
    """After a minute of faults all are linked within seconds, over one connection, and stay so."""
    chaos = Chaos(seed)
    for _ in range(60):
        chaos.net.run(chaos.random.expovariate(1.0))
        chaos.befall()
    chaos.cut.clear()
    chaos.net.until(chaos.all_linked, within_s=12.0)
    chaos.net.run(10.0)
    ended = sum(len(node.did(Expel)) for node in chaos.nodes)
    chaos.net.run(120.0)
    assert chaos.all_linked()
    assert sum(len(node.did(Expel)) for node in chaos.nodes) == ended, "no link was lost in quiet"
    for node in chaos.nodes:
        assert not node.of(IdentityShared), "a restart is no duplicate"
        assert set(node.peers.links) == set(node.peers.linked) == node.admitted
        assert set(node.admission._live) == set(node.peers.links)
        for other in chaos.nodes:
            if node is not other:
                assert (other.peer in node.directs) != (node.peer in other.directs), "one connection a pair"
                assert node.presence.is_online(other.peer)
