"""The mesh as one node knows it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from tests.support.nodes import FAST, eventually, linked, running, share_room
from zmqchat import Node, PeerId
from zmqchat.node.mesh import MeshNode, subnet_of, ways


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


ALONE = replace(FAST, exchange_dials=False, gap_after_s=0.5)
"""Nodes that dial only whom they were told by hand, so that a chain stays a chain, and soon see that it is one."""


def seen(node: Node, other: Node) -> MeshNode | None:
    """Another node as this one sees it."""
    return next((each for each in node.mesh().nodes if each.id == other.id), None)


def hops(node: Node, other: Node) -> int | None:
    """How far away it is."""
    found = seen(node, other)
    return None if found is None else found.hops


@contextlib.asynccontextmanager
async def chain(home: Path, *names: str) -> AsyncIterator[list[Node]]:
    """Nodes of which each is linked to the next only."""
    async with contextlib.AsyncExitStack() as stack:
        nodes: list[Node] = []
        for name in names:
            nodes.append(await stack.enter_async_context(running(home, name, *nodes[-1:], config=ALONE)))
        yield nodes


async def test_who_is_reached_over_others_has_a_way(home: Path) -> None:
    """In a chain the next but one is two hops away, by the one between, who relays over the gap."""
    async with chain(home, "ann", "bob", "cy") as (ann, bob, cy):
        found = await eventually(lambda: (node := seen(ann, cy)) and node.online and node.hops == 2 and node)
        assert isinstance(found, MeshNode)
        assert (found.via, found.linked) == (bob.id, False)
        await eventually(lambda: (node := seen(ann, cy)) is not None and node.gapped)
        near = seen(ann, bob)
        assert near is not None and near.linked and not near.gapped
        assert await eventually(lambda: (node := seen(cy, ann)) is not None and node.gapped)
        report = await ann.doctor()
        assert report["mesh_links"]["gapped_members"] == 1  # type: ignore[index]  # a dictionary


async def test_a_survey_shows_links_beyond(home: Path) -> None:
    """The end of a chain of four is unknown until somebody asks; then it is three hops away."""
    async with chain(home, "ann", "bob", "cy", "dee") as (ann, bob, cy, dee):
        await eventually(lambda: seen(ann, dee) is not None and hops(ann, cy) == 2)
        assert hops(ann, dee) is None
        await eventually(lambda: hops(bob, dee) == 2)
        await ann.survey()
        found = seen(ann, dee)
        assert found is not None
        assert (found.hops, found.via, found.found_by) == (3, bob.id, "gossip")


async def test_what_a_peer_lacks_is_counted(home: Path) -> None:
    """Nothing, once a peer holds all; this node itself lacks nothing of its own."""
    async with running(home) as ann, running(home, "bob", ann) as bob:
        await linked(ann, bob)
        room, _ = await share_room("lobby", ann, bob)
        await room.send("hello", until="delivered")
        await eventually(lambda: (found := seen(ann, bob)) is not None and found.lacks == 0)
        assert {node.lacks for node in ann.mesh().nodes} == {0}
