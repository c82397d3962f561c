"""The mesh as one node knows it."""

from __future__ import annotations

from pathlib import Path

from tests.support.nodes import linked, running
from zmqchat import PeerId
from zmqchat.node.mesh import subnet_of, ways


def test_subnets() -> None:
    """A /24 of IPv4, a /64 of IPv6, none of a name."""
    assert subnet_of("10.1.2.3") == "10.1.2.0/24"
    assert subnet_of("fe80::1%eth0") == "fe80::/64"
    assert subnet_of("host.local") == ""


def test_the_shortest_way_is_found() -> None:
    """Hops and the neighbour on the way; who is not led to has none."""
    a, b, c, d, e = (PeerId(bytes([number]) * 32) for number in range(1, 6))
    found = ways(a, ((a, b), (a, c), (b, d), (c, d)))
    assert found == {a: (0, a), b: (1, b), c: (1, c), d: (2, b)}
    assert e not in found


async def test_two_nodes(home: Path) -> None:
    """Both are there with their link, this one marked."""
    async with running(home) as ann, running(home, "bob", ann) as bob:
        await linked(ann, bob)
        view = ann.mesh()
        assert [node.id for node in view.nodes] == sorted((ann.id, bob.id))
        assert view.links == ((min(ann.id, bob.id), max(ann.id, bob.id)),)
        assert {node.id: node.is_self for node in view.nodes} == {ann.id: True, bob.id: False}
        assert view.subnets == {"127.0.0.0/24": 2}
        assert not view.is_partial
