"""Networks on which most hosts do not reach each other: everything gets to everybody all the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.commands import use_node
from tests.support.lateness import busyness
from tests.support.namespace_nodes import Crew, NodeProcess, crew, open_all
from tests.support.namespaces import needs_namespaces
from tests.support.network_shapes import Shape, chain, client_isolation, ring, three_subnets, two_gateways
from tests.support.talking import all_read, all_say, assert_one_timeline, await_live, link_neighbours, now_s

pytestmark = [needs_namespaces, pytest.mark.timeout(120)]

REPAIRED_S = 5.0
"""From a relay's death until talk is live again, where there is another way."""

BACK_S = 5.0
"""From a relay's restart until talk is live again, where there is no other way: it must be found and linked first."""


@dataclass(frozen=True)
class Case:
    """A network, and the relays to kill in it one after the other."""

    shape: Callable[[], AbstractContextManager[Shape]]
    relays: tuple[int, ...]


CASES = {
    "three subnets": Case(three_subnets, (2,)),
    "two gateways": Case(two_gateways, (2, 3)),
    "chain of 8": Case(lambda: chain(8), (3,)),
    "ring of 6": Case(lambda: ring(6), (1,)),
    "client isolation": Case(lambda: client_isolation(6), (0,)),
}


@pytest.mark.parametrize("name", CASES)
def test_all_is_read_by_all_and_live_also_past_a_killed_relay(tmp_path: Path, name: str) -> None:
    """All talk at once; a text takes no more than 50 ms and a round trip a hop; so it is again soon after a SIGKILL."""
    case = CASES[name]
    with case.shape() as shape, crew(tmp_path) as crewed:
        nodes = crewed.start(*shape.hosts)
        open_all(*nodes)
        link_neighbours(nodes, shape)
        linked_s = now_s()
        said = all_say("to all", nodes, count=5, interval_s=0.05)
        print(f"{name}: all read {all_read(said, nodes) - linked_s:.2f} s after all were linked")
        assert_one_timeline(said, nodes)
        last = len(nodes) - 1
        for number in (1, last):
            print(f"{name}: live {await_live(nodes, number, shape, said) - linked_s:.2f} s after all were linked")
        for relay in case.relays:
            _kill_and_restart(crewed, nodes, relay, shape, said)
        said += all_say("at last", nodes)
        all_read(said, nodes)
        assert_one_timeline(said, nodes)


def _kill_and_restart(crewed: Crew, nodes: list[NodeProcess], relay: int, shape: Shape, said: list[str]) -> None:
    """Talk is live soon after a relay was killed, where there is another way, else soon after it was started again."""
    last = len(nodes) - 1
    others = [node for node in nodes if node is not nodes[relay]]
    name = nodes[relay].name
    nodes[relay].kill()
    killed_s = now_s()
    rest = shape.without(relay)
    is_whole = all(rest.hops(last, number) is not None for number in range(len(nodes)) if number != relay)
    if is_whole:
        took_s = await_live(nodes, last, rest, said) - killed_s
        print(f"live {took_s:.2f} s after {name} was killed")
        assert took_s < REPAIRED_S * busyness()
    said += all_say(f"without {name}", others)
    nodes[relay] = crewed.restart(nodes[relay])
    open_all(nodes[relay])
    if not is_whole:
        took_s = await_live(nodes, last, shape, said, count=50) - nodes[relay].opened_s
        print(f"live {took_s:.2f} s after {name}, which had been killed, was started again")
        assert took_s < BACK_S * busyness()
    all_read(said, nodes)


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
