"""Networks on which most hosts do not reach each other: everything gets to everybody all the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.commands import use_node
from tests.support.namespace_nodes import crew, open_all
from tests.support.namespaces import needs_namespaces
from tests.support.network_shapes import Shape, chain, client_isolation, ring, three_subnets
from tests.support.talking import all_read, all_say, assert_one_timeline, link_neighbours, now_s

pytestmark = [needs_namespaces, pytest.mark.timeout(120)]

SHAPES: dict[str, Callable[[], AbstractContextManager[Shape]]] = {
    "three subnets": three_subnets,
    "chain of 8": lambda: chain(8),
    "ring of 6": lambda: ring(6),
    "client isolation": lambda: client_isolation(6),
}
EACH_SHAPE = pytest.mark.parametrize("name", SHAPES)


@EACH_SHAPE
def test_everything_reaches_everybody(tmp_path: Path, name: str) -> None:
    """All talk at once, each reads each text once, and the timelines are equal."""
    with SHAPES[name]() as shape, crew(tmp_path) as crewed:
        began_s = now_s()
        nodes = crewed.start(*shape.hosts)
        open_all(*nodes)
        link_neighbours(nodes, shape)
        linked_s = now_s()
        said = all_say("to all", nodes, count=5, interval_s=0.05)
        read_s = all_read(said, nodes)
        print(f"{name}: all know all after {linked_s - began_s:.2f} s, all read {read_s - linked_s:.2f} s later")
        assert_one_timeline(said, nodes)


def test_members_beyond_multicast_are_known(tmp_path: Path) -> None:
    """A node in one subnet lists those of another two subnets away: `mesh` and `peers` name them and where they are."""
    with three_subnets() as shape, crew(tmp_path) as crewed:
        nodes = crewed.start(*shape.hosts)
        open_all(*nodes)
        link_neighbours(nodes, shape)
        all_read(all_say("here", nodes), nodes)
        here, near, gateway, *_, last = nodes
        mesh = json.loads(use_node(here.home, "mesh", "--json").stdout)
        subnet_of = {node["name"]: node["subnet"] for node in mesh["nodes"]}
        assert set(subnet_of) == {node.name for node in nodes}
        assert subnet_of[near.name] == "10.77.50.0/24"
        assert subnet_of[last.name] == "10.77.52.0/24"
        shown = {node["name"]: node for node in mesh["nodes"]}
        linked = {name for name, node in shown.items() if node["linked"]}
        assert linked == {near.name, gateway.name}
        assert shown["dan"]["via"] == shown[gateway.name]["id"] and shown["dan"]["hops"] == 2
        told = use_node(here.home, "peers", "--all", "--json").stdout.splitlines()
        found_by = {peer["name"]: peer["found_by"] for peer in map(json.loads, told)}
        assert found_by[last.name] == "exchange"
        assert last.name in use_node(here.home, "peers", "--all").stdout
